/**
 * Paths in a snapshot as bytes, since names need not be UTF-8. A `RawPath` has one character for each byte, so that string
 * functions work.
 */
import { snapshotPathBytes } from "@restic-manager/protocol";

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

/** The bytes of a path, or of a name, as the protocol spells it. */
export function rawOfSnapshotPath(path: string): RawPath {
  return snapshotPathBytes(path).toString("latin1");
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
