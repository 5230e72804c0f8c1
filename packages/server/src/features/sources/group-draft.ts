/**
 * A source group as somebody writes it, in a form or as JSON: the shape on the wire, what it becomes, and every rule
 * about its fields. An operation checks a draft whole, so that all that is wrong is said at once.
 */
import { groupName } from "@restic-manager/protocol";
import { z } from "zod";
import type { GroupProblem } from "./group-problems.ts";
import { checkHooks, defaultHookSeconds, type HookDraft, type HookDrafts } from "./hooks.ts";
import { type GroupFields, type Retention, retryDefaults } from "./source-group.ts";
import { checkIncludes } from "./source-paths.ts";

/** Everything that can be edited. */
export interface GroupDraft extends GroupFields, HookDrafts {}

export const groupLimits = {
  excludes: 10_000,
  patternLength: 4096,
  presentNames: 20,
  presentLength: 512,
  keepMost: 10_000,
  retryMax: 20,
  backoffSecondsLeast: 10,
  backoffSecondsMost: 1800,
  /** The group, two hooks and what is around them must fit one frame of the link. */
  jsonBytes: 600 * 1024,
};

const wireHook = z.strictObject({ script: z.string(), timeout_seconds: z.int().optional() });
export const hooksBody = z.strictObject({
  pre_hook: wireHook.nullable().optional(),
  post_hook: wireHook.nullable().optional(),
});
const amount = z.int().nullable().optional();
/** What is kept, on the wire; null or absent keeps nothing by that rule. Its rules are `checkRetention`. */
export const retentionBody = z.strictObject({
  keep_last: amount,
  keep_hourly: amount,
  keep_daily: amount,
  keep_weekly: amount,
  keep_monthly: amount,
  keep_yearly: amount,
  keep_within: z.string().nullable().optional(),
});

/** Types only: the rules are `checkGroupDraft`, each with its sentence, and the request's own limit bounds the rest. */
export const groupBody = z.strictObject({
  name: z.string(),
  includes: z.array(z.string()),
  excludes: z.array(z.string()).optional(),
  exclude_if_present: z.array(z.string()).optional(),
  exclude_larger_than_bytes: amount,
  one_file_system: z.boolean().optional(),
  exclude_caches: z.boolean().optional(),
  min_size_bytes: amount,
  retention: retentionBody.optional(),
  retry_max: z.int().optional(),
  retry_backoff_seconds: z.int().optional(),
  ...hooksBody.shape,
});
export type GroupBody = z.infer<typeof groupBody>;

/** What was sent as a draft; what was left out is off, and of the hooks as it was. Doubles are dropped. */
export function readGroupDraft(wire: GroupBody): GroupDraft {
  return {
    name: wire.name,
    includes: [...new Set(wire.includes)],
    excludes: [...new Set(wire.excludes)],
    options: {
      excludeIfPresent: [...new Set(wire.exclude_if_present)],
      excludeLargerThanBytes: wire.exclude_larger_than_bytes ?? null,
      oneFileSystem: wire.one_file_system ?? false,
      excludeCaches: wire.exclude_caches ?? false,
      minSizeBytes: wire.min_size_bytes ?? null,
    },
    retention: readRetention(wire.retention ?? {}),
    retryMax: wire.retry_max ?? retryDefaults.retryMax,
    retryBackoffSeconds: wire.retry_backoff_seconds ?? retryDefaults.retryBackoffSeconds,
    ...readHookDrafts(wire),
  };
}

/** A retention as it was sent. */
export const readRetention = (wire: z.infer<typeof retentionBody>): Retention => ({
  keepLast: wire.keep_last ?? null,
  keepHourly: wire.keep_hourly ?? null,
  keepDaily: wire.keep_daily ?? null,
  keepWeekly: wire.keep_weekly ?? null,
  keepMonthly: wire.keep_monthly ?? null,
  keepYearly: wire.keep_yearly ?? null,
  keepWithin: wire.keep_within || null,
});

/** The draft of the group's own row. */
export const fieldsOf = (draft: GroupDraft): GroupFields => ({
  name: draft.name,
  includes: draft.includes,
  excludes: draft.excludes,
  options: draft.options,
  retention: draft.retention,
  retryMax: draft.retryMax,
  retryBackoffSeconds: draft.retryBackoffSeconds,
});

/** Hooks as they were sent. */
export function readHookDrafts(wire: z.infer<typeof hooksBody>): HookDrafts {
  const read = (hook: z.infer<typeof wireHook> | null | undefined): HookDraft | null | undefined =>
    hook && { script: hook.script, timeoutSeconds: hook.timeout_seconds ?? defaultHookSeconds };
  return { preHook: read(wire.pre_hook), postHook: read(wire.post_hook) };
}

/** Everything that is wrong with a draft for a host with this system; no entry when nothing is. */
export function checkGroupDraft(draft: GroupDraft, os: string): GroupProblem[] {
  const problems = [
    ...checkName(draft.name),
    ...checkIncludes(draft.includes, os),
    ...checkExcludes(draft.excludes),
    ...checkOptions(draft),
    ...checkRetention(draft.retention),
    ...checkRetry(draft),
    ...checkHooks(draft),
  ];
  return problems.length > 0 ? problems : checkSize(draft);
}

const wrong = (path: string, message: string): GroupProblem[] => [{ path, message, code: "sources.invalid" }];

/** @returns no problem when the number is null or within its bounds */
function checkNumber(path: string, value: number | null, least: number, most: number): GroupProblem[] {
  if (value === null || (Number.isInteger(value) && value >= least && value <= most)) return [];
  const range = most === Number.MAX_SAFE_INTEGER ? `at least ${least}` : `from ${least} to ${most}`;
  return wrong(path, `This must be a whole number, ${range}.`);
}

function checkName(name: string): GroupProblem[] {
  if (groupName.safeParse(name).success) return [];
  const message =
    "A name has 1 to 80 characters without commas, control characters or blanks at its ends: it is the tag of the snapshots.";
  return wrong("name", message);
}

function checkExcludes(excludes: readonly string[]): GroupProblem[] {
  const { excludes: most, patternLength } = groupLimits;
  if (excludes.length > most)
    return wrong("excludes", `At most ${most} patterns in a group; these are ${excludes.length}.`);
  if (excludes.some((pattern) => pattern === "")) return wrong("excludes", "A pattern can't be empty.");
  if (excludes.some((pattern) => pattern.length > patternLength))
    return wrong("excludes", `A pattern has at most ${patternLength} characters.`);
  return excludes.some((pattern) => /[\0\r\n\p{Cs}]/u.test(pattern))
    ? wrong("excludes", "A pattern is one line, of characters that a file name can have.")
    : [];
}

function checkOptions({ options }: GroupDraft): GroupProblem[] {
  const most = Number.MAX_SAFE_INTEGER;
  return [
    ...checkPresentNames(options.excludeIfPresent),
    ...checkNumber("exclude_larger_than_bytes", options.excludeLargerThanBytes, 1, most),
    ...checkNumber("min_size_bytes", options.minSizeBytes, 1, most),
  ];
}

/** File names, of which each may go on as `name:first bytes`. */
function checkPresentNames(names: readonly string[]): GroupProblem[] {
  const path = "exclude_if_present";
  const { presentNames, presentLength } = groupLimits;
  if (names.length > presentNames)
    return wrong(path, `At most ${presentNames} file names here; these are ${names.length}.`);
  const odd = names.some((name) => name.length > presentLength || !/^[^:/\\]+(?::|$)/.test(name));
  if (odd || names.some((name) => /\p{Cc}|\p{Cs}/u.test(name)))
    return wrong(path, `These are names of files, without a folder, of at most ${presentLength} characters.`);
  return [];
}

/** Years, months, days and hours, in this order and at least one of them above zero. */
const durationRule = /^(?=.*[1-9])(?:\d{1,3}y)?(?:\d{1,4}m)?(?:\d{1,5}d)?(?:\d{1,6}h)?$/;

/** Everything that is wrong with a retention; no entry when nothing is. */
export function checkRetention(retention: Retention): GroupProblem[] {
  const most = groupLimits.keepMost;
  return [
    ...checkNumber("retention.keep_last", retention.keepLast, 1, most),
    ...checkNumber("retention.keep_hourly", retention.keepHourly, 1, most),
    ...checkNumber("retention.keep_daily", retention.keepDaily, 1, most),
    ...checkNumber("retention.keep_weekly", retention.keepWeekly, 1, most),
    ...checkNumber("retention.keep_monthly", retention.keepMonthly, 1, most),
    ...checkNumber("retention.keep_yearly", retention.keepYearly, 1, most),
    ...checkDuration("retention.keep_within", retention.keepWithin),
  ];
}

function checkDuration(path: string, duration: string | null): GroupProblem[] {
  if (duration === null || durationRule.test(duration)) return [];
  return wrong(path, "Write a duration in years, months, days and hours, such as 1y6m, 30d or 2d12h.");
}

function checkRetry({ retryMax, retryBackoffSeconds }: GroupDraft): GroupProblem[] {
  const { backoffSecondsLeast, backoffSecondsMost } = groupLimits;
  return [
    ...checkNumber("retry_max", retryMax, 0, groupLimits.retryMax),
    ...checkNumber("retry_backoff_seconds", retryBackoffSeconds, backoffSecondsLeast, backoffSecondsMost),
  ];
}

function checkSize(draft: GroupDraft): GroupProblem[] {
  if (Buffer.byteLength(JSON.stringify(fieldsOf(draft))) <= groupLimits.jsonBytes) return [];
  const message =
    "This group is too large: its lists may have 600 KiB together. Name folders instead of single files, or make two groups.";
  return [{ path: "includes", message, code: "sources.too_large" }];
}
