/**
 * The first messages of a connection. FROZEN: old and new peers must always be able to say why they
 * disagree, so fields are only ever added here, and every new field is optional.
 *
 * The agent dials `GET /ws/agent` with `Authorization: Bearer …`. An unknown bearer is refused with HTTP 401
 * before the upgrade. The agent then speaks first: `hello`; the server answers `welcome` or `reject` and,
 * after a `reject`, closes. Nothing else is read before the welcome, so a peer of another version can harm nothing.
 */
import { z } from "zod";
import { code, count, hostName, id, instant, text } from "./primitives.ts";

/** The protocol versions that this build speaks; raised only when a message changes its meaning. */
export const protocolRange = { min: 1, max: 2 } as const;

/** From this version on a WebSocket ping is the heartbeat, and the agent sends no `heartbeat` beside it. */
export const pingIsHeartbeatFrom = 2;

/** A job that the agent knows: still running, or finished and its result not yet acknowledged. */
export const knownJob = z.object({ job_id: id, attempt: count, state: z.enum(["running", "finished"]) });

export const hello = z.object({
  type: z.literal("hello"),
  protocol: z.object({ min: count, max: count }),
  agent_version: text(64),
  restic_version: text(64).nullable(),
  /** Why restic can't be used, when it can't: missing, or too old. */
  restic_problem: z.object({ code, message: text(2000) }).nullish(),
  hostname: text(253),
  os: text(32),
  arch: text(32),
  /** Stable for an installation of the operating system; together with boot_id it tells a cloned machine apart. */
  machine_id: text(128).nullish(),
  boot_id: text(128).nullish(),
  /** The agent's clock when it sent this: the server measures the skew. */
  sent_at: instant,
  /** Names the outbox: a new one (fresh disk) starts counting from 1 again. */
  stream_id: id,
  jobs: z.array(knownJob).max(1000),
  /** The version of the set of schedules that is in force; absent from agents that keep no schedules. */
  schedule_version: count.nullish(),
  /** False: this host refuses hooks, by `allow_hooks` in its agent.yaml. */
  hooks_allowed: z.boolean().nullish(),
  /**
   * The kinds of repository whose variables, options and certificate this agent passes on, and that it can test. Absent
   * from agents that know a location and passwords only.
   */
  backend_kinds: z.array(text(32)).max(32).nullish(),
  /** The kinds of job that this agent can run. Absent from agents that know those of `jobKindsBefore`. */
  job_kinds: z.array(text(32)).max(64).nullish(),
});

export const welcome = z.object({
  type: z.literal("welcome"),
  protocol: count,
  server_version: text(64),
  host_id: id,
  host_name: hostName,
  heartbeat_interval_ms: count,
  /** The last event of this stream that the server has committed; the agent forgets up to it and resends the rest. */
  acked_seq: count,
  sent_at: instant,
});

/**
 * The connection is refused and retrying as is can't help.
 * Codes: `link.protocol_too_old`, `link.protocol_too_new`, `link.hello_invalid`, `link.host_removed`,
 * `link.twin` (another machine is connected with the same credentials).
 */
export const reject = z.object({ type: z.literal("reject"), code, message: text(2000) });

export type Hello = z.infer<typeof hello>;
export type Welcome = z.infer<typeof welcome>;
export type Reject = z.infer<typeof reject>;
export type KnownJob = z.infer<typeof knownJob>;

/** The version both sides use, or which side is too old. */
export function chooseVersion(
  ours: { min: number; max: number },
  theirs: { min: number; max: number },
): { ok: true; version: number } | { ok: false; code: "link.protocol_too_old" | "link.protocol_too_new" } {
  if (theirs.max < ours.min) return { ok: false, code: "link.protocol_too_old" };
  if (theirs.min > ours.max) return { ok: false, code: "link.protocol_too_new" };
  return { ok: true, version: Math.min(ours.max, theirs.max) };
}
