/**
 * Draws the rows of a log that are in sight, and only those: 100,000 lines cost as much as 40. Text reaches
 * the page as text nodes only. What is shown is decided by job-log.ts.
 */
import { formatClock } from "../platform/html/format.ts";
import type { LogLine } from "./log-buffer.ts";
import { RowHeights } from "./row-heights.ts";

/** Fixed by log.css; wrapped rows are multiples of it. */
const ROW_PX = 20;
const PADDING_PX = 8;
/** Rows drawn beyond the edges, so that fast scrolling rarely shows empty space. */
const OVERSCAN_PX = 400;
/** Longer lines end in an ellipsis here; the download has them whole. */
const MAX_TEXT = 4000;

/** A scrolling log. */
export class LogView {
  private readonly box: HTMLElement;
  private readonly spacer = document.createElement("div");
  private readonly window = document.createElement("div");
  private readonly heights = new RowHeights();
  private rows: readonly LogLine[] = [];
  private wrapped = false;
  private words = "";
  private currentHit = -1;
  private columns = 0;
  private frame = 0;

  constructor(box: HTMLElement) {
    this.box = box;
    this.window.className = "log-lines";
    box.replaceChildren(this.spacer, this.window);
  }

  /** Draws on scroll and resize until the signal ends it. */
  start(signal: AbortSignal): void {
    this.box.addEventListener("scroll", () => this.schedule(), { signal, passive: true });
    const observer = new ResizeObserver(() => this.measure());
    observer.observe(this.box);
    signal.addEventListener("abort", () => observer.disconnect(), { once: true });
    this.measure();
  }

  /** Shows these rows. With `grown`, the former rows are known to be the beginning of the new ones. */
  show(rows: readonly LogLine[], grown: boolean): void {
    this.rows = rows;
    if (!grown) this.heights.clear();
    for (let index = this.heights.count; index < rows.length; index += 1)
      this.heights.push(this.estimate(rows[index]));
    this.schedule();
  }

  /** Breaks long lines, or lets them run out to the right. */
  wrap(wrapped: boolean): void {
    const top = this.heights.indexAt(this.box.scrollTop);
    this.wrapped = wrapped;
    this.box.classList.toggle("wrapped", wrapped);
    this.measure();
    this.scrollToRow(top, "top");
  }

  /** Marks the words, and one row as the present hit (-1 for none). */
  mark(words: string, currentHit: number): void {
    this.words = words.toLowerCase();
    this.currentHit = currentHit;
    this.schedule();
  }

  /** Brings a row into sight. */
  scrollToRow(index: number, place: "top" | "middle"): void {
    const offset = place === "middle" ? this.box.clientHeight / 2 - ROW_PX : 0;
    this.box.scrollTop = Math.max(0, this.heights.topOf(index) - offset);
    this.schedule();
  }

  /** Brings the last row into sight. */
  scrollToEnd(): void {
    this.draw();
    this.box.scrollTop = this.box.scrollHeight;
    this.schedule();
  }

  /** Whether the last row is in sight. */
  isAtEnd(): boolean {
    return this.box.scrollTop + this.box.clientHeight >= this.box.scrollHeight - ROW_PX;
  }

  private schedule(): void {
    if (this.frame !== 0) return;
    this.frame = requestAnimationFrame(() => this.draw());
  }

  private measure(): void {
    const columns = this.wrapped ? this.columnsOfBox() : 0;
    if (columns !== this.columns || this.heights.count !== this.rows.length) {
      this.columns = columns;
      this.show(this.rows, false);
    }
    this.schedule();
  }

  private columnsOfBox(): number {
    const probe = rowFor({ n: 0, at: "", level: "info", stream: "agent", text: "x".repeat(20) }, "", false);
    this.window.replaceChildren(probe);
    const text = probe.querySelector<HTMLElement>(".line-text");
    const range = document.createRange();
    if (text === null) return 0;
    range.selectNodeContents(text);
    const characterPx = range.getBoundingClientRect().width / 20;
    return characterPx === 0 ? 0 : Math.max(10, Math.floor(text.clientWidth / characterPx));
  }

  private estimate(row: LogLine | undefined): number {
    if (this.columns === 0 || row === undefined) return ROW_PX;
    return ROW_PX * Math.max(1, Math.ceil(Math.min(row.text.length, MAX_TEXT) / this.columns));
  }

  private draw(): void {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    const top = this.box.scrollTop - OVERSCAN_PX;
    const first = this.heights.indexAt(Math.max(0, top));
    const last = this.heights.indexAt(Math.max(0, top) + this.box.clientHeight + 2 * OVERSCAN_PX);
    const drawn: HTMLElement[] = [];
    for (let index = first; index <= last && index < this.rows.length; index += 1) {
      const row = this.rows[index];
      if (row !== undefined) drawn.push(rowFor(row, this.words, index === this.currentHit));
    }
    this.window.replaceChildren(...drawn);
    this.window.style.top = `${this.heights.topOf(first) + PADDING_PX}px`;
    if (this.wrapped) this.correctHeights(drawn, first);
    this.spacer.style.height = `${this.heights.total}px`;
  }

  /** Wide characters break the estimate: what was drawn knows its height. */
  private correctHeights(drawn: readonly HTMLElement[], first: number): void {
    let changed = false;
    drawn.forEach((element, position) => {
      if (this.heights.correct(first + position, element.offsetHeight)) changed = true;
    });
    if (changed) this.schedule();
  }
}

function rowFor(row: LogLine, words: string, current: boolean): HTMLElement {
  const element = document.createElement("div");
  const text = printable(row.text);
  const hit = words !== "" && text.toLowerCase().includes(words);
  element.className = [
    "line",
    row.level === "info" ? "" : row.level,
    hit ? "hit" : "",
    current ? "current-hit" : "",
  ].join(" ");
  element.append(cell("line-number", String(row.n)), cell("line-time", clockOf(row.at)));
  const content = cell("line-text", hit ? "" : text);
  if (hit) appendMarked(content, text, words);
  element.append(content);
  return element;
}

function cell(className: string, text: string): HTMLElement {
  const element = document.createElement("span");
  element.className = className;
  element.textContent = text;
  return element;
}

function appendMarked(target: HTMLElement, text: string, words: string): void {
  const lower = text.toLowerCase();
  let from = 0;
  for (let at = lower.indexOf(words); at !== -1; at = lower.indexOf(words, from)) {
    const mark = document.createElement("mark");
    mark.textContent = text.slice(at, at + words.length);
    target.append(text.slice(from, at), mark);
    from = at + words.length;
  }
  target.append(text.slice(from));
}

/** Control characters as escapes: a line break inside a name must not make a second row. */
export function printable(text: string): string {
  const short = text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;
  return short.replace(/\p{Cc}/gu, (character) => ESCAPES[character] ?? escapeOf(character.charCodeAt(0)));
}

/** A tab stays what it is. */
const ESCAPES: Readonly<Record<string, string>> = { "\t": "\t", "\n": "\\n", "\r": "\\r" };

function escapeOf(code: number): string {
  return `\\x${code.toString(16).padStart(2, "0")}`;
}

function clockOf(at: string): string {
  const atMs = Date.parse(at);
  return Number.isNaN(atMs) ? "" : formatClock(atMs);
}
