/** What rmctl has around it, handed in by main.ts, so that a test runs every command in its own process. */

/** Where text goes: stdout or stderr. */
export interface Sink {
  /** Resolves when there is room for more. */
  write(text: string): Promise<void>;
  /** Columns of the terminal; null for a file or a pipe, where nothing is cut. */
  columns: number | null;
}

export interface World {
  env: Readonly<Record<string, string | undefined>>;
  /** The user's home folder. */
  home: string;
  platform: NodeJS.Platform;
  out: Sink;
  err: Sink;
  /** One line from the person at the terminal, unseen while typed, or from a pipe. */
  readSecret(prompt: string): Promise<string>;
  /** Epoch milliseconds. */
  now(): number;
  /** Resolves after `ms`, or at once when the signal aborts. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  /** Aborts on Ctrl+C. */
  interrupted: AbortSignal;
}
