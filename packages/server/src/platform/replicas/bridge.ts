/**
 * Brings shared events to other replicas and theirs here. Invariants: a frame is never sent twice; what may be lost on
 * the way, or was never sent, leaves a gap in the sender's numbers, by which whoever is behind it learns that it has to
 * read the rows; what waits is bounded.
 */
import type { Logger } from "pino";
import type { EventBus } from "../events.ts";
import { fitsFrame, parseFrame, takeEvents, writeFrame } from "./frames.ts";
import { eventsMissed } from "./replicas.ts";

/** Beyond it, reading rows is cheaper than to be told of each. */
const maxWaiting = 10_000;
/** Senders whose number is known; more than there ever are replicas. */
const maxSenders = 1_000;

/** Sends one NOTIFY; rejects when it may not have been sent. */
export type Notify = (text: string) => Promise<void>;

export interface BridgeDeps {
  id: string;
  bus: EventBus;
  log: Logger;
  /** A frame of a replica arrived of which none had arrived before, or not since it was lost. */
  onStranger(): void;
}

export class Bridge {
  private readonly deps: BridgeDeps;
  /** Events for the next frames, each its JSON text, so that an equal one is there once. */
  private readonly waiting = new Set<string>();
  /** The last number of each other replica. */
  private readonly seen = new Map<string, number>();
  private notify: Notify | null = null;
  private sending = false;
  private lastSending: Promise<void> = Promise.resolve();
  private beatDue = false;
  /** The last number that was used, by a frame or by a gap. */
  private numbered = 0;
  /** The number of the last frame that PostgreSQL took. */
  private sent = 0;
  /** The number of our own last frame that came back. */
  private heard = 0;

  constructor(deps: BridgeDeps) {
    this.deps = deps;
  }

  /** Takes one event for the others. Never throws. */
  publish = (topic: string, wire: unknown): void => {
    const text = JSON.stringify([topic, wire]);
    if (!this.notify || !fitsFrame(text)) {
      this.numbered++;
      return;
    }
    if (this.waiting.size >= maxWaiting) this.drop();
    // The newest stands last: of "connected, away, connected" the end must be what is true.
    this.waiting.delete(text);
    this.waiting.add(text);
    this.pump();
  };

  /** There is a connection to send on. */
  open(notify: Notify): void {
    this.notify = notify;
    this.heard = this.sent;
  }

  /** There is none: from now on others miss what happens here, and will learn so. */
  close(): void {
    this.notify = null;
    if (this.waiting.size > 0) this.drop();
  }

  /** Sends a frame even when there is nothing to tell, so that the loss of the last one is noticed. */
  beat(): void {
    this.beatDue = true;
    this.pump();
  }

  /** Whether every frame that was sent has come back to its sender, as all listeners hear it. */
  get isHeard(): boolean {
    return this.sending || this.heard >= this.sent;
  }

  /** Resolves when nothing waits to be sent. */
  async flush(): Promise<void> {
    while (this.sending) await this.lastSending;
  }

  /** What arrived on the channel, from whomever. Never throws. */
  receive(text: string): void {
    const { id, bus, log } = this.deps;
    const frame = parseFrame(text);
    if (!frame) {
      log.debug("something that is no frame arrived between replicas");
      return;
    }
    if (frame.from === id) {
      this.heard = Math.max(this.heard, frame.n);
      return;
    }
    if (!this.seen.has(frame.from)) this.deps.onStranger();
    const missed = this.count(frame.from, frame.n);
    for (const [topic, wire] of frame.events) bus.deliver(topic, wire);
    if (missed) bus.emit(eventsMissed, {});
  }

  /** A replica is gone: should it come back, what it told meanwhile was missed. */
  forget(replicaId: string): void {
    this.seen.delete(replicaId);
  }

  /** @returns whether a frame before this one did not arrive; one that is late changes nothing */
  private count(from: string, n: number): boolean {
    const last = this.seen.get(from) ?? 0;
    if (n <= last) return false;
    if (this.seen.size >= maxSenders) this.seen.clear();
    this.seen.set(from, n);
    return n !== last + 1;
  }

  private drop(): void {
    this.waiting.clear();
    this.numbered++;
  }

  private pump(): void {
    if (!this.sending) this.lastSending = this.sendAll();
  }

  /** One frame after the other: what gathers while one is under way goes together in the next. Never rejects. */
  private async sendAll(): Promise<void> {
    this.sending = true;
    try {
      while (this.notify && (this.waiting.size > 0 || this.beatDue)) {
        this.beatDue = false;
        const n = ++this.numbered;
        await this.notify(writeFrame(this.deps.id, n, takeEvents(this.waiting)));
        this.sent = n;
      }
    } catch (error) {
      // Its number is used, so the next frame shows the gap.
      this.deps.log.warn(
        { err: error },
        "other replicas could not be told of events; they will read the rows",
      );
    } finally {
      this.sending = false;
    }
  }
}
