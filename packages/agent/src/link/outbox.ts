/**
 * Events that the server has not committed yet, in order, on disk. Invariants: nothing is sent before it would
 * survive a power cut, so a number never names two events; an event leaves only when it was acknowledged or
 * refused for good; results are never dropped, log lines only beyond the size limit and never in silence.
 * Memory is bounded by the window: everything else stays in the file.
 */
import { appendFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { type DurableEvent, durableEvent } from "@restic-manager/protocol";
import { AgentError, reasonOf } from "../platform/errors.ts";
import { ensurePrivateDir } from "../platform/files.ts";
import type { Log } from "../platform/log.ts";
import { OutboxFile } from "./outbox-file.ts";
import { defaultOutboxLimits, type OutboxLimits } from "./outbox-limits.ts";
import { type EventDraft, type OutboxRecord, readRecord, readRecords } from "./outbox-record.ts";
import { type JobPosition, readOutboxState, writeOutboxState } from "./outbox-state.ts";

export type { EventDraft } from "./outbox-record.ts";
export type { JobPosition } from "./outbox-state.ts";

export type OutboxDeps = { dir: string; newId: () => string; log: Log; limits?: OutboxLimits };

export type AppendOutcome = { kind: "stored"; seq: number } | { kind: "full" };

/** A sent event that is not acknowledged: where its line is in the file. */
type InFlight = { seq: number; text: string; startOffset: number; endOffset: number; refused: boolean };

export class Outbox {
  readonly #deps: OutboxDeps;
  readonly #limits: OutboxLimits;
  #file: OutboxFile;
  #streamId: string;
  #lastSeq: number;
  #ackedSeq = 0;
  readonly #positions = new Map<string, JobPosition>();
  /** job.finished events that wait for their acknowledgement: number → job. */
  readonly #finishing = new Map<number, string>();
  #ackedOffset = 0;
  #cursor = 0;
  /** A line can't be read, so its number is missing: the server takes only a stream without gaps. */
  #damaged = false;
  #inFlight: InFlight[] = [];
  #queue: Promise<unknown> = Promise.resolve();
  #onAppended: () => void = () => undefined;
  #onFinishReported: (jobId: string) => Promise<void> = () => Promise.resolve();

  private constructor(deps: OutboxDeps, file: OutboxFile, streamId: string, lastSeq: number) {
    this.#deps = deps;
    this.#limits = deps.limits ?? defaultOutboxLimits;
    this.#file = file;
    this.#streamId = streamId;
    this.#lastSeq = lastSeq;
  }

  /**
   * Opens the outbox in `dir`, as it was when the agent stopped or crashed.
   * @throws AgentError `outbox.unreadable`.
   */
  static async open(deps: OutboxDeps): Promise<Outbox> {
    await ensurePrivateDir(deps.dir);
    const known = await readOutboxState(join(deps.dir, "stream.json"));
    const streamId = known?.stream_id ?? deps.newId();
    const file = await OutboxFile.open(eventsPath(deps.dir, streamId));
    const outbox = new Outbox(deps, file, streamId, known?.last_seq ?? 0);
    for (const [jobId, position] of Object.entries(known?.positions ?? {}))
      outbox.#positions.set(jobId, position);
    await outbox.#load();
    if (known === undefined) await outbox.#writeState();
    return outbox;
  }

  get streamId(): string {
    return this.#streamId;
  }

  get lastSeq(): number {
    return this.#lastSeq;
  }

  /** Called after every append; the connection sends what is new. */
  set onAppended(listener: () => void) {
    this.#onAppended = listener;
  }

  /** Called when the server has committed the end of a job; the journal forgets it then. */
  set onFinishReported(listener: (jobId: string) => Promise<void>) {
    this.#onFinishReported = listener;
  }

  positionOf(jobId: string): JobPosition | undefined {
    return this.#positions.get(jobId);
  }

  /** True while the end of this job is in the outbox. */
  awaitsFinish(jobId: string): boolean {
    return [...this.#finishing.values()].includes(jobId);
  }

  /** Forgets positions of jobs that the journal does not know any more. */
  retainPositions(jobIds: readonly string[]): void {
    for (const jobId of this.#positions.keys()) if (!jobIds.includes(jobId)) this.#positions.delete(jobId);
  }

  /**
   * Stores an event together with how far its job has been told. Results are on the disk when this returns;
   * log lines are when they are sent. `full` is only ever the answer to log lines without `force`.
   * @throws AgentError `outbox.write_failed`, ZodError for an event that breaks its schema; nothing is stored then.
   */
  append(draft: EventDraft, position?: JobPosition, force = false): Promise<AppendOutcome> {
    return this.#exclusive(async () => {
      const isLog = draft.type === "log.stream";
      if (isLog && !force && this.#file.sizeBytes - this.#ackedOffset > this.#limits.maxBytes)
        return { kind: "full" };
      // A mistake of ours must show here, where somebody waits, and not as an event that never leaves.
      const event = durableEvent.parse({ ...draft, seq: this.#lastSeq + 1 });
      const record = { event, ...(position === undefined ? {} : { position }) };
      await this.#write(record, !isLog);
      this.#lastSeq = event.seq;
      this.#note(record);
      this.#onAppended();
      return { kind: "stored", seq: event.seq };
    });
  }

  /** The next event to send, or undefined when there is none or the window is full. */
  next(): Promise<DurableEvent | undefined> {
    return this.#exclusive(async () => {
      const bytes = this.#inFlight.reduce((sum, entry) => sum + entry.endOffset - entry.startOffset, 0);
      if (this.#inFlight.length >= this.#limits.windowFrames || bytes >= this.#limits.windowBytes)
        return undefined;
      await this.#file.sync();
      for (;;) {
        const line = await readRecord(this.#file, this.#cursor);
        if (line === undefined) return undefined;
        this.#cursor = line.endOffset;
        if (line.record === undefined) {
          this.#damaged = true;
          continue;
        }
        const { text, startOffset, endOffset } = line;
        this.#inFlight.push({ seq: line.record.event.seq, text, startOffset, endOffset, refused: false });
        return line.record.event;
      }
    });
  }

  /**
   * A new connection: forgets what the server has, sends everything after it again. A server that waits for
   * another number than the one we have next can never be satisfied (it knows another disk of this stream, or is
   * an older copy of itself): `diverged`, and what is left goes into a new stream.
   */
  rewind(ackedSeq: number): Promise<"ready" | "diverged"> {
    return this.#exclusive(async () => {
      this.#inFlight = [];
      this.#cursor = this.#ackedOffset;
      let nextSeq = this.#lastSeq + 1;
      for await (const { record, endOffset } of readRecords(this.#file, this.#ackedOffset)) {
        if (record !== undefined && record.event.seq > ackedSeq) {
          nextSeq = record.event.seq;
          break;
        }
        this.#cursor = endOffset;
      }
      if (this.#damaged || nextSeq !== ackedSeq + 1) {
        await this.#startNewStream();
        return "diverged";
      }
      await this.#acknowledge(ackedSeq, this.#cursor);
      return "ready";
    });
  }

  /** The server has committed everything up to `seq`. A number that was never sent is ignored. */
  ack(seq: number): Promise<void> {
    return this.#exclusive(async () => {
      const covered = this.#inFlight.filter((entry) => entry.seq <= seq).at(-1);
      if (covered === undefined) return;
      this.#inFlight = this.#inFlight.filter((entry) => entry.seq > seq);
      await this.#acknowledge(covered.seq, covered.endOffset);
    });
  }

  /** The server will never take this event: it is set aside in `refused.ndjson` and does not block the others. */
  refuse(seq: number, reason: string): Promise<void> {
    return this.#exclusive(async () => {
      const entry = this.#inFlight.find((candidate) => candidate.seq === seq);
      if (entry === undefined || entry.refused) return;
      entry.refused = true;
      this.#deps.log.error({ seq, reason }, "the server refused an event; it is kept in refused.ndjson");
      await appendFile(join(this.#deps.dir, "refused.ndjson"), `${entry.text}\n`, { mode: 0o600 });
      let last: InFlight | undefined;
      while (this.#inFlight[0]?.refused === true) last = this.#inFlight.shift();
      if (last !== undefined) await this.#acknowledge(last.seq, last.endOffset);
    });
  }

  async close(): Promise<void> {
    await this.#exclusive(() => this.#file.close());
  }

  /** One operation at a time, in the order of the calls; a failed one does not stop the next. */
  #exclusive<T>(operation: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(operation);
    this.#queue = result.catch(() => undefined);
    return result;
  }

  async #load(): Promise<void> {
    const stateSeq = this.#lastSeq;
    for await (const { record, startOffset } of readRecords(this.#file, 0)) {
      if (record === undefined) {
        this.#damaged = true;
        this.#deps.log.error({ offset: startOffset }, "a damaged line of the outbox is skipped");
        continue;
      }
      // Older records were still in the file when the state was written: the state knows better.
      if (record.event.seq <= stateSeq) delete record.position;
      this.#note(record);
      this.#lastSeq = Math.max(this.#lastSeq, record.event.seq);
    }
  }

  #note({ event, position }: OutboxRecord): void {
    if (event.job_id !== null && position !== undefined) this.#positions.set(event.job_id, position);
    if (event.type === "job.finished") this.#finishing.set(event.seq, event.job_id);
  }

  async #write(record: OutboxRecord, durable: boolean): Promise<void> {
    try {
      await this.#file.append(JSON.stringify(record));
      if (durable) await this.#file.sync();
    } catch (cause) {
      const message = `The agent's outbox can't be written: ${reasonOf(cause)}. Free space in its data folder.`;
      throw new AgentError("outbox.write_failed", message, { cause });
    }
  }

  async #acknowledge(seq: number, offset: number): Promise<void> {
    this.#ackedSeq = Math.max(this.#ackedSeq, seq);
    this.#ackedOffset = Math.max(this.#ackedOffset, offset);
    for (const [finishSeq, jobId] of this.#finishing) {
      if (finishSeq > this.#ackedSeq) continue;
      await this.#onFinishReported(jobId);
      this.#finishing.delete(finishSeq);
      this.#positions.delete(jobId);
    }
    await this.#compact();
  }

  /**
   * Rewriting costs two fsyncs: only when it frees much, or when nothing is left to tell. On a full disk it stays undone:
   * what was acknowledged is acknowledged, and the next time tries again.
   */
  async #compact(): Promise<void> {
    const idle = this.#positions.size === 0 && this.#ackedOffset === this.#file.sizeBytes;
    if (this.#ackedOffset === 0 || (!idle && this.#ackedOffset < this.#limits.compactBytes)) return;
    if (this.#ackedOffset < this.#file.sizeBytes / 2) return;
    const dropped = this.#ackedOffset;
    try {
      await this.#writeState();
      await this.#file.dropBefore(dropped);
    } catch (error) {
      const reason = reasonOf(error);
      this.#deps.log.warn({ reason }, "the outbox can't be made smaller: free space in the data folder");
      return;
    }
    this.#ackedOffset = 0;
    this.#cursor -= dropped;
    for (const entry of this.#inFlight) {
      entry.startOffset -= dropped;
      entry.endOffset -= dropped;
    }
  }

  /** Renumbers what is left from 1 under a new name. The new file counts from the moment the state names it. */
  async #startNewStream(): Promise<void> {
    this.#deps.log.warn(
      { stream_id: this.#streamId },
      "the server waits for other events than we have: they are numbered anew",
    );
    const old = { file: this.#file, streamId: this.#streamId, ackedOffset: this.#ackedOffset };
    this.#streamId = this.#deps.newId();
    this.#file = await OutboxFile.open(eventsPath(this.#deps.dir, this.#streamId));
    this.#finishing.clear();
    this.#damaged = false;
    this.#ackedSeq = 0;
    this.#lastSeq = 0;
    this.#ackedOffset = 0;
    this.#cursor = 0;
    for await (const { record } of readRecords(old.file, old.ackedOffset)) {
      if (record === undefined) continue;
      const renumbered = { ...record, event: { ...record.event, seq: this.#lastSeq + 1 } };
      await this.#write(renumbered, false);
      this.#lastSeq = renumbered.event.seq;
      this.#note(renumbered);
    }
    await this.#file.sync();
    await this.#writeState();
    await old.file.close();
    await rm(eventsPath(this.#deps.dir, old.streamId), { force: true });
  }

  #writeState(): Promise<void> {
    return writeOutboxState(join(this.#deps.dir, "stream.json"), {
      version: 1,
      stream_id: this.#streamId,
      last_seq: this.#lastSeq,
      positions: Object.fromEntries(this.#positions),
    });
  }
}

/** One file per stream: a new stream's file can be complete before the state switches to it. */
function eventsPath(dir: string, streamId: string): string {
  return join(dir, `events-${streamId}.ndjson`);
}
