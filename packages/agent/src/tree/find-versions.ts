/**
 * What one path is in many snapshots. restic opens the repository once for all of them, and reads only the folders on the
 * way to the path. Bounded in time: the newest are asked first, and what there was no time for is said.
 */
import type { TreeVersionList } from "@restic-manager/protocol";
import type { ResticAccess } from "../commands/job-context.ts";
import type { Clock } from "../platform/clock.ts";
import { AgentError } from "../platform/errors.ts";
import { findArgs } from "../restic/args.ts";
import { runPiped } from "../restic/piped.ts";
import type { ShortDeps } from "../restic/short.ts";
import { ObjectCutter, parseFound, type TreeNode } from "../restic/tree-output.ts";
import { explain, problemOf } from "./read-folder.ts";

export type VersionQuestion = {
  access: ResticAccess;
  /** Newest first. */
  snapshotIds: readonly string[];
  path: string;
  signal: AbortSignal;
};

type Versions = Pick<TreeVersionList, "versions" | "truncated">;

/** The answer must be there before the server gives up after 60 s. */
const FIND_WITHIN_MS = 50_000;
/** Of a slow storage at least these are there before time runs out. */
const FIRST_SNAPSHOTS = 10;
/** [{ */
const SNAPSHOT_DEPTH = 2;

/** @throws AgentError with the code that the server shows, and a sentence */
export async function findVersions(
  deps: ShortDeps & { clock: Clock },
  question: VersionQuestion,
): Promise<Versions> {
  const { snapshotIds, path } = question;
  if (!path.startsWith("/")) {
    const message =
      "restic can't look for a name that is not UTF-8. Open its folder in each snapshot instead.";
    throw new AgentError("tree.path_not_utf8", message);
  }
  const found = new Map<string, TreeNode>();
  const endsAtMs = deps.clock.monotonicMs() + FIND_WITHIN_MS;
  let truncated = false;
  for (const part of [snapshotIds.slice(0, FIRST_SNAPSHOTS), snapshotIds.slice(FIRST_SNAPSHOTS)]) {
    if (part.length === 0 || truncated) continue;
    truncated = await findIn(deps, { ...question, snapshotIds: part }, endsAtMs, found);
  }
  const versions = snapshotIds.flatMap((snapshot_id) => {
    const node = found.get(snapshot_id);
    return node === undefined ? [] : [{ snapshot_id, ...toVersion(node) }];
  });
  return { versions, truncated };
}

/** @returns whether time ran out */
async function findIn(
  deps: ShortDeps & { clock: Clock },
  { access, snapshotIds, path, signal }: VersionQuestion,
  endsAtMs: number,
  found: Map<string, TreeNode>,
): Promise<boolean> {
  const cutter = new ObjectCutter(SNAPSHOT_DEPTH);
  const outcome = await runPiped(deps, {
    argv: [access.resticPath, ...access.optionArgs, ...findArgs(snapshotIds, path)],
    ...{ env: access.env, redact: access.redact, signal },
    timeoutMs: Math.max(0, endsAtMs - deps.clock.monotonicMs()),
    onChunk: (chunk) => {
      for (const json of cutter.push(chunk)) {
        const one = parseFound(json, path);
        if (one !== undefined) found.set(one.snapshotId, one.node);
      }
    },
  });
  if (outcome.kind === "timeout" && found.size > 0) return true;
  const problem = problemOf(outcome);
  if (problem !== undefined) throw explain(problem, path);
  return false;
}

function toVersion({ kind, sizeBytes, mode, modifiedAtMs }: TreeNode) {
  const modified_at = modifiedAtMs === null ? null : new Date(modifiedAtMs).toISOString();
  return { kind, size_bytes: sizeBytes, mode, modified_at };
}
