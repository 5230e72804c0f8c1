/** The surroundings of rmctl for tests: what it writes is kept, its environment and home are the test's own. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Keeps what is written to it. */
class KeptSink {
  text = "";
  columns: number | null = null;

  async write(text: string): Promise<void> {
    this.text += text;
  }
}

export class CliWorld {
  env: Record<string, string | undefined>;
  readonly home = mkdtempSync(join(tmpdir(), "rm-cli-"));
  platform: NodeJS.Platform = process.platform;
  readonly out = new KeptSink();
  readonly err = new KeptSink();
  /** What a person types, or a pipe brings, when a secret is asked for; null is Ctrl+C. */
  typed: string | null = "";
  /** Stands still unless the test sets it. */
  at = Date.UTC(2026, 10, 26, 3);
  private readonly interrupting = new AbortController();
  readonly interrupted = this.interrupting.signal;

  constructor(env: Record<string, string | undefined> = {}) {
    this.env = env;
  }

  readonly readSecret = async (): Promise<string | null> => this.typed;
  readonly now = (): number => this.at;

  /** Real time, because the server is real; short ones pass as they are, long ones wait for the abort alone. */
  async sleep(ms: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    await new Promise<void>((resolve) => {
      const timer = ms > longestRealMs ? undefined : setTimeout(resolve, ms);
      const end = () => {
        clearTimeout(timer);
        resolve();
      };
      signal.addEventListener("abort", end, { once: true });
    });
  }

  /** As Ctrl+C does. */
  interrupt(): void {
    this.interrupting.abort();
  }

  /** Both sinks empty again. @returns what was in them */
  take(): { out: string; err: string } {
    const taken = { out: this.out.text, err: this.err.text };
    this.out.text = "";
    this.err.text = "";
    return taken;
  }

  remove(): void {
    rmSync(this.home, { recursive: true, force: true });
  }
}

/** Above the pauses between two tries, below the watch over a silent connection. */
const longestRealMs = 10_000;
