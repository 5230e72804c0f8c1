/**
 * The form of a source group as text: every field is a string, as it was posted or as it is stored. A box is `on` or
 * empty, so that one that was unchecked stays so when the form comes back.
 */

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
