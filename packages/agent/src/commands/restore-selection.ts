/**
 * What a selection is in its snapshot: there or not, and of which kind and size. Each folder that holds a selection is read
 * once, without a lock. A folder too large to be read leaves its selections unknown: they are restored and not compared.
 */
import type { JobError } from "@restic-manager/protocol";
import { catBlobArgs, catTreeArgs } from "../restic/args.ts";
import type { ResticProblem } from "../restic/exit.ts";
import { type Answer, askRestic } from "../restic/probe.ts";
import { isPathMissing, isSnapshotGone } from "../restic/restore-output.ts";
import {
  isWithin,
  joinRaw,
  type NodeKind,
  nameOf,
  type Owner,
  parentOf,
  parseTree,
  type RawPath,
  type TreeNode,
  toText,
} from "../restic/tree-nodes.ts";
import type { CommandDeps, ResticAccess } from "./job-context.ts";
import { toJobError } from "./restic-access.ts";

export type Selected = {
  path: RawPath;
  kind: NodeKind | "unknown" /** Of files only. */;
  sizeBytes: number | null;
  owner: Owner | null;
};

export type SelectionOutcome =
  | { kind: "ok"; selected: Selected[]; missing: RawPath[] }
  | { kind: "failed"; error: JobError }
  | { kind: "aborted" };

export type FolderOutcome =
  | { kind: "ok"; nodes: TreeNode[] }
  | { kind: "missing" }
  | { kind: "too_large" }
  | { kind: "failed"; error: JobError }
  | { kind: "aborted" };

export type TreeSource = { snapshotId: string; access: ResticAccess; signal: AbortSignal };

const SNAPSHOT_GONE: JobError = {
  code: "restore.snapshot_gone",
  message:
    "The repository does not have this snapshot any more: it was forgotten meanwhile. Choose another one; the list of this host's snapshots is read again after its next backup.",
  last_lines: [],
};

/** Finds every path in the snapshot. `/` is always there. */
export async function findSelected(
  deps: CommandDeps,
  source: TreeSource,
  paths: readonly RawPath[],
): Promise<SelectionOutcome> {
  const found = new Map<RawPath, Selected>();
  for (const folder of new Set(paths.map(parentOf))) {
    const inside = paths.filter((path) => parentOf(path) === folder);
    const read = await readFolder(deps, source, folder);
    if (read.kind === "aborted" || read.kind === "failed") return read;
    for (const path of inside) {
      const selected = describe(path, read);
      if (selected !== undefined) found.set(path, selected);
    }
  }
  const selected = paths.flatMap((path) => found.get(path) ?? []);
  return { kind: "ok", selected, missing: paths.filter((path) => !found.has(path)) };
}

function describe(path: RawPath, read: FolderOutcome): Selected | undefined {
  if (path === "/") return { path, kind: "folder", sizeBytes: null, owner: null };
  if (read.kind === "too_large") return { path, kind: "unknown", sizeBytes: null, owner: null };
  const node = read.kind === "ok" ? read.nodes.find(({ name }) => name === nameOf(path)) : undefined;
  return node && { path, kind: node.kind, sizeBytes: node.sizeBytes, owner: node.owner };
}

/** What a folder of the snapshot holds. */
export async function readFolder(
  deps: CommandDeps,
  source: TreeSource,
  folder: RawPath,
): Promise<FolderOutcome> {
  const start = readablePart(folder);
  let read = await ask(deps, source, catTreeArgs(source.snapshotId, toText(start) ?? "/"));
  for (const name of segmentsBelow(folder, start)) {
    if (read.kind !== "ok") return read;
    const subtree = read.nodes.find((node) => node.name === name)?.subtree;
    if (subtree == null) return { kind: "missing" };
    read = await ask(deps, source, catBlobArgs(subtree));
  }
  return read;
}

/** The deepest folder above, or the folder itself, that an argument can name. */
export function readablePart(folder: RawPath): RawPath {
  let part = folder;
  while (toText(part) === undefined) part = parentOf(part);
  return part;
}

function segmentsBelow(path: RawPath, folder: RawPath): string[] {
  if (path === folder || !isWithin(path, folder)) return [];
  return path
    .slice(joinRaw(folder, "/").length)
    .split("/")
    .filter((name) => name !== "");
}

async function ask(deps: CommandDeps, source: TreeSource, args: readonly string[]): Promise<FolderOutcome> {
  const { resticPath, env, redact } = source.access;
  const options = { resticPath, env, redact, signal: source.signal };
  const answer = await askTwice(() => askRestic(deps, options, args));
  if (answer.kind === "aborted") return answer;
  if (answer.kind === "failed") return judge(answer.problem);
  const nodes = parseTree(answer.stdout);
  return nodes === undefined ? { kind: "missing" } : { kind: "ok", nodes };
}

/** A read without a lock may meet a prune and lose the race once. */
async function askTwice(ask: () => Promise<Answer>): Promise<Answer> {
  const first = await ask();
  const raced =
    first.kind === "failed" &&
    first.problem.code === "restic.failed" &&
    !isPathMissing(first.problem.stderrTail) &&
    !isSnapshotGone(first.problem.stderrTail);
  return raced ? ask() : first;
}

function judge(problem: ResticProblem): FolderOutcome {
  if (isPathMissing(problem.stderrTail)) return { kind: "missing" };
  if (isSnapshotGone(problem.stderrTail))
    return { kind: "failed", error: { ...SNAPSHOT_GONE, last_lines: toJobError(problem).last_lines } };
  if (problem.code === "restic.output_too_large") return { kind: "too_large" };
  return { kind: "failed", error: toJobError(problem) };
}

/** The error of a run that failed because its snapshot went away; undefined for any other. */
export function findGone(stderrTail: readonly string[]): JobError | undefined {
  return isSnapshotGone(stderrTail) ? { ...SNAPSHOT_GONE, last_lines: stderrTail.slice(-20) } : undefined;
}
