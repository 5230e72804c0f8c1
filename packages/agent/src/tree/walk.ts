/**
 * Takes the lines of `ls`, which tells a whole snapshot, into its index. The order is restic's and always the same, so a
 * walk that gave way goes on where it was. What lies below a name that `ls` does not tell has no path and is left out;
 * the folders with such names are noted, to be opened afterwards.
 */
import { type ListedNode, parseListedNode } from "../restic/tree-output.ts";
import type { SnapshotIndex } from "./snapshot-index.ts";

const UNKNOWN = "\ufffd";
/** Longer ones don't fit into the protocol. */
const MAX_PATH_CHARS = 30_000;
/** Folders with names that are not UTF-8: each costs a restic of its own to open. */
export const MAX_TO_OPEN = 200;

type Open = { path: string; id: number | undefined };

export class Walk {
  readonly #index: SnapshotIndex;
  /** The folder in which the next entry may be, and those above it. */
  readonly #open: Open[];
  /** Entries that are in the index from before. */
  #known: number;
  readonly #toOpen = new Set<string>();
  #left = 0;

  constructor(index: SnapshotIndex) {
    this.#index = index;
    this.#known = index.entries;
    this.#open = [{ path: "/", id: index.walkFolder("/") }];
  }

  /** Folders in which `ls` does not tell every name. */
  get toOpen(): string[] {
    return [...this.#toOpen];
  }

  /** How many more there are, or that have no place in the index for their length. */
  get left(): number {
    return this.#left;
  }

  /** Inside of `SnapshotIndex.batch`. */
  take(line: string): void {
    const listed = parseListedNode(line);
    if (listed !== undefined) this.#takeNode(listed);
  }

  #takeNode({ node, path }: ListedNode): void {
    const parent = path.slice(0, path.lastIndexOf("/")) || "/";
    const at = this.#open.findLastIndex((folder) => folder.path === parent);
    const folder = this.#open[at];
    // Below a folder that has no place in the index.
    if (folder === undefined || parent.includes(UNKNOWN)) return;
    this.#open.length = at + 1;
    if (path.length > MAX_PATH_CHARS) {
      this.#left += 1;
    } else if (node.name.includes(UNKNOWN)) {
      this.#noteUntold(folder);
    } else if (this.#known > 0) {
      this.#known -= 1;
      if (node.kind === "folder") this.#open.push({ path, id: this.#index.walkFolder(path) });
    } else {
      this.#index.walkNode(folder.id, node);
      if (node.kind === "link" && folder.id !== undefined) this.#index.markInexact(folder.id);
      if (node.kind === "folder") this.#open.push({ path, id: this.#index.walkFolder(path) });
    }
  }

  #noteUntold({ path, id }: Open): void {
    if (id !== undefined) this.#index.markInexact(id);
    if (this.#toOpen.has(path)) return;
    if (this.#toOpen.size < MAX_TO_OPEN) this.#toOpen.add(path);
    else this.#left += 1;
  }
}
