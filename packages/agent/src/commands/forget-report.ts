/** A forget in words and figures: pure functions from what was planned and what is left to what an operator reads. */
import type { ForgetSpec, JobError } from "@restic-manager/protocol";
import type { LineDraft } from "../journal/job-log.ts";
import type { ForgetPlan } from "../restic/repository-output.ts";
import type { JobResult } from "./job-context.ts";

export type GroupError = Pick<JobError, "code" | "message">;

/** How far it came with one group. */
export type GroupEnd = {
  sourceGroup: string;
  /** Before anything was removed; empty when it could not be read. */
  plan: ForgetPlan;
  error: GroupError | null;
  /** restic was told to remove what is planned. */
  tried: boolean;
  /** restic's last words, where it failed. */
  lastLines: string[];
  exitCode: number | null;
};

/** A group's figures as listed afterwards. */
export type GroupResult = { source_group: string; kept: number; removed: number; error: GroupError | null };

/** A few snapshots more or less are no accident, whatever their share. */
const ALWAYS_ALLOWED = 10;

/** Undefined when the plan may be carried out. */
export function findTooMany(plan: ForgetPlan, spec: ForgetSpec): GroupError | undefined {
  const removed = plan.remove.length;
  const all = plan.keep.length + removed;
  if (spec.confirmed || removed <= ALWAYS_ALLOWED || removed * 100 <= all * spec.max_removed_percent)
    return undefined;
  const message = `${removed} of ${all} snapshots would go, more than ${spec.max_removed_percent} %. Nothing was removed. Look at the preview of this policy, and confirm the removal if that is what you want.`;
  return { code: "forget.too_many", message };
}

const REFUSED =
  "The storage refuses deletion (append-only): the snapshots are still there. Enter an admin credential that may delete in the repository's settings, or leave the removal to a host that has one.";
const UNCONFIRMED =
  "restic removed what the policy does not keep, but the list of snapshots could not be read afterwards. It is read again after the next backup.";

/** @param listed the ids of the group's snapshots afterwards; undefined when they could not be read */
export function toGroupResult(end: GroupEnd, listed: readonly string[] | undefined): GroupResult {
  const { sourceGroup: source_group, plan } = end;
  if (listed === undefined) {
    const error = end.error ?? (end.tried ? { code: "forget.unconfirmed", message: UNCONFIRMED } : null);
    return { source_group, kept: plan.keep.length + plan.remove.length, removed: 0, error };
  }
  const left = new Set(listed);
  const removed = end.tried ? plan.remove.filter((id) => !left.has(id)).length : 0;
  const refused = end.tried && end.error === null && removed < plan.remove.length;
  const error = refused ? { code: "forget.not_removed", message: REFUSED } : end.error;
  return { source_group, kept: listed.length, removed, error };
}

/** The storage said 403 to this group's removal: that is why it failed, whatever restic's exit code. */
export const refusedGroup: GroupError = { code: "forget.not_removed", message: REFUSED };

/** Failed when nothing could be done; a group that is left alone for its share, or in part, makes a warning. */
export function concludeForget(groups: readonly GroupResult[], ends: readonly GroupEnd[]): JobResult {
  const failed = groups.filter(({ error }) => error !== null);
  const nothing = failed.every(({ removed, error }) => removed === 0 && error?.code !== "forget.too_many");
  const status =
    failed.length === 0 ? "succeeded" : failed.length === groups.length && nothing ? "failed" : "warning";
  return {
    status,
    error: failed.length === 0 ? null : toForgetError(failed, ends),
    exitCode: ends.findLast(({ exitCode }) => exitCode !== null)?.exitCode ?? null,
    summary: null,
    closing: groups.map(toLine),
    result: { kind: "forget", groups: [...groups] },
  };
}

/** The first one's code; the sentences of all, as far as there is room. */
function toForgetError(failed: readonly GroupResult[], ends: readonly GroupEnd[]): JobError {
  const sentences = failed.map(({ source_group, error }) => `"${source_group}": ${error?.message ?? ""}`);
  const lastLines = ends.find(({ lastLines }) => lastLines.length > 0)?.lastLines ?? [];
  return {
    code: failed[0]?.error?.code ?? "restic.failed",
    message: sentences.join(" ").slice(0, 4000),
    last_lines: lastLines.slice(-20).map((line) => line.slice(0, 4096)),
  };
}

function toLine({ source_group, kept, removed, error }: GroupResult): LineDraft {
  const figures = `"${source_group}": ${removed} snapshots removed, ${kept} kept.`;
  if (error === null) return { level: "info", stream: "agent", text: figures };
  return { level: "warning", stream: "agent", text: `${figures} ${error.message}` };
}
