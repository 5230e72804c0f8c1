/**
 * What restic's commands about a whole repository print: forget, prune, check, locks, stats. As tolerant as output.ts:
 * no bytes ever make these functions throw, and what can't be read is absent.
 */
import { z } from "zod";
import { parseJson, toWhole } from "./output.ts";

const fullId = z.string().regex(/^[0-9a-f]{8,64}$/);
const snapshots = z
  .array(z.object({ id: fullId }))
  .nullish()
  .transform((list) => (list ?? []).map(({ id }) => id));
const forgetGroups = z.array(z.object({ keep: snapshots, remove: snapshots })).nullable();

/** Ids of snapshots. A plan and no result: on append-only storage restic prints it and removes nothing. */
export type ForgetPlan = { keep: string[]; remove: string[] };

/** The document of `forget --json`; nothing at all when no snapshot matched. Undefined for what is none. */
export function parseForgetPlan(text: string): ForgetPlan | undefined {
  if (text.trim() === "") return { keep: [], remove: [] };
  const groups = forgetGroups.safeParse(parseJson(text));
  if (!groups.success) return undefined;
  const all = groups.data ?? [];
  return { keep: all.flatMap(({ keep }) => keep), remove: all.flatMap(({ remove }) => remove) };
}

export type CheckSummary = {
  errorCount: number;
  brokenPacks: number;
  suggestRepairIndex: boolean;
  suggestPrune: boolean;
};

const figure = z.number().nonnegative().catch(0).transform(toWhole);
const checkSummary = z.object({
  message_type: z.literal("summary"),
  num_errors: figure,
  broken_packs: z.array(z.unknown()).catch([]),
  suggest_repair_index: z.boolean().catch(false),
  suggest_prune: z.boolean().catch(false),
});

/** The last line of `check --json`, since 0.18. No verdict: a locked repository has an "error" in it as well. */
export function parseCheckSummary(line: string): CheckSummary | undefined {
  const parsed = line.startsWith("{") ? checkSummary.safeParse(parseJson(line)) : undefined;
  if (parsed?.success !== true) return undefined;
  const { num_errors, broken_packs, suggest_repair_index, suggest_prune } = parsed.data;
  return {
    errorCount: num_errors,
    brokenPacks: broken_packs.length,
    suggestRepairIndex: suggest_repair_index,
    suggestPrune: suggest_prune,
  };
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];
const TOTAL_PRUNE = /^total prune:\s+\d+ blobs \/ (\d+(?:\.\d+)?) ([KMGT]?i?B)$/;

/** The bytes of the line in which `prune` says how much goes. It says so before it does it. */
export function parsePrunedBytes(line: string): number | undefined {
  const [, amount = "", unit = ""] = TOTAL_PRUNE.exec(line) ?? [];
  const power = UNITS.indexOf(unit);
  const bytes = Math.round(Number(amount) * 1024 ** power);
  return power >= 0 && Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** restic's figures for people who watch a terminal; in a log they would only drown the rest. */
export function isTerminalProgress(line: string): boolean {
  return /^\[(\d+:)?\d+:\d+\] +(\d+(\.\d+)?%|\d+ )/.test(line);
}

/** How many locks `unlock` says it removed. */
export function parseRemovedLocks(line: string): number | undefined {
  const removed = /^successfully removed (\d{1,6}) locks?$/.exec(line)?.[1];
  return removed === undefined ? undefined : Number(removed);
}

/** The ids in `list locks`. */
export function parseLockIds(text: string): string[] {
  return text.split("\n").flatMap((line) => fullId.safeParse(line.trim()).data ?? []);
}

export type LockFile = {
  hostname: string;
  username: string;
  pid: number;
  exclusive: boolean;
  /** Epoch milliseconds. */
  createdAtMs: number;
};

const lockFile = z.object({
  time: z.string(),
  exclusive: z.boolean().catch(false),
  hostname: z.string().catch(""),
  username: z.string().catch(""),
  pid: z.int().nonnegative().catch(0),
});

/** The protocol's instants have four digits for the year. */
const YEAR_10000_MS = Date.UTC(10_000, 0);

/** The document of `cat lock`; undefined for what is none. */
export function parseLock(text: string): LockFile | undefined {
  const parsed = lockFile.safeParse(parseJson(text));
  const createdAtMs = Date.parse(parsed.data?.time ?? "");
  if (!parsed.success || !(createdAtMs >= 0 && createdAtMs < YEAR_10000_MS)) return undefined;
  const { exclusive, hostname, username, pid } = parsed.data;
  return { hostname, username, pid, exclusive, createdAtMs };
}

export type KeyFile = {
  id: string;
  /** Whether it opened the repository. */
  current: boolean;
  username: string;
  hostname: string;
  createdAtMs: number | null;
};

const keyFiles = z.array(
  z.object({
    id: z.string().regex(/^[0-9a-f]{64}$/),
    current: z.boolean(),
    userName: z.string().catch(""),
    hostName: z.string().catch(""),
    created: z.string().catch(""),
  }),
);

/** The document of `key list --json`; undefined for what is none. Times have no zone: restic runs in UTC here. */
export function parseKeys(text: string): KeyFile[] | undefined {
  return keyFiles.safeParse(parseJson(text)).data?.map(({ id, current, userName, hostName, created }) => {
    const [, day, time] = /^(\d{4}-\d{2}-\d{2}) (\d{2}:\d{2}:\d{2})$/.exec(created) ?? [];
    const createdAtMs = Date.parse(`${day}T${time}Z`);
    const known = createdAtMs >= 0 && createdAtMs < YEAR_10000_MS;
    return { id, current, username: userName, hostname: hostName, createdAtMs: known ? createdAtMs : null };
  });
}

/** The id that `key add` tells. */
export function parseAddedKey(line: string): string | undefined {
  return /^saved new key with ID ([0-9a-f]{64})$/.exec(line.trim())?.[1];
}

export type RawStats = {
  rawBytes: number | null;
  /** Absent before compression, and in repositories of format 1. */
  uncompressedBytes: number | null;
  snapshotCount: number | null;
};

const known = z.int().nonnegative().nullable().catch(null);
const rawStats = z.object({
  total_size: known,
  total_uncompressed_size: known,
  snapshots_count: known,
});

/** The document of `stats --mode raw-data`; undefined for what is none. */
export function parseRawStats(text: string): RawStats | undefined {
  const { data } = rawStats.safeParse(parseJson(text));
  if (data === undefined) return undefined;
  const { total_size, total_uncompressed_size, snapshots_count } = data;
  return {
    rawBytes: total_size,
    uncompressedBytes: total_uncompressed_size,
    snapshotCount: snapshots_count,
  };
}

/** The repository's id in `cat config`. */
export function parseRepositoryId(text: string): string | undefined {
  return z.object({ id: fullId }).safeParse(parseJson(text)).data?.id;
}
