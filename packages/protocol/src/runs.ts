/**
 * The identity of a scheduled run. Its job's id follows from its key, so that server and agent, each on its own and
 * without asking, give the same run the same id: whatever gets lost between them, it can't be made twice.
 */
import { createHash } from "node:crypto";

const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

export interface RunKey {
  scheduleId: string;
  /** Epoch milliseconds at a whole minute. */
  plannedAt: number;
  sourceGroupId: string;
  /** 0 for the run itself; each retry by the server counts one more. */
  tries: number;
}

/**
 * A ULID (https://github.com/ulid/spec) whose time is the planned time and whose 80 random bits are the first of
 * SHA-256 over the key.
 */
export function scheduledJobId(key: RunKey): string {
  const text = ["scheduled run", key.scheduleId, key.plannedAt, key.sourceGroupId, key.tries].join("\n");
  const hash = createHash("sha256").update(text).digest();
  let time = "";
  for (let rest = key.plannedAt, i = 0; i < 10; i++, rest = Math.floor(rest / 32)) {
    time = crockford[rest % 32] + time;
  }
  let drawn = "";
  for (const byte of hash.subarray(0, 16)) drawn += crockford[byte % 32];
  return time + drawn;
}

/**
 * How long after its planned time a run begins: 0 … `jitterSeconds`, always the same for one run, different from
 * schedule to schedule, so that a thousand hosts at 03:00 do not start in one second. Milliseconds.
 */
export function jitterMs(scheduleId: string, plannedAt: number, jitterSeconds: number): number {
  if (jitterSeconds <= 0) return 0;
  const hash = createHash("sha256").update(`jitter\n${scheduleId}\n${plannedAt}`).digest();
  return Math.floor((hash.readUInt32BE(0) / 2 ** 32) * jitterSeconds * 1000);
}
