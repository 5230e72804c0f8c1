/**
 * Counts failed tries of one kind by one visitor, so that a password can't be guessed by trying. In memory and
 * bounded: a restart forgives, which costs an attacker more time than it gives.
 */
import { AppError } from "../../platform/errors.ts";

/** An attempt counts when it begins, not when it fails: a burst of parallel tries can't slip through. */
export interface AttemptLimit {
  /** @throws AppError `auth.rate_limited` with `retry_after_seconds` when the window's tries are used up */
  begin(key: string, nowMs: number): void;
  /** Forgets the tries after a success. */
  forgive(key: string): void;
}

/** Ten tries: enough for a person who mistypes, hopeless for a guesser. */
const maxAttempts = 10;
const windowMs = 15 * 60_000;
/** About 2 MB. The oldest window gives way, which is the one that would end first anyway. */
const maxKeys = 10_000;

export function createAttemptLimit(): AttemptLimit {
  const windows = new Map<string, { endsAt: number; attempts: number }>();
  return {
    begin(key, nowMs) {
      const known = windows.get(key);
      if (known && known.endsAt > nowMs) {
        known.attempts++;
        if (known.attempts > maxAttempts) throw tooMany(known.endsAt - nowMs);
        return;
      }
      // Removed first, so that the map stays ordered by the windows' ends.
      windows.delete(key);
      const oldest = windows.keys().next();
      if (windows.size >= maxKeys && !oldest.done) windows.delete(oldest.value);
      windows.set(key, { endsAt: nowMs + windowMs, attempts: 1 });
    },
    forgive: (key) => void windows.delete(key),
  };
}

function tooMany(waitMs: number): AppError {
  const minutes = Math.max(1, Math.ceil(waitMs / 60_000));
  const message = `Too many failed tries. Try again in ${minutes} ${minutes === 1 ? "minute" : "minutes"}.`;
  return new AppError("rate_limited", "auth.rate_limited", message, {
    details: { retry_after_seconds: Math.ceil(waitMs / 1000) },
  });
}
