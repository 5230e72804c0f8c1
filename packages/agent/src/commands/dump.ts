/**
 * Reads files out of a snapshot for a download. No job: nothing is kept, no lock is taken, and it may be killed at any
 * moment. Invariant: what is not the whole ends with an error, never as if it were.
 */
import { type DumpEnd, type DumpStart, snapshotPathBytes } from "@restic-manager/protocol";
import { dumpArgs, listPathArgs } from "../restic/args.ts";
import { isSnapshotGone, type ResticProblem } from "../restic/exit.ts";
import { LineCutter } from "../restic/lines.ts";
import { piecesOf } from "../restic/piped.ts";
import { findProblem } from "../restic/probe.ts";
import { ARCHIVE_END, fileHead, filling, OpenEnd, type TarFile } from "../restic/tar.ts";
import { parseListedNode, type TreeNode } from "../restic/tree-output.ts";
import { ZipEnd } from "../restic/zip.ts";
import { type CommandDeps, type ResticAccess, visible } from "./job-context.ts";
import { isJobError, openRestic } from "./restic-access.ts";

type Failure = NonNullable<DumpEnd["error"]>;
/** Bytes, and in the end what is wrong with them; null when they are the whole. */
type Bytes = AsyncGenerator<Buffer, Failure | null>;

type Reader = {
  deps: CommandDeps;
  access: ResticAccess;
  snapshotId: string;
  signal: AbortSignal;
};

/** Opening a repository costs under a second locally; a loaded one over a WAN may need half a minute. */
const LOOK_TIMEOUT_MS = 45_000;
/** An entry's line: a name is at most 255 bytes, but extended attributes may be in it. */
const MAX_LINE_BYTES = 1024 * 1024;

/** The bytes that a download asks for. Aborting ends it early without an error. */
export async function* readDump(deps: CommandDeps, request: DumpStart, signal: AbortSignal): Bytes {
  const access = await openRestic(deps);
  if (isJobError(access)) return failure(access.code, access.message);
  const reader = { deps, access, snapshotId: request.snapshot_id, signal };
  const paths = outermost(request.paths.map(snapshotPathBytes));
  const [only] = paths;
  if (request.format === "raw" && only !== undefined && paths.length === 1) {
    const node = await findNode(reader, only);
    if ("code" in node) return node;
    return node.kind === "file" ? yield* readFile(reader, only, node) : refuseNode(only, node);
  }
  if (request.format === "zip") return only === undefined ? null : yield* readZip(reader, only);
  for (const path of paths) {
    const problem = yield* readIntoArchive(reader, path);
    if (problem !== null) return problem;
  }
  yield ARCHIVE_END;
  return null;
}

const SLASH = Buffer.from("/");

/** Without what is chosen twice, by itself or by a folder above it. */
export function outermost(paths: readonly Buffer[]): Buffer[] {
  const asFolder = (path: Buffer) => (path.equals(SLASH) ? path : Buffer.concat([path, SLASH]));
  return paths.filter((path, index) => {
    const covered = (other: Buffer, at: number) =>
      at !== index &&
      (path.equals(other) ? at < index : path.subarray(0, asFolder(other).length).equals(asFolder(other)));
    return !paths.some(covered);
  });
}

async function* readIntoArchive(reader: Reader, path: Buffer): Bytes {
  const node = path.equals(SLASH) ? "root" : await findNode(reader, path);
  if (node !== "root" && "code" in node) return node;
  if (node === "root" || node.kind === "folder") return yield* readFolder(reader, path);
  if (node.kind !== "file") return refuseNode(path, node);
  const file = toTarFile(path, node);
  yield fileHead(file);
  const problem = yield* readFile(reader, path, node);
  if (problem !== null) return problem;
  yield filling(file.sizeBytes);
  return null;
}

/** What restic did not tell is what does no harm. */
const toTarFile = (path: Buffer, { sizeBytes, mode, uid, gid, modifiedAtMs }: TreeNode): TarFile => ({
  ...{ name: path.subarray(1), sizeBytes: sizeBytes ?? 0, mode: mode ?? 0o600, uid: uid ?? 0, gid: gid ?? 0 },
  modifiedAtMs: modifiedAtMs ?? 0,
});

async function* readFolder(reader: Reader, path: Buffer): Bytes {
  const end = new OpenEnd();
  const problem = yield* mapped(restic(reader, dumpArgs(reader.snapshotId), path), (piece) =>
    end.push(piece),
  );
  if (problem !== undefined) return toFailure(problem);
  return end.isWhole || reader.signal.aborted ? null : incomplete(path);
}

/** restic's own zip. Two can't be made one: each ends with the list of what is in it. */
async function* readZip(reader: Reader, path: Buffer): Bytes {
  if (!path.equals(SLASH)) {
    const node = await findNode(reader, path);
    if ("code" in node) return node;
    if (node.kind !== "folder")
      return failure("dump.not_a_folder", `${shown(path)} is no folder. A zip archive is made of a folder.`);
  }
  const end = new ZipEnd();
  const archive = restic(reader, dumpArgs(reader.snapshotId, "zip"), path);
  const problem = yield* mapped(archive, (piece) => end.push(piece));
  if (problem !== undefined) return toFailure(problem);
  return end.isWhole || reader.signal.aborted ? null : incomplete(path);
}

async function* readFile(reader: Reader, path: Buffer, node: TreeNode): Bytes {
  let bytes = 0;
  const problem = yield* mapped(restic(reader, dumpArgs(reader.snapshotId), path), (piece) => {
    bytes += piece.length;
    return piece;
  });
  if (problem !== undefined) return toFailure(problem);
  return bytes === node.sizeBytes || reader.signal.aborted ? null : incomplete(path);
}

/** What lies at the path: the first entry that restic lists. It is then ended, for a folder's own entries follow. */
async function findNode(reader: Reader, path: Buffer): Promise<TreeNode | Failure> {
  const listing = restic(reader, listPathArgs(reader.snapshotId), path, LOOK_TIMEOUT_MS);
  try {
    const lines = new LineCutter(0, MAX_LINE_BYTES);
    for (;;) {
      const piece = await listing.next();
      if (piece.done) return piece.value === undefined ? notFound(path) : toFailure(piece.value);
      for (const { text } of lines.push(piece.value)) {
        const listed = parseListedNode(text);
        if (listed !== undefined) return listed.node;
      }
    }
  } finally {
    await listing.return(undefined);
  }
}

/** restic's output, and what went wrong; undefined when it ended well or was aborted. */
async function* restic(
  { deps, access, signal }: Reader,
  args: readonly string[],
  path: Buffer,
  timeoutMs?: number,
): AsyncGenerator<Buffer, ResticProblem | undefined> {
  const { env, redact } = access;
  const argv = [access.resticPath, ...access.optionArgs, ...args];
  const problem = findProblem(yield* piecesOf(deps, { argv, path, env, redact, timeoutMs, signal }));
  return problem === "aborted" ? undefined : problem;
}

async function* mapped<R>(
  source: AsyncGenerator<Buffer, R>,
  change: (piece: Buffer) => Buffer,
): AsyncGenerator<Buffer, R> {
  try {
    for (;;) {
      const piece = await source.next();
      if (piece.done) return piece.value;
      yield change(piece.value);
    }
  } finally {
    await source.return(undefined as R);
  }
}

function toFailure(problem: ResticProblem): Failure {
  if (isSnapshotGone(problem.stderrTail))
    return failure(
      "dump.snapshot_gone",
      "The repository no longer has this snapshot: it was forgotten meanwhile. Choose another one.",
    );
  return failure(problem.code, problem.message);
}

function refuseNode(path: Buffer, node: TreeNode): Failure {
  if (node.kind === "folder")
    return failure("dump.is_folder", `${shown(path)} is a folder. Ask for it as a tar archive.`);
  return failure(
    "dump.not_a_file",
    `${shown(path)} is neither a file nor a folder. Choose the folder that it is in: the archive then holds it.`,
  );
}

const notFound = (path: Buffer): Failure =>
  failure("dump.not_found", `This snapshot has no ${shown(path)}. Look for it in another snapshot.`);

const incomplete = (path: Buffer): Failure =>
  failure(
    "dump.incomplete",
    `restic gave other bytes of ${shown(path)} than its snapshot says. Check the repository.`,
  );

const shown = (path: Buffer): string => `"${visible(path.toString("utf8").slice(0, 500))}"`;

const failure = (code: string, message: string): Failure => ({ code, message: message.slice(0, 2000) });
