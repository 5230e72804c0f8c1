/**
 * The tree of a snapshot: folders load when they are opened, page by page, and every entry has a box with three states.
 * One row is in the tab order; arrows move, Space chooses, Enter opens. What is chosen is in the selection alone.
 */
import { formatBytes } from "../platform/html/format.ts";
import { ask, type Refused } from "./ask.ts";
import { element, textButton, visible } from "./elements.ts";
import { type Entry, type Folder, folderUrl, type Place } from "./restore-api.ts";
import type { Ancestor, Item, Selection } from "./restore-selection.ts";

/** What the tree needs of the page. */
export interface TreeParts {
  box: HTMLElement;
  selection: Selection;
  place: () => Place;
  snapshotId: () => string;
  /** Something was chosen or taken out. */
  onChange: () => void;
  /** A sentence for the page; empty takes it away. */
  say: (refused: Refused | null) => void;
  /** What a file's row offers besides its box. */
  verbs: (item: Item) => HTMLElement[];
  signal: AbortSignal;
}

/** One entry that is drawn. */
interface Row {
  item: Item;
  entry: Entry | null;
  parent: Row | null;
  level: number;
  line: HTMLElement;
  group: HTMLElement | null;
  children: Row[];
  /** All pages of its folder are there. */
  complete: boolean;
  loading: Promise<boolean> | null;
}

/** Taking one entry out of a folder chooses all others: more than a restore takes is not tried. */
const maxItems = 1000;

export class RestoreTree {
  private readonly parts: TreeParts;
  private root: Row | null = null;
  private readonly rows = new Map<HTMLElement, Row>();
  /** Ends what was asked for another snapshot. */
  private asking = new AbortController();

  constructor(parts: TreeParts) {
    this.parts = parts;
    const { box, signal } = parts;
    box.setAttribute("role", "tree");
    box.setAttribute("aria-multiselectable", "true");
    box.setAttribute("aria-label", "Files of the snapshot");
    box.addEventListener("click", (event) => this.click(event), { signal });
    box.addEventListener("keydown", (event) => this.press(event), { signal });
  }

  /** Draws the snapshot that is chosen now, from its root. */
  async show(): Promise<void> {
    this.asking.abort();
    this.asking = new AbortController();
    this.rows.clear();
    const item: Item = { ref: "/", path: "/", kind: "folder", sizeBytes: null };
    const root = this.draw(item, null, null);
    this.root = root;
    this.parts.box.replaceChildren(root.line);
    setTabStop(root.line, true);
    let row: Row | undefined = root;
    // Where there is only one way, it is gone.
    for (let depth = 0; row !== undefined && depth < 8; depth++) {
      if (!(await this.open(row))) return;
      const only: Row[] = row.children;
      row = only.length === 1 && only[0]?.item.kind === "folder" ? only[0] : undefined;
    }
  }

  /** After the selection has changed elsewhere. */
  markAll(): void {
    for (const row of this.rows.values()) this.mark(row);
  }

  private mark({ item, line }: Row): void {
    const state = this.parts.selection.stateOf(item.ref);
    line.setAttribute("aria-checked", state === "on" ? "true" : state === "part" ? "mixed" : "false");
  }

  private draw(item: Item, entry: Entry | null, parent: Row | null): Row {
    const line = element("div", "tree-row");
    const level = (parent?.level ?? 0) + 1;
    line.setAttribute("role", "treeitem");
    line.setAttribute("aria-level", String(level));
    line.tabIndex = -1;
    line.dataset.level = String(Math.min(level, 12));
    const isFolder = item.kind === "folder";
    if (isFolder) line.setAttribute("aria-expanded", "false");
    const twist = element("span", isFolder ? "tree-twist" : "tree-twist none");
    const check = element("span", "tree-check");
    const name = element("span", "tree-name", item.ref === "/" ? "/" : visible(entry?.name ?? item.path));
    if (item.ref === "/") name.append(element("span", "tree-note", "everything in this snapshot"));
    if (isFolder && item.ref !== "/") name.append("/");
    if (entry?.kind === "link") name.append(element("span", "tree-note", `→ ${visible(entry.target ?? "")}`));
    for (const part of [twist, check]) part.setAttribute("aria-hidden", "true");
    const verbs = element("span", "tree-verbs");
    verbs.append(...this.parts.verbs(item));
    line.append(
      twist,
      check,
      name,
      verbs,
      element("span", "tree-size", sizeWords(item, entry)),
      timeOf(entry),
    );
    const row: Row = {
      ...{ item, entry, parent, level, line, group: null, children: [] },
      ...{ complete: !isFolder, loading: null },
    };
    this.rows.set(line, row);
    this.mark(row);
    return row;
  }

  /** @returns whether its first page is there */
  private async open(row: Row): Promise<boolean> {
    if (row.item.kind !== "folder") return false;
    row.line.setAttribute("aria-expanded", "true");
    if (row.group === null) {
      row.group = element("div", "tree-group");
      row.group.setAttribute("role", "group");
      row.line.after(row.group);
      return this.load(row);
    }
    row.group.hidden = false;
    return true;
  }

  private close(row: Row): void {
    row.line.setAttribute("aria-expanded", "false");
    if (row.group !== null) row.group.hidden = true;
  }

  /** The next page of a folder. */
  private load(row: Row): Promise<boolean> {
    row.loading ??= this.loadPage(row).finally(() => {
      row.loading = null;
    });
    return row.loading;
  }

  private async loadPage(row: Row): Promise<boolean> {
    const { place, snapshotId, say } = this.parts;
    const { signal } = this.asking;
    row.group?.querySelector(":scope > .tree-more")?.remove();
    const waiting = element("p", "tree-wait", row.level === 1 ? "Asking the host…" : "Loading…");
    row.group?.append(waiting);
    const after = row.children.at(-1)?.item.ref ?? null;
    const url = folderUrl(place(), snapshotId(), row.item.ref, after);
    const answer = await ask<Folder>(url, AbortSignal.any([signal, this.parts.signal])).catch(() => null);
    if (answer === null || signal.aborted) return false;
    waiting.remove();
    if (!answer.ok) {
      say(answer);
      this.offer(row, "Try again");
      return false;
    }
    say(null);
    const drawn = answer.body.entries.map((entry) => this.draw(toItem(entry), entry, row));
    row.children.push(...drawn);
    row.group?.append(...drawn.map(({ line }) => line));
    row.complete = !answer.body.more;
    if (answer.body.more) this.offer(row, "Show more");
    if (row.children.length === 0) row.group?.append(element("p", "tree-wait", "This folder is empty."));
    return true;
  }

  private offer(row: Row, word: string): void {
    const more = element("div", "tree-more");
    more.append(textButton("btn small", word, () => void this.load(row)));
    row.group?.append(more);
  }

  private click(event: MouseEvent): void {
    const target = event.target instanceof Element ? event.target : null;
    const row = this.rowAt(target);
    if (row === undefined || target?.closest("a, button")) return;
    this.focus(row);
    if (target?.closest(".tree-twist") || (row.item.kind === "folder" && target?.closest(".tree-name")))
      this.toggleOpen(row);
    else void this.toggle(row);
  }

  private press(event: KeyboardEvent): void {
    const row = this.rowAt(event.target instanceof Element ? event.target : null);
    if (row === undefined || event.target !== row.line || event.ctrlKey || event.metaKey || event.altKey)
      return;
    const shown = this.shown();
    const at = shown.indexOf(row);
    const moves: Record<string, () => Row | undefined> = {
      ArrowDown: () => shown[at + 1],
      ArrowUp: () => shown[at - 1],
      Home: () => shown[0],
      End: () => shown.at(-1),
    };
    const move = moves[event.key];
    if (move) this.focus(move());
    else if (event.key === "ArrowRight") this.right(row);
    else if (event.key === "ArrowLeft") this.left(row);
    else if (event.key === " ") void this.toggle(row);
    else if (event.key === "Enter") {
      if (row.item.kind === "folder") this.toggleOpen(row);
      else void this.toggle(row);
    } else return;
    event.preventDefault();
  }

  private right(row: Row): void {
    if (row.item.kind !== "folder") return;
    if (isOpen(row)) this.focus(row.children[0]);
    else void this.open(row);
  }

  private left(row: Row): void {
    if (isOpen(row)) this.close(row);
    else this.focus(row.parent ?? undefined);
  }

  private toggleOpen(row: Row): void {
    if (isOpen(row)) this.close(row);
    else void this.open(row);
  }

  private async toggle(row: Row): Promise<void> {
    const { selection, onChange, say } = this.parts;
    if (selection.stateOf(row.item.ref) !== "on") selection.add(row.item);
    else if (await this.completeWay(row)) selection.remove(row.item.ref, wayTo(row));
    else {
      const words = `Its folder has more than ${maxItems} entries: leave it out with a pattern below instead.`;
      say({ words, signedOut: false });
      return;
    }
    this.markAll();
    onChange();
  }

  /** To take one out of a chosen folder all others must be known. */
  private async completeWay(row: Row): Promise<boolean> {
    const cover = this.parts.selection.coverOf(row.item.ref);
    for (let folder = row.parent; folder !== null && cover?.ref !== row.item.ref; folder = folder.parent) {
      while (!folder.complete) {
        if (folder.children.length > maxItems || !(await this.load(folder))) return false;
      }
      if (folder.item.ref === cover?.ref) break;
    }
    return true;
  }

  private focus(row: Row | undefined): void {
    if (row === undefined) return;
    for (const line of this.parts.box.querySelectorAll<HTMLElement>('[role="treeitem"][tabindex="0"]'))
      setTabStop(line, false);
    setTabStop(row.line, true);
    row.line.focus();
  }

  private rowAt(target: Element | null): Row | undefined {
    const line = target?.closest<HTMLElement>('[role="treeitem"]');
    return line ? this.rows.get(line) : undefined;
  }

  /** The rows that can be seen, in their order. */
  private shown(): Row[] {
    const walk = (row: Row): Row[] => [row, ...(isOpen(row) ? row.children.flatMap(walk) : [])];
    return this.root === null ? [] : walk(this.root);
  }
}

const isOpen = ({ line }: Row): boolean => line.getAttribute("aria-expanded") === "true";

/** A row's verbs can be reached by Tab from the row itself, and from no other. */
function setTabStop(line: HTMLElement, isStop: boolean): void {
  line.tabIndex = isStop ? 0 : -1;
  for (const verb of line.querySelectorAll<HTMLElement>("a, button")) verb.tabIndex = isStop ? 0 : -1;
}

function wayTo(row: Row): Ancestor[] {
  const way: Ancestor[] = [];
  for (let folder = row.parent; folder !== null; folder = folder.parent)
    way.unshift({ ref: folder.item.ref, children: folder.children.map(({ item }) => item) });
  return way;
}

export const toItem = (entry: Entry & { path?: string }): Item => ({
  ref: entry.ref,
  path: entry.path ?? (entry.ref.startsWith("base64:") ? entry.name : entry.ref),
  kind: entry.kind,
  sizeBytes: entry.size_bytes,
});

export function sizeWords(item: Item, entry: Entry | null): string {
  if (item.kind === "file") return item.sizeBytes === null ? "" : formatBytes(item.sizeBytes);
  return item.kind === "folder" ? "" : (entry?.kind ?? item.kind);
}

/** When an entry was changed last, to the minute. */
export function timeOf(entry: Pick<Entry, "modified_at"> | null): HTMLElement {
  const at = entry?.modified_at ?? null;
  return element("span", "tree-time", at === null ? "" : at.slice(0, 16).replace("T", " "));
}
