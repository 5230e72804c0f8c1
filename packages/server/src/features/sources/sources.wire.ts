/** Source groups and hooks as JSON. A hook's text is in none but `wireHooks`, which is for operators. */
import { z } from "zod";
import { toInstant } from "../../platform/clock.ts";
import type { HookFact, HookFacts, OpenHooks } from "./hooks.ts";
import type { Retention, SourceGroup } from "./source-group.ts";

const wireFact = z
  .object({ digest: z.string(), timeout_seconds: z.number(), updated_at: z.string() })
  .nullable();
export const wireHookFacts = z.object({ pre_hook: wireFact, post_hook: wireFact });

const wireHook = z.object({ script: z.string(), timeout_seconds: z.number() }).nullable();
export const wireHooks = z.object({ pre_hook: wireHook, post_hook: wireHook });

const number = z.number().nullable();
export const wireGroup = z.object({
  id: z.string(),
  host_id: z.string(),
  name: z.string(),
  includes: z.array(z.string()),
  excludes: z.array(z.string()),
  exclude_if_present: z.array(z.string()),
  exclude_larger_than_bytes: number,
  one_file_system: z.boolean(),
  exclude_caches: z.boolean(),
  min_size_bytes: number,
  retention: z.object({
    keep_last: number,
    keep_hourly: number,
    keep_daily: number,
    keep_weekly: number,
    keep_monthly: number,
    keep_yearly: number,
    keep_within: z.string().nullable(),
  }),
  retry_max: z.number(),
  retry_backoff_seconds: z.number(),
  ...wireHookFacts.shape,
  version: z.number(),
  created_at: z.string(),
  updated_at: z.string().nullable(),
});
export type WireGroup = z.output<typeof wireGroup>;

const toWireFact = (fact: HookFact | null): z.output<typeof wireFact> =>
  fact && {
    digest: fact.digest,
    timeout_seconds: fact.timeoutSeconds,
    updated_at: toInstant(fact.updatedAt),
  };

export const toWireFacts = (facts: HookFacts | undefined): z.output<typeof wireHookFacts> => ({
  pre_hook: toWireFact(facts?.preHook ?? null),
  post_hook: toWireFact(facts?.postHook ?? null),
});

/** Secret as a whole. */
export function toWireHooks({ preHook, postHook }: OpenHooks): z.output<typeof wireHooks> {
  const print = (hook: OpenHooks["preHook"]) =>
    hook && { script: hook.script, timeout_seconds: hook.timeoutSeconds };
  return { pre_hook: print(preHook), post_hook: print(postHook) };
}

export const toWireGroup = (group: SourceGroup, facts: HookFacts | undefined): WireGroup => ({
  id: group.id,
  host_id: group.hostId,
  name: group.name,
  includes: group.includes,
  excludes: group.excludes,
  exclude_if_present: group.options.excludeIfPresent,
  exclude_larger_than_bytes: group.options.excludeLargerThanBytes,
  one_file_system: group.options.oneFileSystem,
  exclude_caches: group.options.excludeCaches,
  min_size_bytes: group.options.minSizeBytes,
  retention: toWireRetention(group.retention),
  retry_max: group.retryMax,
  retry_backoff_seconds: group.retryBackoffSeconds,
  ...toWireFacts(facts),
  version: group.version,
  created_at: toInstant(group.createdAt),
  updated_at: group.updatedAt === null ? null : toInstant(group.updatedAt),
});

const toWireRetention = (retention: Retention): WireGroup["retention"] => ({
  keep_last: retention.keepLast,
  keep_hourly: retention.keepHourly,
  keep_daily: retention.keepDaily,
  keep_weekly: retention.keepWeekly,
  keep_monthly: retention.keepMonthly,
  keep_yearly: retention.keepYearly,
  keep_within: retention.keepWithin,
});
