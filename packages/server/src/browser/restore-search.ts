/** Search in a snapshot: its matches stand in the tree's place until one goes back. While it is indexed, it is asked again. */
import { formatCount } from "../platform/html/format.ts";
import { ask } from "./ask.ts";
import { element, textButton, visible } from "./elements.ts";
import { type Matches, searchUrl } from "./restore-api.ts";
import type { Item } from "./restore-selection.ts";
import { sizeWords, type TreeParts, timeOf, toItem } from "./restore-tree.ts";

/** As long as a pause between two keys. */
const typingMs = 350;
/** How soon an index that is being made is looked at again. */
const againMs = 1500;

export interface SearchParts extends Omit<TreeParts, "box"> {
  input: HTMLInputElement;
  end: HTMLButtonElement;
  tree: HTMLElement;
  word: HTMLElement;
}

export class RestoreSearch {
  private readonly parts: SearchParts;
  private readonly list = element("ul", "tree-matches");
  private timer = 0;
  private asking = new AbortController();

  constructor(parts: SearchParts) {
    this.parts = parts;
    const { input, end, tree, signal } = parts;
    this.list.hidden = true;
    this.list.setAttribute("aria-label", "Matches");
    tree.after(this.list);
    input.addEventListener("input", () => this.soon(), { signal });
    input.addEventListener(
      "keydown",
      (event) => {
        if (event.key !== "Enter") return;
        // Enter would send the whole form.
        event.preventDefault();
        void this.search();
      },
      { signal },
    );
    end.addEventListener("click", () => this.end(), { signal });
  }

  /** Back to the tree. */
  end(): void {
    this.stop();
    this.parts.input.value = "";
    this.showTree(true);
    this.parts.word.textContent = "";
  }

  markAll(): void {
    for (const box of this.list.querySelectorAll<HTMLInputElement>("input[type=checkbox]")) this.mark(box);
  }

  private soon(): void {
    this.stop();
    if (this.parts.input.value.trim() === "") this.end();
    else this.timer = window.setTimeout(() => void this.search(), typingMs);
  }

  private stop(): void {
    clearTimeout(this.timer);
    this.asking.abort();
    this.asking = new AbortController();
  }

  private showTree(isTree: boolean): void {
    this.parts.tree.hidden = !isTree;
    this.list.hidden = isTree;
    this.parts.end.hidden = isTree;
  }

  private async search(): Promise<void> {
    this.stop();
    const pattern = this.parts.input.value.trim();
    if (pattern === "") return this.end();
    this.list.replaceChildren();
    this.showTree(false);
    this.parts.word.textContent = "Searching…";
    await this.load(pattern, null);
  }

  private async load(pattern: string, after: string | null): Promise<void> {
    const { place, snapshotId, say, word } = this.parts;
    const { signal } = this.asking;
    const url = searchUrl(place(), snapshotId(), pattern, after);
    const answer = await ask<Matches>(url, AbortSignal.any([signal, this.parts.signal])).catch(() => null);
    if (answer === null || signal.aborted) return;
    if (!answer.ok) {
      word.textContent = "";
      say(answer);
      return;
    }
    say(null);
    const { body } = answer;
    if (body.state === "indexing") {
      word.textContent = indexWords(body);
      this.timer = window.setTimeout(() => void this.load(pattern, after), againMs);
      return;
    }
    this.list.append(...body.matches.map((match) => this.row(match)));
    const found = this.list.childElementCount;
    word.textContent = foundWords(found, body.more);
    const last = body.matches.at(-1);
    if (body.more && last !== undefined) this.offerMore(pattern, last.ref);
  }

  private offerMore(pattern: string, after: string): void {
    const item = element("li", "tree-more");
    item.append(
      textButton("btn small", "Show more", () => {
        item.remove();
        void this.load(pattern, after);
      }),
    );
    this.list.append(item);
  }

  private row(match: Matches["matches"][number]): HTMLElement {
    const item = toItem(match);
    const line = element("li", "tree-row match");
    const label = element("label", "tree-match");
    const box = document.createElement("input");
    box.type = "checkbox";
    box.value = item.ref;
    box.addEventListener("change", () => this.choose(item, box.checked), { signal: this.parts.signal });
    this.mark(box);
    const slash = item.kind === "folder" ? "/" : "";
    label.append(box, element("span", "tree-name", `${visible(match.path)}${slash}`));
    const verbs = element("span", "tree-verbs");
    verbs.append(...this.parts.verbs(item));
    line.append(label, verbs, element("span", "tree-size", sizeWords(item, match)), timeOf(match));
    return line;
  }

  /** A match that comes with its folder can't be taken out here, where the folder's other entries are not known. */
  private mark(box: HTMLInputElement): void {
    const cover = this.parts.selection.coverOf(box.value);
    box.checked = cover !== null;
    box.indeterminate = this.parts.selection.stateOf(box.value) === "part";
    box.disabled = cover !== null && cover.ref !== box.value;
    box.title = box.disabled ? `Comes with ${cover?.path}` : "";
  }

  private choose(item: Item, isChosen: boolean): void {
    if (isChosen) this.parts.selection.add(item);
    else this.parts.selection.remove(item.ref, []);
    this.markAll();
    this.parts.onChange();
  }
}

export function indexWords({ indexed_files: files, waits_for_job: waits, problem }: Matches): string {
  if (problem) return problem.message;
  if (waits) return "The host looks through the snapshot when its running job has ended.";
  return `The host looks through the snapshot: ${formatCount(files)} entries so far.`;
}

export function foundWords(found: number, more: boolean): string {
  if (found === 0) return "Nothing in this snapshot matches.";
  return more
    ? `The first ${formatCount(found)} matches`
    : found === 1
      ? "1 match"
      : `${formatCount(found)} matches`;
}
