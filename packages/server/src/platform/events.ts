/**
 * Events inside one server: slices of lower rank tell slices of higher rank that something changed.
 * Rows are the truth; an event only wakes. Listeners run after the commit, must not throw and must not be awaited.
 */
import type { Logger } from "pino";

/** A typed name. Each slice exports the topics that it emits. */
export interface Topic<T> {
  readonly name: string;
  /** Carries the type only; never set. */
  readonly payload?: T;
}

export const topic = <T>(name: string): Topic<T> => ({ name });

export class EventBus {
  private readonly listeners = new Map<string, Set<(payload: never) => void>>();
  private readonly log: Logger;

  constructor(log: Logger) {
    this.log = log;
  }

  emit<T>(on: Topic<T>, payload: T): void {
    for (const listener of this.listeners.get(on.name) ?? []) {
      try {
        (listener as (payload: T) => void)(payload);
      } catch (error) {
        // One broken listener must not keep the others from waking; the row that changed is still right.
        this.log.error({ err: error, topic: on.name }, "an event listener failed");
      }
    }
  }

  /** @returns the function that ends the subscription */
  on<T>(to: Topic<T>, listener: (payload: T) => void): () => void {
    const set = this.listeners.get(to.name) ?? new Set();
    this.listeners.set(to.name, set);
    set.add(listener as (payload: never) => void);
    return () => {
      set.delete(listener as (payload: never) => void);
      if (set.size === 0) this.listeners.delete(to.name);
    };
  }
}
