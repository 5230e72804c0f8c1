/**
 * The stream of one job: a WebSocket that comes back by itself and asks for the line after the last one it
 * has. Knows the wire; knows nothing of the page.
 */
import type { Progress } from "../platform/html/progress.ts";
import type { Appended, LogLine, SkippedLines } from "./log-buffer.ts";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8000;

/** What the stream says. Other types are ignored: a newer server may say more. */
export type StreamMessage =
  | { type: "job"; status: string }
  | { type: "progress"; progress: Progress }
  | { type: "log"; lines: LogLine[] }
  | { type: "lagged"; skipped: SkippedLines }
  | { type: "end" };

/** Who listens. */
export interface StreamListener {
  /** The number of the first line that is missing. */
  nextLine(): number;
  /** `gap` makes the stream ask again from the missing line. */
  onLog(lines: LogLine[]): Appended;
  /** This browser was too slow: the stream goes on after these lines. */
  onLagged(skipped: SkippedLines): Appended;
  onJob(status: string): void;
  onProgress(progress: Progress): void;
  onEnd(): void;
  onConnection(connected: boolean): void;
}

/** Reads one frame; null for anything that is not a message we know. Never throws. */
export function parseStreamMessage(frame: string): StreamMessage | null {
  let value: unknown;
  try {
    value = JSON.parse(frame);
  } catch {
    return null;
  }
  if (!isRecord(value)) return null;
  if (value.type === "end") return { type: "end" };
  if (value.type === "job" && isRecord(value.job)) return { type: "job", status: String(value.job.status) };
  if (value.type === "log" && Array.isArray(value.lines))
    return { type: "log", lines: value.lines.filter(isLine) };
  if (value.type === "lagged" && Number.isInteger(value.from) && Number.isInteger(value.to))
    return { type: "lagged", skipped: { from: Number(value.from), to: Number(value.to) } };
  if (value.type === "progress" && isRecord(value.progress))
    return { type: "progress", progress: toProgress(value.progress) };
  return null;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isLine(value: unknown): value is LogLine {
  return (
    isRecord(value) &&
    Number.isInteger(value.n) &&
    typeof value.text === "string" &&
    typeof value.at === "string"
  );
}

/** The wire's zeros mean "not known yet" for totals: restic is still scanning. */
export function toProgress(wire: Readonly<Record<string, unknown>>): Progress {
  const number = (name: string): number => (typeof wire[name] === "number" ? wire[name] : 0);
  const known = (name: string): number | null => (typeof wire[name] === "number" ? wire[name] : null);
  const totalBytes = number("total_bytes");
  const totalFiles = number("total_files");
  const remaining = known("seconds_remaining");
  const files = Array.isArray(wire.current_files) ? wire.current_files : [];
  return {
    share: totalBytes === 0 && totalFiles === 0 ? null : number("percent_done"),
    totalFiles: totalFiles === 0 ? null : totalFiles,
    filesDone: number("files_done"),
    totalBytes: totalBytes === 0 ? null : totalBytes,
    bytesDone: number("bytes_done"),
    errorCount: number("error_count"),
    currentFiles: files.filter((file): file is string => typeof file === "string"),
    remainingMs: remaining === null ? null : remaining * 1000,
    bytesPerSecond: known("bytes_per_second"),
  };
}

/** The wait before the n-th attempt in a row: doubling, with jitter so that browsers do not come together. */
export function reconnectWaitMs(attempt: number, random: number): number {
  const longest = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** attempt);
  return longest / 2 + (longest / 2) * random;
}

/** Keeps the stream open until it says `end` or the signal aborts. */
export function startStream(path: string, listener: StreamListener, signal: AbortSignal): void {
  let attempt = 0;
  let ended = false;
  const connect = (): void => {
    if (signal.aborted) return;
    const socket = new WebSocket(streamUrl(path, listener.nextLine()));
    signal.addEventListener("abort", () => socket.close(), { once: true });
    socket.onopen = () => {
      listener.onConnection(true);
    };
    socket.onmessage = (event) => {
      const message = typeof event.data === "string" ? parseStreamMessage(event.data) : null;
      if (message === null) return;
      attempt = 0;
      ended = message.type === "end";
      if (!deliver(message, listener)) socket.close();
    };
    socket.onclose = () => {
      if (ended || signal.aborted) return;
      listener.onConnection(false);
      window.setTimeout(connect, reconnectWaitMs(attempt, Math.random()));
      attempt += 1;
    };
  };
  connect();
}

/** False when lines are missing: the socket must be opened anew from the first missing one. */
function deliver(message: StreamMessage, listener: StreamListener): boolean {
  switch (message.type) {
    case "log":
      return listener.onLog(message.lines) !== "gap";
    case "lagged":
      return listener.onLagged(message.skipped) !== "gap";
    case "job":
      listener.onJob(message.status);
      return true;
    case "progress":
      listener.onProgress(message.progress);
      return true;
    case "end":
      listener.onEnd();
      return true;
  }
}

function streamUrl(path: string, from: number): string {
  const url = new URL(path, location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.searchParams.set("from", String(from));
  return url.href;
}
