/**
 * The log of a job page: buffer, view and tools together. Follows the end while it is live until the reader
 * scrolls up; finds, filters by level, wraps.
 */
import { formatCount, formatNoun } from "../platform/html/format.ts";
import {
  type Appended,
  filterLines,
  findRows,
  LogBuffer,
  type LogLine,
  type SkippedLines,
} from "./log-buffer.ts";
import { LogView } from "./log-view.ts";

const FIND_DELAY_MS = 120;

/** The log on the page. */
export class JobLog {
  private readonly buffer = new LogBuffer();
  private readonly view: LogView;
  private readonly box: HTMLElement;
  private readonly levels = new Set<string>();
  private rows: readonly LogLine[] = [];
  private hits: number[] = [];
  private hit = -1;
  private words = "";
  private following: boolean;
  private lastTop = 0;
  private dropped = 0;

  constructor(box: HTMLElement) {
    this.box = box;
    this.view = new LogView(box);
    this.following = "live" in box.dataset;
  }

  /** Listens to the tools until the signal ends it. */
  start(signal: AbortSignal): void {
    this.view.start(signal);
    this.box.addEventListener("scroll", () => this.onScroll(), { signal, passive: true });
    for (const button of document.querySelectorAll<HTMLElement>("[data-log-level]")) {
      button.addEventListener("click", () => this.toggleLevel(button), { signal });
    }
    byId("log-wrap")?.addEventListener("click", (event) => this.toggleWrap(event.currentTarget), { signal });
    byId("log-follow")?.addEventListener("click", () => this.follow(!this.following), { signal });
    this.startFind(signal);
    this.follow(this.following);
  }

  /** The number of the first missing line. */
  nextLine(): number {
    return this.buffer.next;
  }

  /** Takes lines from the stream. */
  append(lines: readonly LogLine[]): Appended {
    const outcome = this.buffer.append(lines);
    if (outcome === "added") this.refresh(true);
    return outcome;
  }

  /** Goes on after lines that this browser was too slow for. */
  skip(skipped: SkippedLines): Appended {
    const outcome = this.buffer.skip(skipped);
    if (outcome === "added") this.refresh(true);
    return outcome;
  }

  /** No more lines will come. */
  end(): void {
    const button = byId("log-follow");
    if (button) button.hidden = true;
    this.following = false;
    if (this.buffer.lines.length > 0) return;
    const empty = document.createElement("p");
    empty.className = "log-empty";
    empty.textContent = "This job wrote no log.";
    this.box.replaceChildren(empty);
  }

  private refresh(grown: boolean): void {
    const trimmed = this.buffer.droppedCount !== this.dropped;
    this.dropped = this.buffer.droppedCount;
    this.rows = filterLines(this.buffer.lines, this.levels);
    this.view.show(this.rows, grown && !trimmed);
    setText("log-errors", formatCount(this.buffer.errorCount));
    setText("log-warnings", formatCount(this.buffer.warningCount));
    setText("log-count", formatNoun(this.buffer.next - 1, "line"));
    if (trimmed)
      note(`Lines 1 to ${formatCount(this.dropped)} are not kept here: download the log to read them.`);
    this.search(false);
    if (this.following) this.toEnd();
  }

  private onScroll(): void {
    const top = this.box.scrollTop;
    // Only a move upward by the reader lets go: growing content never moves up.
    if (this.following && top < this.lastTop - 2 && !this.view.isAtEnd()) this.follow(false);
    this.lastTop = top;
  }

  private follow(following: boolean): void {
    this.following = following;
    byId("log-follow")?.setAttribute("aria-pressed", String(following));
    if (following) this.toEnd();
  }

  private toEnd(): void {
    this.view.scrollToEnd();
    this.lastTop = this.box.scrollTop;
  }

  private toggleLevel(button: HTMLElement): void {
    const level = button.dataset.logLevel ?? "";
    if (!this.levels.delete(level)) this.levels.add(level);
    button.setAttribute("aria-pressed", String(this.levels.has(level)));
    this.refresh(false);
    this.box.scrollTop = 0;
  }

  private toggleWrap(button: EventTarget | null): void {
    if (!(button instanceof HTMLElement)) return;
    const wrapped = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(wrapped));
    this.view.wrap(wrapped);
    if (this.following) this.toEnd();
  }

  private startFind(signal: AbortSignal): void {
    const field = byId("log-find");
    if (!(field instanceof HTMLInputElement)) return;
    let timer = 0;
    field.addEventListener(
      "input",
      () => {
        clearTimeout(timer);
        timer = window.setTimeout(() => {
          this.words = field.value;
          this.search(true);
        }, FIND_DELAY_MS);
      },
      { signal },
    );
    field.addEventListener(
      "keydown",
      (event) => event.key === "Enter" && this.step(event.shiftKey ? -1 : 1),
      { signal },
    );
  }

  private search(jump: boolean): void {
    this.hits = findRows(this.rows, this.words);
    if (jump) this.hit = -1;
    if (jump && this.hits.length > 0) this.step(1);
    else this.showHits();
  }

  private step(by: 1 | -1): void {
    if (this.hits.length === 0) return;
    this.hit = (this.hit + by + this.hits.length) % this.hits.length;
    this.follow(false);
    this.view.scrollToRow(this.hits[this.hit] ?? 0, "middle");
    this.showHits();
  }

  private showHits(): void {
    const found =
      this.hits.length === 0 ? "none" : `${formatCount(this.hit + 1)}/${formatCount(this.hits.length)}`;
    setText("log-hits", this.words === "" ? "" : found);
    this.view.mark(this.words, this.hits[this.hit] ?? -1);
  }
}

/** A sentence above the log; empty takes it away. */
export function note(text: string): void {
  const element = byId("log-note");
  if (element === null) return;
  element.textContent = text;
  element.hidden = text === "";
}

function byId(id: string): HTMLElement | null {
  return document.getElementById(id);
}

function setText(id: string, text: string): void {
  const element = byId(id);
  if (element !== null && element.textContent !== text) element.textContent = text;
}
