/**
 * The jobs of this host, from the command to the reported end. Invariants: a command is on the disk before it
 * is acknowledged, and runs once however often it arrives; one job at a time; whatever happens to a job, the
 * server is told how it ended; stopping the agent ends no job.
 */
import type { CommandAck, KnownJob, Snapshot } from "@restic-manager/protocol";
import { freshPosition, JobLog } from "../journal/job-log.ts";
import type { Journal, JournalEntry } from "../journal/journal.ts";
import type { Outbox } from "../link/outbox.ts";
import type { CommandRun, JobProgress } from "../link/session.ts";
import { reasonOf } from "../platform/errors.ts";
import { createId } from "../platform/ids.ts";
import type { Log } from "../platform/log.ts";
import { runCommand } from "./index.ts";
import { type ActiveJob, type CommandDeps, type CommandOutcome, internalFailure } from "./job-context.ts";
import { cutIntoParts } from "./list-snapshots.ts";
import { NO_REPOSITORY } from "./restic-access.ts";
import { SnapshotLister } from "./snapshot-lister.ts";

export type JobsDeps = CommandDeps & {
  log: Log;
  journal: Journal;
  outbox: Outbox;
  reportProgress: (message: JobProgress) => void;
  forgetProgress: (jobId: string) => void;
};

type Running = { done: Promise<void>; cancel: AbortController };

export class Jobs {
  readonly #deps: JobsDeps;
  readonly #running = new Map<string, Running>();
  readonly #stopping = new AbortController();
  readonly #lister: SnapshotLister;

  constructor(deps: JobsDeps) {
    this.#deps = deps;
    this.#lister = new SnapshotLister(deps);
  }

  /** Takes up every job that an earlier agent left, and forgets those whose end the server knows. */
  async start(): Promise<void> {
    const { journal, outbox } = this.#deps;
    outbox.onFinishReported = (jobId) => this.#forget(jobId);
    outbox.retainPositions(journal.listEntries().map((entry) => entry.job_id));
    for (const entry of journal.listEntries()) {
      const finished = outbox.positionOf(entry.job_id)?.finished === true;
      if (!finished) this.#run(entry);
      else if (!outbox.awaitsFinish(entry.job_id)) await this.#forget(entry.job_id);
    }
  }

  /** Lets go of all jobs: restic runs on under its runners. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all([this.#lister.stop(), ...[...this.#running.values()].map(({ done }) => done)]);
  }

  /** For hello: what the server may believe to be running, lost or finished. */
  listKnown(): KnownJob[] {
    const { journal, outbox } = this.#deps;
    return journal.listEntries().map(({ job_id, attempt }) => {
      const finished = outbox.positionOf(job_id)?.finished === true;
      return { job_id, attempt, state: finished ? "finished" : "running" };
    });
  }

  /** Accepts a command into the journal and starts it; one that is already known is acknowledged again. */
  async accept(command: CommandRun): Promise<CommandAck> {
    const { job_id, attempt, spec } = command;
    const ack = { type: "command.ack" as const, job_id, attempt };
    const refused = (code: string, message: string) => ({ ...ack, accepted: false, code, message });
    const known = this.#deps.journal.findEntry(job_id);
    if (known?.attempt === attempt) return { ...ack, accepted: true };
    if (known !== undefined || this.#running.size > 0)
      return refused("agent.busy", "Another job is running on this host, or its end is not reported yet.");
    if (this.#deps.findRepository() === undefined) return refused(NO_REPOSITORY.code, NO_REPOSITORY.message);
    const entry = {
      ...{ version: 1 as const, job_id, attempt, spec },
      ...{ cancel_requested: false, missing_sources: null },
    };
    try {
      await this.#deps.journal.add(entry);
    } catch (error) {
      const message = `The agent can't write its journal: ${reasonOf(error)}. Free space in its data folder.`;
      return refused("agent.journal_failed", message);
    }
    this.#run(entry);
    return { ...ack, accepted: true };
  }

  /** Asks a job to end. A job that is unknown or has ended needs nothing more. */
  async cancel(jobId: string): Promise<void> {
    const running = this.#running.get(jobId);
    if (running === undefined) return;
    running.cancel.abort();
    await this.#deps.journal.change(jobId, { cancel_requested: true });
  }

  #run(entry: JournalEntry): void {
    const cancel = new AbortController();
    if (entry.cancel_requested) cancel.abort();
    const done = this.#runToEnd(entry, cancel.signal)
      .catch((error: unknown) => {
        if (this.#stopping.signal.aborted) return;
        this.#deps.log.error(
          { job_id: entry.job_id, reason: reasonOf(error) },
          "a job could not be reported",
        );
      })
      .finally(() => {
        this.#running.delete(entry.job_id);
        this.#deps.forgetProgress(entry.job_id);
      });
    this.#running.set(entry.job_id, { done, cancel });
  }

  async #runToEnd(entry: JournalEntry, cancelled: AbortSignal): Promise<void> {
    const { clock, log, outbox } = this.#deps;
    const { job_id, attempt } = entry;
    const position = outbox.positionOf(job_id);
    const logDeps = { clock, log, outbox, signal: this.#stopping.signal };
    const jobLog = new JobLog(logDeps, job_id, position ?? freshPosition(attempt));
    log.info({ job_id, kind: entry.spec.kind }, position === undefined ? "job starts" : "job taken up again");
    if (position === undefined) await jobLog.tell({ type: "job.started", job_id, attempt, at: this.#now() });
    const outcome = await this.#attempt(this.#activate(entry, jobLog, cancelled));
    if (outcome === "detached") return;
    await this.#report(entry, jobLog, outcome);
    log.info({ job_id, status: outcome.status, code: outcome.error?.code }, "job ended");
  }

  async #attempt(job: ActiveJob): Promise<CommandOutcome> {
    try {
      return await runCommand(this.#deps, job);
    } catch (error) {
      if (this.#stopping.signal.aborted) return "detached";
      return internalFailure(error);
    }
  }

  #activate(entry: JournalEntry, jobLog: JobLog, cancelled: AbortSignal): ActiveJob {
    const { journal, reportProgress } = this.#deps;
    const { job_id, attempt } = entry;
    return {
      entry,
      dir: journal.dirOf(job_id),
      log: jobLog,
      cancelled,
      detached: this.#stopping.signal,
      reportProgress: (progress) => reportProgress({ type: "job.progress", job_id, attempt, progress }),
      update: (change) => journal.change(job_id, change),
    };
  }

  async #report(
    { job_id, attempt }: JournalEntry,
    jobLog: JobLog,
    outcome: Exclude<CommandOutcome, "detached">,
  ): Promise<void> {
    await jobLog.close(outcome.closing);
    const { status, error, summary, exitCode, snapshots, added } = outcome;
    if (snapshots !== undefined) await this.#tellList(job_id, jobLog, snapshots);
    if (added !== undefined) {
      this.#lister.outdate();
      await jobLog.tell({ type: "snapshots.added", job_id, snapshot: added });
    }
    const end = { status, error, exit_code: exitCode, summary, log_lines: jobLog.position.logLines };
    await jobLog.tell({ type: "job.finished", job_id, attempt, at: this.#now(), ...end }, { finished: true });
    if (added !== undefined) this.#lister.wish(added.hostname);
  }

  async #tellList(job_id: string, jobLog: JobLog, snapshots: readonly Snapshot[]): Promise<void> {
    const parts = cutIntoParts(snapshots);
    const report_id = createId(this.#deps.clock.nowMs(), this.#deps.random);
    for (const [index, cut] of parts.entries()) {
      const part = { part: index + 1, parts: parts.length, snapshots: cut };
      await jobLog.tell({ type: "snapshots.report", report_id, job_id, ...part });
    }
  }

  /** MUST not reject: it runs while an acknowledgement is worked off. What stays behind is removed at the next start. */
  async #forget(jobId: string): Promise<void> {
    try {
      await this.#deps.journal.remove(jobId);
    } catch (error) {
      this.#deps.log.error({ job_id: jobId, reason: reasonOf(error) }, "a job's files could not be removed");
    }
  }

  #now(): string {
    return new Date(this.#deps.clock.nowMs()).toISOString();
  }
}
