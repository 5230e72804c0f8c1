/**
 * What restic prints about what is in a snapshot: `cat tree`, `ls` and `find`. As tolerant as output.ts: no bytes ever make
 * these functions throw, and what can't be read is absent. Only `cat tree` tells names that are not UTF-8, targets of
 * links and owners by name.
 */
import type { TreeEntry } from "@restic-manager/protocol";
import { toSnapshotName } from "@restic-manager/protocol";
import { z } from "zod";
import { parseJson, toWhole } from "./output.ts";

export type NodeKind = TreeEntry["kind"];

export type TreeNode = {
  /** A `snapshotName` of the protocol. */
  name: string;
  kind: NodeKind;
  /** Of files only. */
  sizeBytes: number | null;
  /** Unix permission bits with setuid, setgid and sticky. */
  mode: number | null;
  uid: number | null;
  gid: number | null;
  /** Undefined where the command does not tell. */
  user: string | undefined;
  group: string | undefined;
  /** Epoch milliseconds; null for a time that no clock shows. */
  modifiedAtMs: number | null;
  target: string | null;
  /** Of a folder: the id of its own document. */
  subtree: string | null;
};

/** One line of `ls`. */
export type ListedNode = { node: TreeNode; path: string };

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const isOpening = (byte: number): boolean => byte === 0x7b || byte === 0x5b;
const isClosing = (byte: number): boolean => byte === 0x7d || byte === 0x5d;
/** A node of restic is under 10 kB, but its list of blobs grows with the file: 67 bytes for each MB or so. */
const MAX_OBJECT_BYTES = 256 * 1024 * 1024;

/**
 * Cuts the objects that lie `depth` brackets deep out of one JSON document that is far too long to be read at once:
 * 3 for the nodes of `cat tree` ({"nodes":[{), 2 for the snapshots of `find` ([{). Memory is that of one object.
 */
export class ObjectCutter {
  readonly #depth: number;
  #level = 0;
  #inString = false;
  #escaped = false;
  #held: Buffer[] = [];
  #heldBytes = 0;

  constructor(depth: number) {
    this.#depth = depth;
  }

  /** The objects that end within `chunk`, as text. */
  *push(chunk: Buffer): Generator<string> {
    let start = this.#level >= this.#depth ? 0 : -1;
    for (let at = 0; at < chunk.length; at += 1) {
      const byte = chunk[at] ?? 0;
      if (this.#inString) {
        at = this.#skipString(chunk, at);
      } else if (byte === QUOTE) {
        this.#inString = true;
      } else if (isOpening(byte)) {
        this.#level += 1;
        if (this.#level === this.#depth) start = at;
      } else if (isClosing(byte)) {
        if (this.#level === this.#depth && start >= 0) {
          yield this.#take(chunk.subarray(start, at + 1));
          start = -1;
        }
        this.#level -= 1;
      }
    }
    if (start >= 0) this.#hold(chunk.subarray(start));
  }

  /** @returns the last byte that was looked at */
  #skipString(chunk: Buffer, from: number): number {
    let at = from;
    for (; at < chunk.length; at += 1) {
      const byte = chunk[at];
      if (this.#escaped) this.#escaped = false;
      else if (byte === BACKSLASH) this.#escaped = true;
      else if (byte === QUOTE) {
        this.#inString = false;
        return at;
      }
    }
    return at;
  }

  #hold(piece: Buffer): void {
    if (this.#heldBytes + piece.length > MAX_OBJECT_BYTES)
      throw new RangeError("restic's answer is too long.");
    this.#held.push(Buffer.from(piece));
    this.#heldBytes += piece.length;
  }

  #take(last: Buffer): string {
    const text = this.#held.length === 0 ? last.toString() : Buffer.concat([...this.#held, last]).toString();
    this.#held = [];
    this.#heldBytes = 0;
    return text;
  }
}

const figure = z.number().int().nonnegative().optional().catch(undefined);
const size = z.number().nonnegative().catch(0).transform(toWhole);
const owner = z
  .string()
  .transform((name) => name.slice(0, 256))
  .optional()
  .catch(undefined);
const text = z.string().optional().catch(undefined);
const nodeFields = z.object({
  name: z.string().min(1),
  type: z.string().catch(""),
  mode: figure,
  size: size.optional(),
  uid: figure,
  gid: figure,
  user: owner,
  group: owner,
  mtime: text,
  linktarget: text,
  subtree: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .optional()
    .catch(undefined),
});

const treeDocument = z.object({ nodes: z.array(z.unknown()).nullable() });

const KINDS: Readonly<Record<string, NodeKind>> = {
  dir: "folder",
  file: "file",
  symlink: "link",
  dev: "device",
  chardev: "device",
  fifo: "fifo",
};
const MAX_TARGET_CHARS = 4096;

function toNode(fields: z.infer<typeof nodeFields>, name: string): TreeNode {
  const kind = (Object.hasOwn(KINDS, fields.type) ? KINDS[fields.type] : undefined) ?? "other";
  return {
    name,
    kind,
    // restic leaves out zeros, and the size of everything that has none.
    sizeBytes: kind === "file" ? (fields.size ?? 0) : null,
    mode: fields.mode === undefined ? null : toUnixMode(fields.mode),
    uid: fields.uid ?? null,
    gid: fields.gid ?? null,
    user: fields.user,
    group: fields.group,
    modifiedAtMs: toMs(fields.mtime),
    target: kind === "link" ? (fields.linktarget?.slice(0, MAX_TARGET_CHARS) ?? null) : null,
    subtree: fields.subtree ?? null,
  };
}

/** The nodes of `cat tree`; undefined when this is none. Bound the text before calling. */
export function parseTree(text: string): TreeNode[] | undefined {
  const document = treeDocument.safeParse(parseJson(text));
  return document.data && (document.data.nodes ?? []).flatMap((node) => toTreeNode(node) ?? []);
}

/** One node of `cat tree`. Undefined for what is none, such as a name that leads elsewhere. */
export function parseTreeNode(json: string): TreeNode | undefined {
  return toTreeNode(parseJson(json));
}

function toTreeNode(value: unknown): TreeNode | undefined {
  const parsed = nodeFields.safeParse(value);
  if (!parsed.success) return undefined;
  const name = unquote(parsed.data.name);
  if (name === undefined || !isName(name)) return undefined;
  return toNode({ user: "", group: "", ...parsed.data }, toSnapshotName(name));
}

const listed = nodeFields.extend({ path: z.string().startsWith("/"), struct_type: z.literal("node") });

/** One line of `ls`. Undefined for every other line. Bytes that are not UTF-8 are U+FFFD in it. */
export function parseListedNode(line: string): ListedNode | undefined {
  const parsed = listed.safeParse(parseJson(line));
  if (!parsed.success) return undefined;
  const name = Buffer.from(parsed.data.name);
  if (!isName(name)) return undefined;
  const { user, group, ...fields } = parsed.data;
  return { node: toNode(fields, toSnapshotName(name)), path: parsed.data.path };
}

const found = z.object({
  snapshot: z.string().regex(/^[0-9a-f]{64}$/),
  matches: z.array(z.object({ path: z.string() }).loose()).min(1),
});

/** One snapshot of `find` for this very path. Undefined when it is not in it. */
export function parseFound(json: string, path: string): { snapshotId: string; node: TreeNode } | undefined {
  const parsed = found.safeParse(parseJson(json));
  const match = parsed.success ? parsed.data.matches.find((one) => one.path === path) : undefined;
  if (!parsed.success || match === undefined) return undefined;
  // A match has no name of its own.
  const fields = nodeFields.safeParse({ ...match, name: "x" });
  return fields.success ? { snapshotId: parsed.data.snapshot, node: toNode(fields.data, "x") } : undefined;
}

function isName(bytes: Buffer): boolean {
  const name = bytes.toString("latin1");
  return name !== "" && name !== "." && name !== ".." && name.length <= 1024 && !/[/\0]/.test(name);
}

/** Go's FileMode has the permission bits where Unix has them, and the other three high up. */
function toUnixMode(goMode: number): number {
  const has = (bit: number) => Math.floor(goMode / 2 ** bit) % 2 === 1;
  return (goMode & 0o777) + (has(23) ? 0o4000 : 0) + (has(22) ? 0o2000 : 0) + (has(20) ? 0o1000 : 0);
}

/** Windows counts from here; before it is only Go's word for no time at all. */
const MIN_MS = Date.UTC(1601, 0, 1);
/** What a time in the protocol can say: years of four digits. */
const MAX_MS = Date.UTC(9999, 11, 31);

function toMs(time: string | undefined): number | null {
  const ms = time === undefined ? Number.NaN : Date.parse(time);
  return ms >= MIN_MS && ms <= MAX_MS ? ms : null;
}

const SHORT: Readonly<Record<string, string>> = {
  ...{ a: "\x07", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t", v: "\v" },
  ...{ "\\": "\\", '"': '"', "'": "'" },
};
const ESCAPE = /\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))/gs;

/** The bytes behind Go's `strconv.Quote`, without the quotes around. Undefined for what it never writes. */
export function unquote(quoted: string): Buffer | undefined {
  if (!quoted.includes("\\")) return Buffer.from(quoted);
  const parts: Buffer[] = [];
  let end = 0;
  for (const match of quoted.matchAll(ESCAPE)) {
    const bytes = bytesOfEscape(match);
    if (bytes === undefined) return undefined;
    parts.push(Buffer.from(quoted.slice(end, match.index)), bytes);
    end = match.index + match[0].length;
  }
  return Buffer.concat([...parts, Buffer.from(quoted.slice(end))]);
}

function bytesOfEscape([, byte, short, long, letter]: RegExpExecArray): Buffer | undefined {
  if (byte !== undefined) return Buffer.of(Number.parseInt(byte, 16));
  const point = Number.parseInt(short ?? long ?? "", 16);
  if (!Number.isNaN(point)) return point > 0x10ffff ? undefined : Buffer.from(String.fromCodePoint(point));
  const char = SHORT[letter ?? ""];
  return char === undefined ? undefined : Buffer.from(char);
}
