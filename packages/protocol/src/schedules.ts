/**
 * Schedules on the wire. The agent keeps the last set that it was told and its own cron; at a planned time it asks the
 * server, and without an answer runs from its own copy and tells later, under the same key (docs/adr/0004, 0009).
 */
import { z } from "zod";
import { maxCronChars } from "./cron.ts";
import { backupSpec } from "./jobs.ts";
import { code, count, id, instant, text } from "./primitives.ts";

/** One schedule of the host; paused ones are not sent. */
export const scheduleEntry = z.object({
  schedule_id: id,
  cron: text(maxCronChars),
  time_zone: text(64),
  /** A run begins up to so many seconds after its planned time (`jitterMs`). */
  jitter_seconds: count.max(86_400),
  source_group_ids: z.array(id).min(1).max(100),
  /** Planned times before this one have their outcome, or never were this schedule's. */
  first_planned_at: instant,
});
export type ScheduleEntry = z.infer<typeof scheduleEntry>;

/** A source group with everything that a run needs when the server can't be asked, hooks included: secret as a whole. */
export const scheduledGroup = z.object({ source_group_id: id, spec: backupSpec });
export type ScheduledGroup = z.infer<typeof scheduledGroup>;

/**
 * Server → agent, on connect after the configuration and on every change: the host's whole set, cut into parts that
 * each fit a frame. It counts when part `parts` is in; parts of another version are dropped. `version` grows with
 * every change; on connect the set counts whatever its number, as with `config.update`.
 */
export const scheduleSet = z.object({
  type: z.literal("schedule.set"),
  version: count,
  part: count.min(1),
  parts: count.min(1).max(1000),
  groups: z.array(scheduledGroup).max(1000),
  schedules: z.array(scheduleEntry).max(1000),
});
export type ScheduleSet = z.infer<typeof scheduleSet>;

/** Agent → server: this version is on the disk and in force. Volatile; repeated in the next hello. */
export const scheduleAck = z.object({ type: z.literal("schedule.ack"), version: count });

/** Agent → server: it is time. Volatile; asked again until answered or until the agent runs by itself. */
export const scheduleFire = z.object({
  type: z.literal("schedule.fire"),
  schedule_id: id,
  planned_at: instant,
});
export type ScheduleFire = z.infer<typeof scheduleFire>;

/**
 * Server → agent: what became of a fire. `taken`: its jobs exist, now or from before, and come as commands.
 * `refused`: there shall be none, such as for a schedule that was paused or deleted meanwhile; `code` says why.
 */
export const scheduleFired = z.object({
  type: z.literal("schedule.fired"),
  schedule_id: id,
  planned_at: instant,
  outcome: z.enum(["taken", "refused"]),
  code: code.nullish(),
});
export type ScheduleFired = z.infer<typeof scheduleFired>;

/**
 * Agent → server, durable, before the job's `job.started`: a run of a schedule that the agent began by itself because
 * the server could not be asked. `job_id` MUST be the `scheduledJobId` of its key with no tries; `spec` without hooks.
 */
export const scheduleRan = z.object({
  type: z.literal("schedule.ran"),
  seq: count,
  job_id: id,
  attempt: count,
  schedule_id: id,
  planned_at: instant,
  source_group_id: id,
  at: instant,
  spec: backupSpec,
});
export type ScheduleRan = z.infer<typeof scheduleRan>;
