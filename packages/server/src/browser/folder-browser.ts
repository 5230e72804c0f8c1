/**
 * The browser of a host's folders beside a list of paths: one folder at a time, a box at each entry puts its path into
 * the list or takes it out. The list stays the truth; names come from the host and are only ever written as text.
 */
import { formatBytes } from "../platform/html/format.ts";
import { element, textButton } from "./elements.ts";
import { addLine, dropLine, hasLine, isLine, pathOf, wayTo } from "./folder-paths.ts";

interface Entry {
  name: string;
  kind: string;
  size_bytes: number | null;
}

interface Folder {
  entries: Entry[];
  more: boolean;
}

/** Starts the browser inside of `[data-browse]`; ends with the signal. */
export function startFolderBrowser(box: HTMLElement, signal: AbortSignal): void {
  const button = box.querySelector("button");
  const panel = box.querySelector<HTMLElement>(".browse-panel");
  const list = document.getElementById(box.dataset.browseInto ?? "");
  if (button === null || panel === null || !(list instanceof HTMLTextAreaElement)) return;
  const from = box.dataset.browseFrom || null;
  const browser = new FolderBrowser({ url: box.dataset.browse ?? "", from, panel, list, signal });
  const toggle = (): void => {
    panel.hidden = !panel.hidden;
    button.setAttribute("aria-expanded", String(!panel.hidden));
    if (!panel.hidden && panel.childElementCount === 0) void browser.open(from);
  };
  button.addEventListener("click", toggle, { signal });
  list.addEventListener("input", () => browser.markChosen(), { signal });
}

/** What a browser works with. */
interface Parts {
  url: string;
  /** The folder where the host begins; null where only the host knows, as with the drives of Windows. */
  from: string | null;
  panel: HTMLElement;
  list: HTMLTextAreaElement;
  signal: AbortSignal;
}

class FolderBrowser {
  private readonly parts: Parts;
  /** Counts what was asked: an answer to an older question is dropped. */
  private asked = 0;

  constructor(parts: Parts) {
    this.parts = parts;
  }

  /** Shows a folder; null is where the host begins. */
  async open(path: string | null): Promise<void> {
    const rows = element("ul", "browse-list");
    const word = element("p", "browse-word", "Asking the host…");
    word.setAttribute("role", "status");
    this.parts.panel.replaceChildren(this.way(path), word, rows);
    await this.load({ path, after: null, rows, word });
  }

  private async load(ask: {
    path: string | null;
    after: string | null;
    rows: HTMLElement;
    word: HTMLElement;
  }): Promise<void> {
    this.asked += 1;
    const asked = this.asked;
    const look = await askFolder(this.parts.url, ask.path, ask.after, this.parts.signal);
    if (asked !== this.asked || this.parts.signal.aborted) return;
    if (typeof look === "string") {
      ask.word.textContent = look;
      ask.word.classList.add("fail");
      ask.word.hidden = false;
      return;
    }
    const { path } = ask;
    ask.rows.append(...look.entries.map((entry) => this.row(path, entry)));
    ask.word.textContent = ask.rows.childElementCount === 0 ? "This folder is empty." : "";
    ask.word.hidden = ask.rows.childElementCount > 0;
    const last = look.entries.at(-1);
    if (look.more && last !== undefined) this.offerMore({ ...ask, after: last.name });
  }

  private offerMore(ask: Parameters<FolderBrowser["load"]>[0]): void {
    const item = element("li", "browse-more");
    const button = textButton("btn small", "Show more", () => {
      item.remove();
      void this.load(ask);
    });
    item.append(button);
    ask.rows.append(item);
  }

  private way(path: string | null): HTMLElement {
    const nav = element("nav", "browse-way");
    nav.setAttribute("aria-label", "Way to this folder");
    const steps = [{ name: "/", path: this.parts.from }, ...wayTo(path)];
    for (const [index, step] of steps.entries()) {
      if (index > 1) nav.append(element("span", "faint", "/"));
      const button = textButton("", step.name, () => void this.open(step.path));
      if (index === 0) button.setAttribute("aria-label", "Where the host begins");
      if (index === steps.length - 1) button.setAttribute("aria-current", "true");
      nav.append(button);
    }
    return nav;
  }

  private row(parent: string | null, entry: Entry): HTMLElement {
    const path = pathOf(parent, entry.name);
    const item = element("li", "");
    const check = document.createElement("input");
    check.type = "checkbox";
    check.value = path;
    check.checked = hasLine(this.parts.list.value, path);
    check.setAttribute("aria-label", `Back up ${path}`);
    if (!isLine(path)) {
      check.disabled = true;
      check.title = "This name can't be written as a line: choose the folder that it is in.";
    }
    check.addEventListener("change", () => this.choose(path, check.checked), { signal: this.parts.signal });
    item.append(check);
    const isFolder = entry.kind === "folder";
    if (isFolder) {
      const open = textButton("browse-open browse-name", `${entry.name}/`, () => void this.open(path));
      open.setAttribute("aria-label", `Open ${path}`);
      item.append(open, element("span", "browse-size", "folder"));
    } else {
      const size = entry.size_bytes === null ? entry.kind : formatBytes(entry.size_bytes);
      item.append(element("span", "browse-name", entry.name), element("span", "browse-size", size));
    }
    return item;
  }

  private choose(path: string, isChosen: boolean): void {
    this.parts.list.value = isChosen
      ? addLine(this.parts.list.value, path)
      : dropLine(this.parts.list.value, path);
    this.parts.list.scrollTop = this.parts.list.scrollHeight;
  }

  /** After somebody typed into the list. */
  markChosen(): void {
    for (const check of this.parts.panel.querySelectorAll<HTMLInputElement>("input[type=checkbox]"))
      check.checked = hasLine(this.parts.list.value, check.value);
  }
}

/** @returns the folder, or the sentence that says why there is none */
async function askFolder(
  url: string,
  path: string | null,
  after: string | null,
  signal: AbortSignal,
): Promise<Folder | string> {
  const query = new URLSearchParams();
  if (path !== null) query.set("path", path);
  if (after !== null) query.set("after", after);
  try {
    const response = await fetch(`${url}?${query}`, { credentials: "same-origin", signal });
    const body: unknown = await response.json();
    if (response.ok) return body as Folder;
    const message = (body as { message?: unknown }).message;
    return typeof message === "string" ? message : "The host could not be asked.";
  } catch {
    return "The server does not answer. Try again in a moment.";
  }
}
