/**
 * What a folder of a snapshot holds, from `cat tree` and `cat blob`: knows restic's JSON of trees. Names are bytes there,
 * quoted as Go does it, and stay bytes here: a `RawPath` has one character for each byte, so that string functions work.
 */
import { z } from "zod";
import { parseJson } from "./output.ts";

/** One character (U+0000 to U+00FF) for each byte of a path with `/`. */
export type RawPath = string;

/** The bytes of a text. */
export function toRaw(text: string): RawPath {
  return Buffer.from(text, "utf8").toString("latin1");
}

/** For people: bytes that are not UTF-8 become U+FFFD. */
export function shownRaw(raw: RawPath): string {
  return Buffer.from(raw, "latin1").toString("utf8");
}

/** The same path as text; undefined when its bytes are not UTF-8. */
export function toText(raw: RawPath): string | undefined {
  const text = shownRaw(raw);
  return toRaw(text) === raw ? text : undefined;
}

const BASE64 = "base64:";

/** The bytes of a path as the protocol spells it. */
export function rawOfSnapshotPath(path: string): RawPath {
  if (!path.startsWith(BASE64)) return toRaw(path);
  return Buffer.from(path.slice(BASE64.length), "base64").toString("latin1");
}

export type NodeKind = "folder" | "file" | "link" | "device" | "fifo" | "other";

export type TreeNode = {
  /** Bytes, see `RawPath`. */
  name: string;
  kind: NodeKind;
  /** Of files only. */
  sizeBytes: number | null;
  /** Null where the snapshot's host had no numbers for users. */
  owner: Owner | null;
  /** The id of a folder's own tree. */
  subtree: string | null;
};

export type Owner = { uid: number; gid: number };

const KINDS: Readonly<Record<string, NodeKind>> = {
  dir: "folder",
  file: "file",
  symlink: "link",
  dev: "device",
  chardev: "device",
  fifo: "fifo",
};

const node = z.object({
  name: z.string(),
  type: z.string().catch(""),
  size: z.number().nonnegative().catch(0),
  uid: z.int().nonnegative().optional().catch(undefined),
  gid: z.int().nonnegative().optional().catch(undefined),
  subtree: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .nullish()
    .catch(null),
});

/** The nodes of a tree; undefined when this is none. Bound the text before calling. */
export function parseTree(text: string): TreeNode[] | undefined {
  const document = z.object({ nodes: z.array(z.unknown()).nullable() }).safeParse(parseJson(text));
  if (!document.success) return undefined;
  return (document.data.nodes ?? []).flatMap((entry) => {
    const parsed = node.safeParse(entry);
    if (!parsed.success) return [];
    const kind = KINDS[parsed.data.type] ?? "other";
    const sizeBytes = kind === "file" ? parsed.data.size : null;
    const { name, uid, gid, subtree = null } = parsed.data;
    const owner = uid === undefined || gid === undefined ? null : { uid, gid };
    return [{ name: unquoteName(name), kind, sizeBytes, owner, subtree }];
  });
}

const SHORT: Readonly<Record<string, string>> = {
  ...{ a: "\x07", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t", v: "\v", "\\": "\\", '"': '"', "'": "'" },
};

const ESCAPE = /\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|([\s\S]))/g;

/** A name as Go's `strconv.Quote` writes it, without its quotes → its bytes. */
export function unquoteName(quoted: string): RawPath {
  let raw = "";
  let from = 0;
  for (const match of quoted.matchAll(ESCAPE)) {
    const [whole, byte, short, long, single] = match;
    raw += toRaw(quoted.slice(from, match.index));
    from = match.index + whole.length;
    if (byte !== undefined) raw += String.fromCharCode(Number.parseInt(byte, 16));
    else if (single !== undefined) raw += SHORT[single] ?? toRaw(single);
    else raw += toRaw(codePoint(Number.parseInt(short ?? long ?? "", 16)));
  }
  return raw + toRaw(quoted.slice(from));
}

function codePoint(figure: number): string {
  return figure <= 0x10ffff ? String.fromCodePoint(figure) : "\ufffd";
}

/** The folder that a path lies in; of `/` itself `/`. */
export function parentOf(path: RawPath): RawPath {
  return path.slice(0, Math.max(1, path.lastIndexOf("/")));
}

export function nameOf(path: RawPath): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** A path below a folder; either may be `/`. */
export function joinRaw(folder: RawPath, below: RawPath): RawPath {
  if (below === "/" || below === "") return folder;
  const rest = below.startsWith("/") ? below : `/${below}`;
  return folder === "/" ? rest : `${folder}${rest}`;
}

/** Whether a path is a folder or lies below it. */
export function isWithin(path: RawPath, folder: RawPath): boolean {
  return folder === "/" || path === folder || path.startsWith(`${folder}/`);
}
