/**
 * How long the event loop is held up: by a histogram of libuv, and beside it by a timer that asks to be woken every
 * millisecond. Neither alone is trusted: the histogram can be late itself, the timer only sees what lies between two
 * wakings.
 */
import { monitorEventLoopDelay } from "node:perf_hooks";

const resolutionMs = 1;

export interface Blocks {
  /** The longest, by whichever of the two saw more. */
  longestMs: number;
  p99Ms: number;
  /** CPU time that this program used between two wakings, at most: on a busy machine the rest is others' work. */
  longestCpuMs: number;
}

/** Runs `work` and measures beside it. */
export async function measureBlocks<T>(work: () => Promise<T>): Promise<{ value: T; blocks: Blocks }> {
  const histogram = monitorEventLoopDelay({ resolution: resolutionMs });
  let wokenAt = performance.now();
  let usedAt = cpuMs();
  let longestMs = 0;
  let longestCpuMs = 0;
  const look = () => {
    const now = performance.now();
    longestMs = Math.max(longestMs, now - wokenAt);
    wokenAt = now;
    const used = cpuMs();
    longestCpuMs = Math.max(longestCpuMs, used - usedAt);
    usedAt = used;
  };
  const timer = setInterval(look, resolutionMs);
  histogram.enable();
  const value = await work();
  // What holds up the loop at the very end is seen only by a timer that comes after it.
  await new Promise((resolve) => setTimeout(resolve, 2 * resolutionMs));
  look();
  histogram.disable();
  clearInterval(timer);
  const seenMs = histogram.count === 0 ? 0 : histogram.max / 1e6;
  const p99Ms = histogram.percentile(99) / 1e6;
  return { value, blocks: { longestMs: Math.max(longestMs, seenMs), p99Ms, longestCpuMs } };
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
