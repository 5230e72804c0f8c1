/**
 * The form of a source group as text: every field is a string, as it was posted or as it is stored. A box is `on` or
 * empty, so that one that was unchecked stays so when the form comes back.
 */
import type { GroupDraft } from "./group-draft.ts";
import { fieldOf, readHookForm } from "./hook-form.ts";
import type { HookField } from "./hooks.views.tsx";
import { noOptions, noRetention, retryDefaults, type SourceGroup } from "./source-group.ts";

/** The fields in the order of the screen, by their names in the post. */
export const groupFields = [
  "name",
  "includes",
  "excludes",
  "exclude_if_present",
  "exclude_larger_than",
  "exclude_larger_than_unit",
  "exclude_caches",
  "one_file_system",
  "min_size",
  "min_size_unit",
  "keep_last",
  "keep_hourly",
  "keep_daily",
  "keep_weekly",
  "keep_monthly",
  "keep_yearly",
  "keep_within",
  "retry_max",
  "retry_backoff_seconds",
  "pre_hook",
  "pre_hook_timeout_seconds",
  "post_hook",
  "post_hook_timeout_seconds",
] as const;
export type GroupField = (typeof groupFields)[number];
export type GroupValues = Record<GroupField, string>;

/** What a person reads for a field. */
export const fieldLabels: Readonly<Record<GroupField, string>> = {
  name: "Name",
  includes: "Paths",
  excludes: "Left out",
  exclude_if_present: "Leave out folders that hold",
  exclude_larger_than: "Leave out files larger than",
  exclude_larger_than_unit: "Unit of the largest file",
  exclude_caches: "Leave out caches",
  one_file_system: "Stay on one file system",
  min_size: "Expected at least",
  min_size_unit: "Unit of the expected size",
  keep_last: "Last",
  keep_hourly: "Hourly",
  keep_daily: "Daily",
  keep_weekly: "Weekly",
  keep_monthly: "Monthly",
  keep_yearly: "Yearly",
  keep_within: "Everything within",
  retry_max: "Tries after a failure",
  retry_backoff_seconds: "First pause",
  pre_hook: "Before the backup",
  pre_hook_timeout_seconds: "Time limit before",
  post_hook: "After the backup",
  post_hook_timeout_seconds: "Time limit after",
};

/** The units of a size, as a select offers them. */
export const sizeUnits = { KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3, TiB: 1024 ** 4 } as const;
type SizeUnit = keyof typeof sizeUnits;

/** Bytes as number and unit, in the largest unit that says them without a fraction. */
export function splitSize(sizeBytes: number | null): { value: string; unit: string } {
  if (sizeBytes === null) return { value: "", unit: "MiB" };
  const unit = (["TiB", "GiB", "MiB"] as const).find((name) => sizeBytes % sizeUnits[name] === 0) ?? "KiB";
  return { value: String(sizeBytes / sizeUnits[unit]), unit };
}

/** Number and unit as bytes: null for an empty field, NaN for what is no number. A comma is read as a point. */
export function joinSize(value: string, unit: string): number | null {
  const text = value.trim().replace(",", ".");
  if (text === "") return null;
  const factor = sizeUnits[unit as SizeUnit] ?? Number.NaN;
  return /^\d+(\.\d+)?$/.test(text) ? Math.round(Number(text) * factor) : Number.NaN;
}

/** One entry a line; empty lines are none. Blanks inside are part of a path, a carriage return never is. */
export const linesOf = (text: string): string[] =>
  text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== "");

/** A group as its form has it; without one, as a new form begins. */
export function groupValues(group: SourceGroup | null, hooks: Record<HookField, string>): GroupValues {
  const { options = noOptions, retention = noRetention } = group ?? {};
  const largest = splitSize(options.excludeLargerThanBytes);
  const least = splitSize(options.minSizeBytes);
  const number = (value: number | null) => String(value ?? "");
  return {
    name: group?.name ?? "",
    includes: (group?.includes ?? []).join("\n"),
    excludes: (group?.excludes ?? []).join("\n"),
    exclude_if_present: options.excludeIfPresent.join("\n"),
    exclude_larger_than: largest.value,
    exclude_larger_than_unit: largest.unit,
    exclude_caches: options.excludeCaches ? "on" : "",
    one_file_system: options.oneFileSystem ? "on" : "",
    min_size: least.value,
    min_size_unit: least.unit,
    keep_last: number(retention.keepLast),
    keep_hourly: number(retention.keepHourly),
    keep_daily: number(retention.keepDaily),
    keep_weekly: number(retention.keepWeekly),
    keep_monthly: number(retention.keepMonthly),
    keep_yearly: number(retention.keepYearly),
    keep_within: retention.keepWithin ?? "",
    retry_max: String(group?.retryMax ?? retryDefaults.retryMax),
    retry_backoff_seconds: String(group?.retryBackoffSeconds ?? retryDefaults.retryBackoffSeconds),
    ...hooks,
  };
}

/** A whole number as typed: null for an empty field, NaN for what is none. The rules answer to that. */
const countOf = (text: string): number | null =>
  text.trim() === "" ? null : /^\d+$/.test(text.trim()) ? Number(text) : Number.NaN;

/** What was typed as a draft; what it can't be is left to the rules, so that all problems are said at once. */
export function readGroupForm(values: GroupValues): GroupDraft {
  return {
    name: values.name.trim(),
    includes: [...new Set(linesOf(values.includes))],
    excludes: [...new Set(linesOf(values.excludes))],
    options: {
      excludeIfPresent: [...new Set(linesOf(values.exclude_if_present))],
      excludeLargerThanBytes: joinSize(values.exclude_larger_than, values.exclude_larger_than_unit),
      oneFileSystem: values.one_file_system === "on",
      excludeCaches: values.exclude_caches === "on",
      minSizeBytes: joinSize(values.min_size, values.min_size_unit),
    },
    retention: {
      keepLast: countOf(values.keep_last),
      keepHourly: countOf(values.keep_hourly),
      keepDaily: countOf(values.keep_daily),
      keepWeekly: countOf(values.keep_weekly),
      keepMonthly: countOf(values.keep_monthly),
      keepYearly: countOf(values.keep_yearly),
      keepWithin: values.keep_within.replace(/\s/g, "").toLowerCase() || null,
    },
    retryMax: countOf(values.retry_max) ?? Number.NaN,
    retryBackoffSeconds: countOf(values.retry_backoff_seconds) ?? Number.NaN,
    ...readHookForm(values),
  };
}

/** The problems of an operation by the fields of the form. */
export function groupProblems(errors: Readonly<Record<string, string>>): Partial<Record<GroupField, string>> {
  const named = Object.entries(errors).map(([path, message]) => {
    const field = fieldOf(path)
      .replace(/^retention\./, "")
      .replace(/_bytes$/, "");
    return [field, message];
  });
  return Object.fromEntries(named);
}
