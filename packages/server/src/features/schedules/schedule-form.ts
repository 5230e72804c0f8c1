/** The form of a schedule as text, as it was posted or as it is stored; `enabled` is `on` or empty. */
import type { Schedule, ScheduleDraft } from "./schedule.ts";

export const scheduleFields = ["cron", "time_zone", "jitter_minutes", "enabled"] as const;
export type ScheduleField = (typeof scheduleFields)[number] | "source_group_ids";
export type ScheduleValues = Record<(typeof scheduleFields)[number], string>;

/** What a new schedule begins with: every night, when nobody works. */
export const newSchedule: ScheduleValues = {
  cron: "0 3 * * *",
  time_zone: "UTC",
  jitter_minutes: "0",
  enabled: "on",
};

/** What most people want, by one click. */
export const cronChips = [
  { label: "Hourly", cron: "0 * * * *" },
  { label: "Daily 03:00", cron: "0 3 * * *" },
  { label: "Weekdays 03:00", cron: "0 3 * * 1-5" },
  { label: "Sundays 03:00", cron: "0 3 * * 0" },
  { label: "Monthly, 1st 03:00", cron: "0 3 1 * *" },
] as const;

/** Seconds as minutes, as few digits as say it. */
export const minutesOf = (seconds: number): string => String(Math.round((seconds / 60) * 1000) / 1000);

/** Minutes as typed, as seconds: an empty field is none, NaN what is no number. A comma is read as a point. */
export function secondsOf(minutes: string): number {
  const text = minutes.trim().replace(",", ".");
  if (text === "") return 0;
  return /^\d+(\.\d+)?$/.test(text) ? Math.round(Number(text) * 60) : Number.NaN;
}

/** A schedule as its form has it. */
export function scheduleValues(schedule: Schedule): ScheduleValues {
  return {
    cron: schedule.cron,
    time_zone: schedule.timeZone,
    jitter_minutes: minutesOf(schedule.jitterSeconds),
    enabled: schedule.pausedAt === null ? "on" : "",
  };
}

/** What was typed as a draft; what it can't be is left to the rules. */
export function readScheduleForm(values: ScheduleValues, sourceGroupIds: string[]): ScheduleDraft {
  return {
    cron: values.cron,
    timeZone: values.time_zone.trim(),
    jitterSeconds: secondsOf(values.jitter_minutes),
    enabled: values.enabled === "on",
    sourceGroupIds,
  };
}

/** The problems of an operation by the fields of the form. */
export function scheduleProblems(
  errors: Readonly<Record<string, string>>,
): Partial<Record<ScheduleField, string>> {
  const { jitter_seconds: spread, ...same } = errors;
  return spread === undefined ? same : { ...same, jitter_minutes: spread };
}
