/**
 * Events of one server, and between the replicas of one: slices of lower rank tell slices of higher rank that something
 * changed. Rows are the truth; an event only wakes, and one of another replica may get lost (`eventsMissed` of
 * replicas.ts). Listeners run after the commit, must not throw and must not be awaited.
 */
import type { Logger } from "pino";
import type { z } from "zod";

/** A typed name. Each slice exports the topics that it emits. */
export interface Topic<T> {
  readonly name: string;
  /** Carries the type only; never set. */
  readonly payload?: T;
}

/** A topic that other replicas hear too. */
export interface SharedTopic<T> extends Topic<T> {
  /** What another replica, maybe of another version, sent → the payload. */
  readonly schema: z.ZodType<T>;
  /**
   * The payload as JSON goes between replicas; undefined when this one stays here. It has about 7,000 bytes: one that is
   * larger makes the others read the rows instead.
   */
  toWire(payload: T): unknown;
}

/** Where an event was emitted: by this server, or by another replica. */
export type Origin = "here" | "replica";

/** Takes what other replicas are to hear. MUST NOT throw. */
export type Bridge = (topic: string, wire: unknown) => void;

export const topic = <T>(name: string): Topic<T> => ({ name });

/** `toWire` makes the payload smaller on its way, or keeps it here; what it leaves out the schema must put back. */
export const sharedTopic = <T>(
  name: string,
  { payload, toWire = (all) => all }: { payload: z.ZodType<T>; toWire?: (payload: T) => unknown },
): SharedTopic<T> => ({ name, schema: payload, toWire });

const isShared = <T>(of: Topic<T>): of is SharedTopic<T> => "schema" in of;

/** Of any topic; only `on` and `wake` know that name and payload belong together. */
type Listener = (payload: never, origin: Origin) => void;

export class EventBus {
  private readonly listeners = new Map<string, Set<Listener>>();
  /** The shared topics that somebody has listened to, by name: what others send of them is understood. */
  private readonly shared = new Map<string, SharedTopic<unknown>>();
  private readonly log: Logger;
  private bridge: Bridge | null = null;

  constructor(log: Logger) {
    this.log = log;
  }

  /** Listeners here are woken before this returns; other replicas hear a shared topic soon after. */
  emit<T>(on: Topic<T>, payload: T): void {
    this.wake(on.name, payload, "here");
    if (!this.bridge || !isShared(on)) return;
    try {
      const wire = on.toWire(payload);
      if (wire !== undefined) this.bridge(on.name, wire);
    } catch (error) {
      this.log.error({ err: error, topic: on.name }, "an event could not be put into its form for the wire");
    }
  }

  /** @returns the function that ends the subscription */
  on<T>(to: Topic<T>, listener: (payload: T, origin: Origin) => void): () => void {
    const set = this.listeners.get(to.name) ?? new Set();
    this.listeners.set(to.name, set);
    set.add(listener as Listener);
    if (isShared(to)) this.shared.set(to.name, to as SharedTopic<unknown>);
    return () => {
      set.delete(listener as Listener);
      if (set.size === 0) this.listeners.delete(to.name);
    };
  }

  /** From now on shared topics go to `bridge` too; null ends it. */
  connect(bridge: Bridge | null): void {
    this.bridge = bridge;
  }

  /** Wakes listeners here with what another replica sent. Nothing happens for what this version does not understand. */
  deliver(name: string, wire: unknown): void {
    let payload: unknown;
    try {
      const topic = this.shared.get(name);
      if (!topic) return;
      payload = topic.schema.parse(wire);
    } catch {
      this.log.debug({ topic: name }, "an event of another replica was not understood");
      return;
    }
    this.wake(name, payload, "replica");
  }

  private wake(name: string, payload: unknown, origin: Origin): void {
    for (const listener of this.listeners.get(name) ?? []) {
      try {
        (listener as (payload: unknown, origin: Origin) => void)(payload, origin);
      } catch (error) {
        // One broken listener must not keep the others from waking; the row that changed is still right.
        this.log.error({ err: error, topic: name }, "an event listener failed");
      }
    }
  }
}
