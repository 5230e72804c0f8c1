/**
 * What is chosen of a snapshot: a set of paths of which none lies in another. A folder stands for everything in it, so a
 * box has three states. Pure; paths are compared by their bytes, since they need not be UTF-8.
 */

/** An entry of a snapshot, as far as choosing it goes. */
export interface Item {
  /** Its path as the API writes it. */
  ref: string;
  /** For people. */
  path: string;
  kind: string;
  sizeBytes: number | null;
}

export type Check = "on" | "off" | "part";

/** A folder on the way to an entry, with everything that is directly in it. */
export interface Ancestor {
  ref: string;
  children: readonly Item[];
}

const bytesMark = "base64:";
const encoder = new TextEncoder();

/** A path's bytes, one character each. */
export function keyOf(ref: string): string {
  if (ref.startsWith(bytesMark)) return atob(ref.slice(bytesMark.length));
  return Array.from(encoder.encode(ref), (byte) => String.fromCharCode(byte)).join("");
}

const isBelow = (key: string, folder: string): boolean =>
  folder === "/" ? key !== "/" : key.startsWith(`${folder}/`);

export class Selection {
  private readonly chosen = new Map<string, Item>();

  get items(): Item[] {
    return [...this.chosen.values()];
  }

  stateOf(ref: string): Check {
    const key = keyOf(ref);
    if (this.covering(key) !== null) return "on";
    for (const other of this.chosen.keys()) if (isBelow(other, key)) return "part";
    return "off";
  }

  /** The chosen path that an entry comes with: its own, or a folder's above it. */
  coverOf(ref: string): Item | null {
    const key = this.covering(keyOf(ref));
    return key === null ? null : (this.chosen.get(key) ?? null);
  }

  /** What lies in it is not chosen by itself any more. */
  add(item: Item): void {
    const key = keyOf(item.ref);
    if (this.covering(key) !== null) return;
    this.dropBelow(key);
    this.chosen.set(key, item);
  }

  /**
   * Takes an entry out. Of a folder above it that was chosen everything else stays.
   * @param way from the root to the folder that the entry is in
   */
  remove(ref: string, way: readonly Ancestor[]): void {
    const key = keyOf(ref);
    const cover = this.covering(key);
    this.dropBelow(key);
    if (cover === null) return;
    this.chosen.delete(cover);
    if (cover === key) return;
    const from = way.findIndex((folder) => keyOf(folder.ref) === cover);
    for (const folder of way.slice(from)) {
      for (const child of folder.children) {
        const childKey = keyOf(child.ref);
        if (childKey !== key && !isBelow(key, childKey)) this.chosen.set(childKey, child);
      }
    }
  }

  clear(): void {
    this.chosen.clear();
  }

  private covering(key: string): string | null {
    for (const other of this.chosen.keys()) if (other === key || isBelow(key, other)) return other;
    return null;
  }

  private dropBelow(folder: string): void {
    for (const other of [...this.chosen.keys()]) if (isBelow(other, folder)) this.chosen.delete(other);
  }
}
