/**
 * The jobs of this host, from the command to the reported end. Invariants: a command is on the disk before it
 * is acknowledged, and runs once however often it arrives; one job at a time, and only runs of schedules that this
 * agent began by itself wait for their turn; whatever happens to a job, the server is told how it ended; stopping the
 * agent ends no job.
 */
import { join } from "node:path";
import type { CommandAck, KnownJob, Snapshot } from "@restic-manager/protocol";
import { freshPosition, JobLog } from "../journal/job-log.ts";
import type { Journal, JournalEntry } from "../journal/journal.ts";
import type { Outbox } from "../link/outbox.ts";
import type { CommandRun, JobProgress } from "../link/session.ts";
import { whenAborted } from "../platform/clock.ts";
import { reasonOf } from "../platform/errors.ts";
import { removeTree } from "../platform/files.ts";
import { createId } from "../platform/ids.ts";
import type { Log } from "../platform/log.ts";
import { removeLeftDrills } from "./drill-folder.ts";
import { runCommand } from "./index.ts";
import { type ActiveJob, type CommandDeps, type CommandOutcome, internalFailure } from "./job-context.ts";
import { cutIntoParts } from "./list-snapshots.ts";
import { newEntry, type OwnRun, ownEntry, ranEvent } from "./own-run.ts";
import { FiguresTeller } from "./repository-figures.ts";
import { NO_REPOSITORY } from "./restic-access.ts";
import { SnapshotLister } from "./snapshot-lister.ts";

export type JobsDeps = CommandDeps & {
  log: Log;
  journal: Journal;
  outbox: Outbox;
  reportProgress: (message: JobProgress) => void;
  forgetProgress: (jobId: string) => void;
  /** A job begins; what is done beside jobs gives way. */
  onBusy: () => void;
  /** No job runs any more. */
  onIdle: () => void;
};

type Running = { done: Promise<void>; cancel: AbortController };

export class Jobs {
  readonly #deps: JobsDeps;
  readonly #running = new Map<string, Running>();
  readonly #stopping = new AbortController();
  /** Resolves when every job that was started before is over. */
  #lane: Promise<void> = Promise.resolve();
  readonly #lister: SnapshotLister;
  readonly #figures: FiguresTeller;
  /** What came with commands, until their jobs end. Never written down. */
  readonly #brought = new Map<string, Pick<ActiveJob, "access" | "newPassword">>();

  constructor(deps: JobsDeps) {
    this.#deps = deps;
    this.#figures = new FiguresTeller(deps);
    this.#lister = new SnapshotLister({ ...deps, figures: this.#figures });
  }

  /** Takes up every job that an earlier agent left, and forgets those whose end the server knows. */
  async start(): Promise<void> {
    const { journal, outbox } = this.#deps;
    outbox.onFinishReported = (jobId) => this.#forget(jobId);
    outbox.retainPositions(journal.listEntries().map((entry) => entry.job_id));
    for (const { job_id } of journal.listEntries()) {
      if (this.#isFinished(job_id) && !outbox.awaitsFinish(job_id)) await this.#forget(job_id);
    }
    await this.#clearDrills();
    this.startHeld();
  }

  /** What a crash has left of drills that are over. It must not keep the agent from starting. */
  async #clearDrills(): Promise<void> {
    const { drillsDir, log } = this.#deps;
    try {
      const stuck = await removeLeftDrills(drillsDir, (jobId) => this.isUnfinished(jobId));
      if (stuck.length > 0)
        log.warn({ jobs: stuck }, "restored files of restore drills could not be removed");
    } catch (error) {
      log.warn({ reason: reasonOf(error) }, "the folder of restore drills can't be read");
    }
  }

  /** Lets go of all jobs: restic runs on under its runners. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all([this.#lister.stop(), ...[...this.#running.values()].map(({ done }) => done)]);
  }

  /** For hello: what the server may believe to be running, lost or finished. */
  listKnown(): KnownJob[] {
    return this.#deps.journal.listEntries().map(({ job_id, attempt }) => {
      return { job_id, attempt, state: this.#isFinished(job_id) ? "finished" : "running" };
    });
  }

  /** True while this job is on this host: until the server has committed its end. */
  knows(jobId: string): boolean {
    return this.#deps.journal.findEntry(jobId) !== undefined;
  }

  /** True for a job that is on this host and has not ended. */
  isUnfinished(jobId: string): boolean {
    return this.knows(jobId) && !this.#isFinished(jobId);
  }

  /** The runs of schedules that this agent began by itself and that are still on this host. */
  listOwn(): NonNullable<JournalEntry["own"]>[] {
    return this.#deps.journal.listEntries().flatMap(({ own }) => own ?? []);
  }

  /**
   * Writes a run of a schedule into the journal. It starts with `startHeld`, or with the next agent.
   * @throws what writing throws; the run is unknown then.
   */
  async hold(run: OwnRun): Promise<void> {
    if (!this.knows(run.jobId)) await this.#deps.journal.add(ownEntry(run));
  }

  /** Starts what is in the journal and neither runs nor has ended, one after the other, begun ones first. */
  startHeld(): void {
    const { journal, outbox } = this.#deps;
    const begun = (jobId: string): boolean => outbox.positionOf(jobId)?.started === true;
    const held = journal
      .listEntries()
      .filter(({ job_id }) => !this.#running.has(job_id) && !this.#isFinished(job_id))
      .sort((a, b) => (a.job_id < b.job_id ? -1 : 1));
    for (const entry of held.filter(({ job_id }) => begun(job_id))) this.#run(entry);
    for (const entry of held.filter(({ job_id }) => !begun(job_id))) this.#run(entry);
  }

  /** Accepts a command into the journal and starts it; one that is already known is acknowledged again. */
  async accept(command: CommandRun): Promise<CommandAck> {
    const { job_id, attempt, spec, access, new_password: newPassword } = command;
    const ack = { type: "command.ack" as const, job_id, attempt };
    const refused = (code: string, message: string) => ({ ...ack, accepted: false, code, message });
    const known = this.#deps.journal.findEntry(job_id);
    if (known?.attempt === attempt) return { ...ack, accepted: true };
    if (known !== undefined || this.#running.size > 0)
      return refused("agent.busy", "Another job is running on this host, or its end is not reported yet.");
    if (!access && spec.kind !== "update" && this.#deps.findRepository() === undefined)
      return refused(NO_REPOSITORY.code, NO_REPOSITORY.message);
    const brought = {
      ...(access ? { access: { repository: access, filesDir: this.#filesDirOf(job_id) } } : {}),
      ...(newPassword ? { newPassword } : {}),
    };
    const isSecret = Object.keys(brought).length > 0;
    const entry = { ...newEntry(job_id, attempt, spec), ...(isSecret ? { with_access: true } : {}) };
    try {
      if (isSecret) this.#brought.set(job_id, brought);
      await this.#deps.journal.add(entry);
    } catch (error) {
      this.#brought.delete(job_id);
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
    // A command that was written down this moment may have been found there by `startHeld`.
    if (this.#running.has(entry.job_id)) return;
    this.#lister.giveWay();
    this.#deps.onBusy();
    const cancel = new AbortController();
    if (entry.cancel_requested) cancel.abort();
    const before = this.#lane;
    const done = this.#runToEnd(entry, cancel.signal, before)
      .catch((error: unknown) => {
        if (this.#stopping.signal.aborted) return;
        this.#deps.log.error(
          { job_id: entry.job_id, reason: reasonOf(error) },
          "a job could not be reported",
        );
      })
      .then(() => this.#removeFiles(entry))
      .finally(() => {
        this.#running.delete(entry.job_id);
        this.#brought.delete(entry.job_id);
        this.#deps.forgetProgress(entry.job_id);
        if (this.#running.size > 0) return;
        this.#lister.resume();
        this.#deps.onIdle();
      });
    this.#running.set(entry.job_id, { done, cancel });
    this.#lane = Promise.all([before, done]).then(() => undefined);
  }

  async #runToEnd(entry: JournalEntry, cancelled: AbortSignal, before: Promise<void>): Promise<void> {
    const { clock, log, outbox } = this.#deps;
    const { job_id, attempt } = entry;
    const position = outbox.positionOf(job_id);
    const logDeps = { clock, log, outbox, signal: this.#stopping.signal };
    const jobLog = new JobLog(logDeps, job_id, position ?? freshPosition(attempt));
    const ran = position === undefined ? ranEvent(entry, this.#now()) : undefined;
    if (ran !== undefined) await jobLog.tell(ran);
    // One that is cancelled while it waits has nothing to wait for.
    await Promise.race([before, whenAborted(cancelled)]);
    if (this.#stopping.signal.aborted) return;
    const { started } = jobLog.position;
    log.info({ job_id, kind: entry.spec.kind }, started ? "job taken up again" : "job starts");
    if (!started)
      await jobLog.tell({ type: "job.started", job_id, attempt, at: this.#now() }, { started: true });
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
      ...this.#brought.get(job_id),
      dir: journal.dirOf(job_id),
      log: jobLog,
      cancelled,
      detached: this.#stopping.signal,
      reportProgress: (progress) => reportProgress({ type: "job.progress", job_id, attempt, progress }),
      update: (change) => journal.change(job_id, change),
    };
  }

  async #report(
    { job_id, attempt, spec }: JournalEntry,
    jobLog: JobLog,
    outcome: Exclude<CommandOutcome, "detached">,
  ): Promise<void> {
    await jobLog.close(outcome.closing);
    const { status, error, summary, exitCode, snapshots, added, result, figures } = outcome;
    // Of what may have removed some: an older list must not bring them back.
    if (spec.kind === "forget" && (snapshots ?? outcome.listLater) !== undefined) this.#lister.outdate();
    if (snapshots !== undefined) await this.#tellList(job_id, jobLog, snapshots);
    if (added !== undefined) {
      this.#lister.outdate();
      await jobLog.tell({ type: "snapshots.added", job_id, snapshot: added });
    }
    if (figures !== undefined) {
      await jobLog.tell({ type: "repo.stats", job_id, at: this.#now(), ...figures });
      this.#figures.noteTold();
    }
    const told = result === undefined ? {} : { result };
    const end = { status, error, exit_code: exitCode, summary, ...told, log_lines: jobLog.position.logLines };
    await jobLog.tell({ type: "job.finished", job_id, attempt, at: this.#now(), ...end }, { finished: true });
    const hostName = added?.hostname ?? outcome.listLater;
    if (hostName !== undefined) this.#lister.wish(hostName);
    else if (spec.kind === "init" && status === "succeeded") this.#lister.wishFigures();
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

  /** An agent that stops leaves them: restic may be about to read them, and the next agent comes by here. */
  async #removeFiles({ job_id, with_access }: JournalEntry): Promise<void> {
    if (with_access !== true || this.#stopping.signal.aborted) return;
    await removeTree(this.#filesDirOf(job_id)).catch((error: unknown) => {
      this.#deps.log.error({ job_id, reason: reasonOf(error) }, "files of an access could not be removed");
    });
  }

  /** The files of what came with a command. */
  #filesDirOf(jobId: string): string {
    return join(this.#deps.journal.dirOf(jobId), "access");
  }

  #isFinished(jobId: string): boolean {
    return this.#deps.outbox.positionOf(jobId)?.finished === true;
  }

  #now(): string {
    return new Date(this.#deps.clock.nowMs()).toISOString();
  }
}
