/**
 * Opens one folder of a snapshot: everything that restic knows of what is in it, into the snapshot's index. A path that is
 * not UTF-8 can be no argument of restic: such a folder is reached through its parent, which tells its id.
 */
import { shownSnapshotPath, splitSnapshotPath } from "@restic-manager/protocol";
import type { ResticAccess } from "../commands/job-context.ts";
import { AgentError } from "../platform/errors.ts";
import { catBlobArgs, catTreeArgs } from "../restic/args.ts";
import { isSnapshotGone, type ResticProblem } from "../restic/exit.ts";
import { parseBackupLine } from "../restic/output.ts";
import { type PipedOutcome, runPiped } from "../restic/piped.ts";
import { findProblem } from "../restic/probe.ts";
import type { ShortDeps } from "../restic/short.ts";
import { ObjectCutter, parseTreeNode, type TreeNode } from "../restic/tree-output.ts";
import type { SnapshotIndex } from "./snapshot-index.ts";

export type FolderRead = {
  access: ResticAccess;
  snapshotId: string;
  index: SnapshotIndex;
  signal: AbortSignal;
  /** More entries are refused: what is kept in memory must be bounded. */
  maxEntries: number;
};

/** The answer must be there before the server gives up after 60 s. */
const READ_WITHIN_MS = 50_000;
/** {"nodes":[{ */
const NODE_DEPTH = 3;

/** @throws AgentError with the code that the server shows, and a sentence */
export async function readFolder(deps: ShortDeps, read: FolderRead, path: string): Promise<void> {
  const args = path.startsWith("/")
    ? catTreeArgs(read.snapshotId, path)
    : catBlobArgs(await findSubtree(deps, read, path));
  const first = await readOnce(deps, read, path, args);
  // A read without a lock may meet a prune and lose the race once.
  const problem = first?.code === "restic.failed" ? await readOnce(deps, read, path, args) : first;
  if (problem !== undefined) throw explain(problem, path);
}

async function findSubtree(deps: ShortDeps, read: FolderRead, path: string): Promise<string> {
  const known = read.index.subtreeOf(path);
  if (known !== undefined) return known;
  const parts = splitSnapshotPath(path);
  if (parts !== null) await readFolder(deps, read, parts.folder);
  const found = read.index.subtreeOf(path);
  if (found === undefined) throw notFound(path);
  return found;
}

async function readOnce(
  deps: ShortDeps,
  { access, index, signal, maxEntries }: FolderRead,
  path: string,
  args: readonly string[],
): Promise<ResticProblem | undefined> {
  const folder = index.openFolder(path);
  let finished = false;
  try {
    let entries = 0;
    const cutter = new ObjectCutter(NODE_DEPTH);
    const outcome = await runPiped(deps, {
      argv: [access.resticPath, ...access.optionArgs, ...args],
      ...{ env: access.env, redact: access.redact, timeoutMs: READ_WITHIN_MS, signal },
      onChunk: (chunk) => {
        const nodes: TreeNode[] = [];
        for (const json of cutter.push(chunk)) {
          const node = parseTreeNode(json);
          if (node !== undefined) nodes.push(node);
        }
        entries += nodes.length;
        if (entries > maxEntries) throw tooLarge(path);
        folder.add(nodes);
      },
    });
    const problem = problemOf(outcome);
    if (problem !== undefined) return problem;
    folder.finish();
    finished = true;
    return undefined;
  } finally {
    if (!finished) folder.discard();
  }
}

/** @throws AgentError `tree.cancelled` */
export function problemOf(outcome: PipedOutcome): ResticProblem | undefined {
  const problem = findProblem(outcome);
  if (problem === "aborted") throw new AgentError("tree.cancelled", "Nobody waits for this any more.");
  return problem;
}

/** restic says what was wrong with the path only in words; its last ones count. */
export function explain(problem: ResticProblem, path: string): AgentError {
  for (const line of problem.stderrTail.toReversed()) {
    const known = explainLine(line, path);
    if (known !== undefined) return known;
  }
  return new AgentError(problem.code, problem.message.slice(0, 2000));
}

function explainLine(line: string, path: string): AgentError | undefined {
  const said = parseBackupLine(line);
  const words = said.kind === "exit_error" ? said.message : said.kind === "text" ? said.text : "";
  if (isSnapshotGone([words])) {
    const message = "This snapshot is not in the repository any more. Choose another one.";
    return new AgentError("tree.snapshot_gone", message);
  }
  if (words.endsWith(": not a directory"))
    return new AgentError("tree.not_a_folder", `${shown(path)} is not a folder in this snapshot.`);
  // A long path is cut off in the middle.
  if (words.endsWith(": not found") || (words.startsWith("path ") && words.length >= 1_000))
    return notFound(path);
  return undefined;
}

export const notFound = (path: string): AgentError =>
  new AgentError("tree.not_found", `There is no ${shown(path)} in this snapshot.`);

const tooLarge = (path: string): AgentError =>
  new AgentError(
    "tree.too_large",
    `${shown(path)} has more entries than can be shown without an index, for which there is no room on the host's disk.`,
  );

function shown(path: string): string {
  const text = JSON.stringify(shownSnapshotPath(path));
  return text.length > 500 ? `${text.slice(0, 500)}…` : text;
}

/** Opens the folders whose names `ls` does not tell, and the ones of such names in them. @returns how many were left */
export async function openUntold(
  deps: ShortDeps,
  read: FolderRead,
  folders: readonly string[],
  maxOpened: number,
): Promise<number> {
  const waiting = [...folders];
  for (let opened = 0; opened < maxOpened; opened += 1) {
    const path = waiting.shift();
    if (path === undefined) return 0;
    await readFolder(deps, read, path);
    waiting.push(...read.index.foldersToOpen(path));
  }
  return waiting.length;
}
