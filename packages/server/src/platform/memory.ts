/**
 * Gives memory back that the heap needed once. Node 24's V8 keeps every page that it ever took: collections free the
 * objects and V8 stays as large as its busiest minute made it. Only a collection of last resort returns the pages. It stops
 * everything for about 2 ms for each living MiB, so it waits until little is done and enough is to be had.
 */
import { performance } from "node:perf_hooks";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Logger } from "pino";
import type { Clock } from "./clock.ts";

const lookEveryMs = 15_000;
/** Of the time between two looks: what answers people and agents leaves no room for a stop. */
const quietShare = 0.1;
/** Beside what was left the last time. A heap that breathes is left alone. */
const worthwhileGrowth = 1.25;
/** Whoever comes in bursts pays for one stop of many. */
const pauseMs = 10 * 60_000;

export interface HeldMemory {
  /** What the whole program has resident, bytes. */
  residentBytes(): number;
  /** How much of the time since it was asked last went into work, 0 to 1. */
  busyShare(): number;
  /** Collects everything and returns what is free to the system. */
  collect(): void;
}

/** This program's. */
export function ownMemory(): HeldMemory {
  // No flag of the command line: it works the same as an executable and from a checkout.
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as NodeJS.GCFunction;
  let before = performance.eventLoopUtilization();
  return {
    residentBytes: () => process.memoryUsage.rss(),
    busyShare() {
      const now = performance.eventLoopUtilization();
      const { utilization } = performance.eventLoopUtilization(now, before);
      before = now;
      return utilization;
    },
    collect: () => collect({ type: "major", execution: "sync", flavor: "last-resort" }),
  };
}

export class MemoryRelease {
  private readonly deps: { clock: Clock; log: Logger; memory: HeldMemory };
  private readonly stopping = new AbortController();
  private ticking: Promise<void> | null = null;
  private leftBytes = 0;
  private releasedAt = Number.NEGATIVE_INFINITY;

  constructor(deps: { clock: Clock; log: Logger; memory: HeldMemory }) {
    this.deps = deps;
  }

  start(): void {
    this.ticking = this.keepLooking();
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    await this.ticking;
  }

  private async keepLooking(): Promise<void> {
    while (!this.stopping.signal.aborted) {
      await this.deps.clock.sleep(lookEveryMs, this.stopping.signal);
      if (!this.stopping.signal.aborted) this.look();
    }
  }

  private look(): void {
    const { clock, log, memory } = this.deps;
    if (memory.busyShare() > quietShare || clock.now() < this.releasedAt + pauseMs) return;
    const residentBytes = memory.residentBytes();
    if (residentBytes < this.leftBytes * worthwhileGrowth) return;
    memory.collect();
    this.leftBytes = memory.residentBytes();
    this.releasedAt = clock.now();
    log.debug({ residentBytes, leftBytes: this.leftBytes }, "memory was given back");
  }
}
