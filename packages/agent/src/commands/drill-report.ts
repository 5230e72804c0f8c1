/** A restore drill in words: pure functions. */
import type { JobError, VerifyProblem, VerifyResult, VerifySpec } from "@restic-manager/protocol";
import type { LineDraft } from "../journal/job-log.ts";
import type { RestoreProgress } from "../restic/restore-output.ts";
import { formatBytes, toWireProgress } from "./backup-report.ts";
import { visible } from "./job-context.ts";

/** More names than this make a sentence unreadable; the result has some more, the log has all. */
const NAMED = 5;
const NAME_CHARS = 400;

const PROBLEMS: Record<VerifyProblem, string> = {
  missing: "did not come back",
  type: "is no file any more",
  size: "has another size",
  mtime: "has another time",
  mode: "has another mode",
  source: "differs from the source, whose size and time are as in the snapshot",
};

const nounOf = (count: number): string => (count === 1 ? "file" : "files");

export function mismatchLine({ path, problem }: VerifyResult["mismatches"][number]): LineDraft {
  return { level: "error", stream: "agent", text: `${visible(path)} ${PROBLEMS[problem]}.` };
}

/** What keeps a drill from being a success; null when every file is as it should be. */
export function mismatchError(result: VerifyResult, lastLines: readonly string[]): JobError | null {
  const { mismatch_count: count, mismatches, files } = result;
  if (count === 0) return null;
  const named = mismatches
    .slice(0, NAMED)
    .map(({ path, problem }) => `${visible(path).slice(0, NAME_CHARS)} ${PROBLEMS[problem]}`);
  const more = count > named.length ? `; and ${count - named.length} more` : "";
  const message = `${count} of ${files} ${nounOf(files)} did not come back as they should: ${named.join("; ")}${more}. Check the repository with its data read, and the storage below it, before you rely on its snapshots.`;
  return error("verify.mismatch", message, lastLines);
}

export function noSnapshot({ source_group: group, host_name: host }: VerifySpec): JobError {
  return error(
    "verify.no_snapshot",
    `There is no snapshot of "${group}" of ${host} in the repository, so there is nothing to restore. Back it up first.`,
  );
}

export function nothingDrawn(leftOut: number, maxBytes: number): JobError {
  const reason =
    leftOut === 0
      ? "The newest snapshot holds no file at all. Check the paths of the source group."
      : `The newest snapshot holds no file that a drill can restore: each of its ${leftOut} is larger than the ${formatBytes(maxBytes)} that a drill may restore, or has a name that restic can't be told. Allow more in the repository's maintenance.`;
  return error("verify.nothing_drawn", `Nothing was proven. ${reason}`);
}

/** @param freeBytes null when restic met the end of the disk by itself */
export function noRoom(neededBytes: number, freeBytes: number | null): JobError {
  const free = freeBytes === null ? "the disk is full" : `only ${formatBytes(freeBytes)} are free`;
  return error(
    "verify.no_room",
    `The drill wants to restore ${formatBytes(neededBytes)} into the agent's data folder, and ${free} there. Free space on that disk, or let drills restore less in the repository's maintenance.`,
  );
}

function error(code: string, message: string, lastLines: readonly string[] = []): JobError {
  return { code, message: message.slice(0, 4000), last_lines: [...lastLines] };
}

export function beginLine(
  spec: VerifySpec,
  drill: { snapshotId: string; files: number; bytes: number },
): LineDraft {
  const { snapshotId, files, bytes } = drill;
  const what = `${files} ${nounOf(files)} (${formatBytes(bytes)}) of snapshot ${snapshotId.slice(0, 8)}`;
  const text = `Restores ${what} of "${spec.source_group}" to compare them, drawn with seed ${spec.seed}.`;
  return { level: "info", stream: "agent", text };
}

export function endLines(result: VerifyResult, removed: boolean): LineDraft[] {
  const { files, bytes, source_files: withSource, mismatch_count: wrong } = result;
  const good = files - wrong;
  const text = `${good} of ${files} ${nounOf(files)} (${formatBytes(bytes)}) are as the snapshot says; ${withSource} were compared with their source byte by byte, the others are not there as they were.`;
  const kept: LineDraft = {
    level: "warning",
    stream: "agent",
    text: "What was restored could not be removed; the agent tries again at its next start.",
  };
  return [{ level: "info", stream: "agent", text }, ...(removed ? [] : [kept])];
}

/** restic's status in the protocol's shape. */
export function toDrillProgress(progress: RestoreProgress) {
  return toWireProgress({ ...progress, errorCount: 0, currentFiles: [] });
}
