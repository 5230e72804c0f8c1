/**
 * The lines of one log in the order of their numbers: no gap, no double, whatever the stream repeats after
 * it was cut. Keeps at most `capacity` lines and remembers how many older ones it let go. Pure.
 */

/** One line as it came over the stream. Its text is untrusted. */
export interface LogLine {
  n: number;
  at: string;
  level: "info" | "warning" | "error";
  stream: "stdout" | "stderr" | "agent";
  text: string;
}

/** Lines that the server left out because this browser could not keep up; both ends included. */
export interface SkippedLines {
  from: number;
  to: number;
}

/** What a batch did: new lines, nothing new, or it began beyond the next line and was refused. */
export type Appended = "added" | "known" | "gap";

/** About 60 MB of text at worst; a log beyond it is read from the download. */
export const DEFAULT_CAPACITY = 200_000;

/** When full, so much is let go at once: shifting single lines would cost on each batch. */
const TRIM_SHARE = 0.1;

/** The lines held in memory. */
export class LogBuffer {
  lines: LogLine[] = [];
  errorCount = 0;
  warningCount = 0;
  /** How many of the oldest lines were let go. */
  droppedCount = 0;
  /** The number of the line to ask for next. */
  next = 1;
  private readonly capacity: number;

  constructor(capacity = DEFAULT_CAPACITY) {
    this.capacity = capacity;
  }

  /** Takes a batch of consecutive lines. A batch that would leave a hole changes nothing. */
  append(batch: readonly LogLine[]): Appended {
    let added = false;
    for (const line of batch) {
      if (line.n < this.next) continue;
      if (line.n > this.next) return "gap";
      this.lines.push(line);
      this.next = line.n + 1;
      if (line.level === "error") this.errorCount += 1;
      if (line.level === "warning") this.warningCount += 1;
      added = true;
    }
    this.trim();
    return added ? "added" : "known";
  }

  /** Goes on after lines that will not come; one line in their place says so. */
  skip({ from, to }: SkippedLines): Appended {
    if (to < this.next) return "known";
    if (from > this.next) return "gap";
    const at = this.lines.at(-1)?.at ?? new Date(0).toISOString();
    const text = `Lines ${this.next} to ${to} are not shown here, because they came too fast or are missing. The download has what there is.`;
    this.lines.push({ n: this.next, at, level: "warning", stream: "agent", text });
    this.warningCount += 1;
    this.next = to + 1;
    return "added";
  }

  private trim(): void {
    if (this.lines.length <= this.capacity) return;
    const surplus = Math.max(this.lines.length - this.capacity, Math.floor(this.capacity * TRIM_SHARE));
    this.lines = this.lines.slice(surplus);
    this.droppedCount += surplus;
  }
}

/** The rows to show: lines of the chosen levels; all when none is chosen. */
export function filterLines(lines: readonly LogLine[], levels: ReadonlySet<string>): readonly LogLine[] {
  return levels.size === 0 ? lines : lines.filter((line) => levels.has(line.level));
}

/** Positions of the rows that contain the words, ignoring case; none for an empty search. */
export function findRows(rows: readonly LogLine[], words: string): number[] {
  const wanted = words.toLowerCase();
  if (wanted === "") return [];
  const hits: number[] = [];
  rows.forEach((row, index) => {
    if (row.text.toLowerCase().includes(wanted)) hits.push(index);
  });
  return hits;
}
