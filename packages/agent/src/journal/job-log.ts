/**
 * The log of one job on its way into the outbox. Invariants: line numbers have no gap; a batch and the place in
 * restic's output that it reaches are one append, so a crash neither loses nor doubles a line; a full outbox
 * leaves lines out, but says so in the log.
 */
import type { LogLine } from "@restic-manager/protocol";
import type { EventDraft, JobPosition, Outbox } from "../link/outbox.ts";
import { type Clock, slept } from "../platform/clock.ts";
import { AgentError } from "../platform/errors.ts";
import type { Log } from "../platform/log.ts";

export type JobLogDeps = { clock: Clock; log: Log; outbox: Outbox; signal: AbortSignal };

export type LineDraft = Pick<LogLine, "level" | "stream" | "text">;
/**
 * Bytes of one of restic's streams that are told with a line; or of a part's, which is a hook, a step, or the lines about
 * the backup's end by their number: whatever another agent would say again.
 */
export type Told = {
  stream: "stdout" | "stderr";
  endOffset: number;
  part?: string;
};

const BATCH_MS = 200;
const BATCH_LINES = 500;
const BATCH_BYTES = 256 * 1024;
/** The protocol's bound for one line. */
const MAX_TEXT_CHARS = 16_384;
const CUT_MARK = " … [line cut]";
/** A full disk is looked at again after this long; restic's output waits in its files meanwhile. */
const RETRY_MS = 5_000;

const FULL_SENTENCE =
  "The server could not be reached for long and the agent's buffer is full: the lines that follow are left out of this log.";

export const freshPosition = (attempt: number): JobPosition => ({
  attempt,
  started: false,
  logLines: 0,
  stdoutOffset: 0,
  stderrOffset: 0,
  dropping: false,
  closed: false,
  finished: false,
});

type BatchedLine = Omit<LogLine, "n">;

export class JobLog {
  readonly #deps: JobLogDeps;
  readonly #jobId: string;
  /** What the outbox would say after a crash now. Only changed inside the queue. */
  #position: JobPosition;
  #batch: BatchedLine[] = [];
  #batchBytes = 0;
  #reached: Pick<JobPosition, "stdoutOffset" | "stderrOffset" | "partOffsets">;
  #queue: Promise<void> = Promise.resolve();
  #leftOut = 0;

  constructor(deps: JobLogDeps, jobId: string, position: JobPosition) {
    this.#deps = deps;
    this.#jobId = jobId;
    this.#position = position;
    const { stdoutOffset, stderrOffset, partOffsets } = position;
    this.#reached = { stdoutOffset, stderrOffset, ...(partOffsets === undefined ? {} : { partOffsets }) };
  }

  get position(): JobPosition {
    return this.#position;
  }

  /** True when this was told before, or by an earlier agent. */
  isTold({ stream, endOffset, part }: Told): boolean {
    if (part !== undefined) return endOffset <= (this.#reached.partOffsets?.[`${part}.${stream}`] ?? 0);
    return endOffset <= (stream === "stdout" ? this.#reached.stdoutOffset : this.#reached.stderrOffset);
  }

  /** Adds a line; waits while a full batch is being stored. Rejects only when the agent stops. */
  async add(draft: LineDraft, told?: Told): Promise<void> {
    if (told !== undefined) this.#reach(told);
    const line = { ...draft, text: bounded(draft.text), at: this.#now() };
    this.#batch.push(line);
    this.#batchBytes += Buffer.byteLength(JSON.stringify(line));
    if (this.#batch.length >= BATCH_LINES || this.#batchBytes >= BATCH_BYTES) await this.flush();
    else if (this.#batch.length === 1) this.#flushLater();
  }

  /** Stores what was added so far. */
  flush(): Promise<void> {
    return this.#inOrder(() => this.#store());
  }

  /** The agent's last lines, which are told once even if the agent crashes right after. */
  close(drafts: readonly LineDraft[]): Promise<void> {
    return this.#inOrder(async () => {
      await this.#store();
      if (this.#position.closed) return;
      const at = this.#now();
      const lines = [...this.#leftOutLines(), ...drafts].map((draft) => ({
        ...draft,
        at,
        text: bounded(draft.text),
      }));
      await this.#tellLines(lines, { closed: true }, true);
    });
  }

  /** An event of the job that is not a log line, told together with a change of the position. */
  tell(draft: EventDraft, change: Partial<JobPosition> = {}): Promise<void> {
    return this.#inOrder(async () => {
      const position = { ...this.#position, ...change };
      await this.#append(draft, position, true);
      this.#position = position;
    });
  }

  /** A rejection means that the agent stops, so whatever is queued behind it is given up as well. */
  #inOrder(step: () => Promise<void>): Promise<void> {
    this.#queue = this.#queue.then(step);
    return this.#queue;
  }

  #flushLater(): void {
    // The only way this fails is the agent's stop, and then the next agent tells these lines.
    void slept(this.#deps.clock, BATCH_MS, this.#deps.signal)
      .then((passed) => (passed ? this.flush() : undefined))
      .catch(() => undefined);
  }

  async #store(): Promise<void> {
    if (this.#batch.length === 0) return;
    const batch = this.#batch;
    this.#batch = [];
    this.#batchBytes = 0;
    const resumed = this.#leftOutLines().map((draft) => ({ ...draft, at: this.#now() }));
    if (await this.#tellLines([...resumed, ...batch], { dropping: false }, false)) {
      this.#leftOut = 0;
      return;
    }
    this.#leftOut += batch.length;
    if (this.#position.dropping) return;
    const marker: BatchedLine = { level: "warning", stream: "agent", text: FULL_SENTENCE, at: this.#now() };
    await this.#tellLines([marker], { dropping: true }, true);
  }

  /** Numbers the lines and appends them with the position they reach; false when the outbox is full. */
  async #tellLines(
    batch: readonly BatchedLine[],
    change: Partial<JobPosition>,
    force: boolean,
  ): Promise<boolean> {
    const { logLines, attempt } = this.#position;
    const lines = batch.map((line, index) => ({ ...line, n: logLines + 1 + index }));
    const position = { ...this.#position, ...this.#reached, ...change, logLines: logLines + lines.length };
    const event = { type: "log.stream" as const, job_id: this.#jobId, attempt, lines };
    if (lines.length > 0 && (await this.#append(event, position, force)) === "full") return false;
    this.#position = position;
    return true;
  }

  async #append(draft: EventDraft, position: JobPosition, force: boolean): Promise<"stored" | "full"> {
    const { clock, log, outbox, signal } = this.#deps;
    for (let failures = 0; ; failures += 1) {
      signal.throwIfAborted();
      try {
        return (await outbox.append(draft, position, force)).kind;
      } catch (error) {
        if (!(error instanceof AgentError)) throw error;
        if (failures === 0) log.error({ code: error.code, job_id: this.#jobId }, error.message);
        await clock.sleep(RETRY_MS, signal);
      }
    }
  }

  #leftOutLines(): LineDraft[] {
    if (this.#leftOut === 0) return [];
    return [{ level: "warning", stream: "agent", text: `${this.#leftOut} lines were left out here.` }];
  }

  #reach({ stream, endOffset, part }: Told): void {
    if (part !== undefined) {
      const partKey = `${part}.${stream}`;
      const known = this.#reached.partOffsets;
      const partOffsets = { ...known, [partKey]: Math.max(known?.[partKey] ?? 0, endOffset) };
      this.#reached = { ...this.#reached, partOffsets };
      return;
    }
    const key = stream === "stdout" ? "stdoutOffset" : "stderrOffset";
    this.#reached = { ...this.#reached, [key]: Math.max(this.#reached[key], endOffset) };
  }

  #now(): string {
    return new Date(this.#deps.clock.nowMs()).toISOString();
  }
}

function bounded(text: string): string {
  const wellFormed = text.toWellFormed();
  if (wellFormed.length <= MAX_TEXT_CHARS) return wellFormed;
  return wellFormed.slice(0, MAX_TEXT_CHARS - CUT_MARK.length).toWellFormed() + CUT_MARK;
}
