/** What a repository's page says of maintenance, in words. Pure. */
import type { ReadData } from "@restic-manager/protocol";
import { formatBytes, formatCount, formatNoun } from "../../platform/html/format.ts";
import type { Tone } from "../../platform/html/state.tsx";
import type {
  CadenceView,
  FireOutcome,
  LastRun,
  Operation,
  RepositoryView,
} from "../maintenance/maintenance.ts";

const dayMs = 24 * 60 * 60_000;

export const operationWords: Readonly<Record<Operation, { name: string; what: string }>> = {
  forget: { name: "Forget", what: "drops the snapshots that no retention keeps" },
  prune: { name: "Prune", what: "frees the space of what was dropped" },
  check: { name: "Check", what: "looks for damage" },
  verify: { name: "Restore drill", what: "proves that files come back" },
};

/** Why a planned time ran nothing. */
const skipReasons: Readonly<Record<Exclude<FireOutcome, "run">, string>> = {
  busy: "the last one had not ended",
  offline: "the host was offline",
  clock_skew: "the host’s clock is wrong",
  swapped: "another repository answers",
  no_admin_credential: "no admin credentials",
  refused: "the admin credentials may not delete",
  nothing: "no group has a retention",
};

/** What is missing when there is nothing to do. */
const nothingReasons: Partial<Record<Operation, string>> = { verify: "no group has a snapshot" };

/** A planned time that ran nothing, when it is newer than what ran last. */
export function newestSkip({
  operation,
  lastFire,
  lastRun,
}: Pick<CadenceView, "operation" | "lastFire" | "lastRun">): {
  at: number;
  reason: string;
  calm: boolean;
} | null {
  if (lastFire === null || lastFire.outcome === "run") return null;
  if ((lastRun?.finishedAt ?? 0) > lastFire.plannedAt) return null;
  const calm = lastFire.outcome === "nothing" || lastFire.outcome === "busy";
  const nothing = lastFire.outcome === "nothing" ? nothingReasons[operation] : undefined;
  return { at: lastFire.plannedAt, reason: nothing ?? skipReasons[lastFire.outcome], calm };
}

/** What a check reads. */
export function depthWords(readData: ReadData | null): string {
  if (readData === null) return "structure only";
  if ("percent" in readData)
    return readData.percent === 100 ? "all data" : `${readData.percent}\u00a0% of the data`;
  return `part ${formatCount(readData.slice)} of ${formatCount(readData.of)}`;
}

/** How much a planned drill brings back. */
export const drillBounds = ({ verifyFiles, verifyBytes }: RepositoryView["maintenance"]): string =>
  `restores up to ${formatNoun(verifyFiles, "file")}, ${formatBytes(verifyBytes)}`;

/** What a planned check reads. */
export function plannedDepth({ checkPercent, checkSlices }: RepositoryView["maintenance"]): string {
  if (checkSlices !== null) return `reads one of ${formatNoun(checkSlices, "part")} in turn`;
  return checkPercent === null
    ? "reads the structure only"
    : `reads ${depthWords({ percent: checkPercent })}`;
}

/** How much of the data was ever read. */
export function coverageWords(coverage: RepositoryView["coverage"], now: number): string {
  const { since, slicesRead, slicesOf } = coverage;
  if (since !== null) {
    const days = Math.max(1, Math.ceil((now - since) / dayMs));
    return days === 1
      ? "Every pack was read in the last day."
      : `Every pack was read in the last ${formatCount(days)} days.`;
  }
  if (slicesRead !== null && slicesOf !== null && slicesRead > 0)
    return `${formatCount(slicesRead)} of ${formatNoun(slicesOf, "part")} read so far.`;
  return "Not every pack was read yet. Parts in turn, or all data, read each of them.";
}

/** The size before compression, as a share of what is stored. */
export function compressionWords(rawBytes: number | null, uncompressedBytes: number | null): string {
  if (rawBytes === null || uncompressedBytes === null || rawBytes === 0) return "measured after a backup";
  const ratio = uncompressedBytes / rawBytes;
  return ratio < 1.05
    ? "compression saves nothing"
    : `${ratio.toFixed(ratio < 9.95 ? 1 : 0)} times what is stored`;
}

/** Whether the last check says that something is broken. */
export function isDamaged(check: LastRun | null): boolean {
  if (check === null) return false;
  if (check.error?.code === "restic.repository_damaged") return true;
  const { result } = check;
  return result?.kind === "check" && (result.error_count > 0 || result.broken_packs > 0);
}

/** Whether the last check asks for a new index; what is damaged may need one, too. */
export const wantsIndex = (check: LastRun | null): boolean =>
  isDamaged(check) || (check?.result?.kind === "check" && check.result.suggest_repair_index);

/** How the last restore drill ended, as a word with its colour. */
export function drillWord({ status, error }: Pick<LastRun, "status"> & { error: { code: string } | null }): {
  word: string;
  tone: Tone;
} {
  if (status === "succeeded") return { word: "proven", tone: "ok" };
  if (status === "warning") return { word: "nothing proven", tone: "warn" };
  return { word: error?.code === "verify.mismatch" ? "files are wrong" : status, tone: "fail" };
}

/** How the last check ended, as a word with its colour. */
export function checkWord(check: LastRun): { word: string; tone: Tone } {
  if (isDamaged(check)) return { word: "damaged", tone: "fail" };
  if (wantsIndex(check)) return { word: "index is stale", tone: "warn" };
  if (check.status === "succeeded") return { word: "no errors", tone: "ok" };
  if (check.status === "warning") return { word: "warnings", tone: "warn" };
  if (check.status === "cancelled") return { word: "cancelled", tone: "idle" };
  return { word: check.status, tone: "fail" };
}

/** What is known of a lock's holder. */
export function lockHolder(lock: NonNullable<RepositoryView["locks"]>[number]): { word: string; tone: Tone } {
  if (lock.jobAlive === true)
    return { word: `held by our ${lock.job?.kind ?? "job"}, which still runs`, tone: "idle" };
  if (lock.alive === true) return { word: "its process lives", tone: "idle" };
  if (lock.alive === false) return { word: "its process is gone", tone: "warn" };
  if (lock.jobAlive === false)
    return { word: `our ${lock.job?.kind ?? "job"} that made it has ended`, tone: "warn" };
  return { word: "nobody here knows its holder", tone: "warn" };
}

/** restic takes a lock for dead when it was not renewed for so long. */
export const staleLockMs = 30 * 60_000;

/** The locks that stand in the way of somebody: whose holder is gone, or that are old and nobody's. */
export function staleLocks(
  view: Pick<RepositoryView, "locks">,
  now: number,
): NonNullable<RepositoryView["locks"]> {
  return (view.locks ?? []).filter((lock) => {
    if (lock.jobAlive === true || lock.alive === true) return false;
    return lock.alive === false || lock.jobAlive === false || now - lock.createdAt > staleLockMs;
  });
}
