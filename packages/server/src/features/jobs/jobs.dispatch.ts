/**
 * Sends jobs to their hosts: one at a time for each host, redelivered until acknowledged, and reconciled with
 * what the agent says it holds whenever it connects. A dropped connection never fails or cancels a job. Of several
 * replicas the one that has the agent does all this for its host; what no agent has a part in, the leader does.
 */
import type { CommandAck, JobError, JobSpec, KnownJob, RepositoryAccess } from "@restic-manager/protocol";
import type { Logger } from "pino";
import { inTransaction } from "../../platform/db/db.ts";
import { AppError } from "../../platform/errors.ts";
import { type Actor, systemActor } from "../../platform/http/identity.ts";
import { eventsMissed, replicaLost } from "../../platform/replicas/replicas.ts";
import { Turns } from "../../platform/turns.ts";
import { type AgentHub, agentGreeted } from "../agent-link/agent-link.ts";
import { findHost, type HostIdentity, knowsJobKind, lockHost } from "../hosts/hosts.ts";
import {
  announce,
  isFinal,
  type Job,
  type JobPatch,
  type JobStatus,
  type JobsDeps,
  jobCancelRequested,
  jobChanged,
  moveJob,
  recordEnd,
} from "./job.ts";
import { findStartable } from "./jobs.lanes.ts";
import * as store from "./jobs.store.ts";

/** How long an agent may take to acknowledge before the command is sent again. */
const acknowledgeWithinMs = 15_000;
/** A dispatch that nobody acknowledged for so long is taken back, so that the job can be cancelled or wait visibly. */
const leaseMs = 60_000;
/** A job that was never sent, or whose host was not seen since, is given up after this. */
const expireQueuedMs = 24 * 60 * 60_000;
/** A host that runs something may be away for long (a laptop in a drawer); its restic may even have finished. */
const expireRunningMs = 7 * 24 * 60 * 60_000;
const tickMs = 5000;

export interface DispatchDeps extends JobsDeps {
  log: Logger;
  hub: Pick<AgentHub, "isHere" | "isConnected" | "isHeld" | "holds" | "configured" | "send">;
  /** Whether this server does what only one of all replicas shall do. */
  isLeader(): boolean;
  /**
   * The job as the agent needs it: with hooks, the host's caps and what may delete, which are not stored with a job.
   * An AppError ends the job as failed with its code; after any other error it is tried again.
   */
  completeOrder(job: Job): Promise<JobOrder>;
}

/** What is sent of a job. Secret as a whole. */
export interface JobOrder {
  spec: JobSpec;
  /** In place of the host's everyday credentials, for this job alone. */
  access?: RepositoryAccess;
  /** What a key job makes open the repository; spelled as on the wire. */
  new_password?: string;
}

export class JobDispatcher {
  private readonly deps: DispatchDeps;
  private readonly stopping = new AbortController();
  /** One chain of work for each host: two events about a host never race each other. */
  private readonly chains = new Map<string, Promise<void>>();
  /**
   * What an agent said in its hello, until it is compared with our rows. No command is sent before: a job that
   * starts between the hello and the comparison would look lost.
   */
  private readonly unreconciled = new Map<string, KnownJob[]>();
  private readonly unsubscribe: (() => void)[] = [];
  private ticking: Promise<void> | null = null;
  private looking: Promise<void> = Promise.resolve();
  /** Ten thousand jobs may be due at three. One takes about half a millisecond. */
  private readonly turns = new Turns(8);
  /** Whether wishes to cancel may not have been told. */
  private mayHaveMissed = false;

  constructor(deps: DispatchDeps) {
    this.deps = deps;
  }

  start(): void {
    const { bus } = this.deps;
    this.unsubscribe.push(
      bus.on(agentGreeted, ({ hostId, jobs }) => {
        this.unreconciled.set(hostId, jobs);
        this.enqueue(hostId, () => this.dispatchNext(hostId));
      }),
      bus.on(jobChanged, ({ jobId, hostId, status }) => {
        if (status === "queued") this.enqueue(hostId, () => this.dispatchNext(hostId));
        else if (isFinal(status)) this.enqueue(hostId, () => this.dispatchAfter(hostId, jobId));
      }),
      bus.on(jobCancelRequested, ({ jobId, hostId }) => {
        this.cancelInTurn(hostId, jobId);
      }),
      bus.on(eventsMissed, () => this.lookAgain()),
      bus.on(replicaLost, () => this.lookAgain()),
    );
    this.ticking = this.keepTicking();
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    for (const off of this.unsubscribe.splice(0)) off();
    await this.ticking;
    await this.looking;
    await this.settled();
  }

  /** Resolves when everything that was asked for until now is done. */
  async settled(): Promise<void> {
    while (this.chains.size > 0) await Promise.all(this.chains.values());
  }

  /** The agent took the job, or says why it can't run it. */
  async acknowledge(host: HostIdentity, ack: CommandAck): Promise<void> {
    const job = await store.findJob(this.deps.db, ack.job_id);
    if (!job || job.hostId !== host.id || job.attempt !== ack.attempt || job.status !== "dispatched") return;
    if (ack.accepted) {
      await store.updateJob(this.deps.db, job, {
        status: "dispatched",
        acknowledgedAt: job.acknowledgedAt ?? this.deps.clock.now(),
      });
      return;
    }
    const to = afterRefusal(job, ack);
    const error = {
      code: ack.code ?? "agent.refused",
      message: ack.message ?? "The agent refused the job.",
      last_lines: [],
    };
    // A busy agent is asked again by the next tick, not at once.
    if (to === "queued") await moveJob(this.deps.db, job, to);
    else
      await this.end(job, to, to === "failed" ? error : null, {
        kind: "agent",
        id: host.id,
        name: host.name,
      });
  }

  /** An end that no event of the agent told. */
  private async end(job: Job, to: JobStatus, error: JobError | null, actor: Actor): Promise<void> {
    const { db, clock, bus } = this.deps;
    const finishedAt = clock.now();
    const moved = await inTransaction(db, async (tx) => {
      const ended = await moveJob(tx, job, to, { finishedAt, error });
      if (ended) await recordEnd(tx, { job: ended, actor, at: finishedAt });
      return ended;
    });
    if (moved) announce(bus, moved);
  }

  /** A cancel that overtakes its command would be a wish about a job that the agent does not know. */
  private cancelInTurn(hostId: string, jobId: string): void {
    if (!this.deps.hub.isHere(hostId)) return;
    this.enqueue(hostId, async () => {
      // Whoever may connect to PostgreSQL can say it; only the row is a person's wish.
      const job = await store.findJob(this.deps.db, jobId);
      if (job?.hostId === hostId && job.cancelRequestedAt !== null)
        this.deps.hub.send(hostId, { type: "command.cancel", job_id: jobId });
    });
  }

  /** What another replica told may not have come: jobs that were queued there, and wishes to cancel. */
  private lookAgain(): void {
    this.mayHaveMissed = true;
    this.looking = this.looking
      .then(() => (this.stopping.signal.aborted ? undefined : this.tick()))
      .catch((error: unknown) => this.deps.log.error({ err: error }, "looking for missed events failed"));
  }

  private enqueue(hostId: string, work: () => Promise<void>): void {
    if (this.stopping.signal.aborted) return;
    const before = this.chains.get(hostId) ?? Promise.resolve();
    const chained = before
      .then(() => this.turns.next())
      .then(work)
      .catch((error: unknown) => {
        // The rows are as they were; the next tick tries again.
        this.deps.log.error({ err: error, hostId }, "dispatching failed");
      });
    const last = chained.then(() => {
      if (this.chains.get(hostId) === last) this.chains.delete(hostId);
    });
    this.chains.set(hostId, last);
  }

  private async keepTicking(): Promise<void> {
    while (!this.stopping.signal.aborted) {
      await this.deps.clock.sleep(tickMs, this.stopping.signal);
      if (!this.stopping.signal.aborted)
        await this.tick().catch((error) => this.deps.log.error({ err: error }, "dispatch tick failed"));
    }
  }

  private async tick(): Promise<void> {
    const { db, clock, hub } = this.deps;
    if (this.mayHaveMissed) await this.cancelMissed();
    const now = clock.now();
    const leads = this.deps.isLeader();
    for (const job of await store.listUnacknowledged(db, now - acknowledgeWithinMs)) {
      if (hub.isHere(job.hostId)) this.enqueue(job.hostId, () => this.redeliver(job.id));
      else if (leads && !hub.isConnected(job.hostId) && now - (job.dispatchedAt ?? 0) > leaseMs)
        await this.takeBack(job);
    }
    if (leads)
      for (const job of await store.listOverdue(db, now - expireQueuedMs)) await this.expire(job, now);
    for (const hostId of new Set([...(await store.listHostsWithQueued(db)), ...this.unreconciled.keys()])) {
      this.enqueue(hostId, () => this.dispatchNext(hostId));
    }
  }

  /** If it fails, the next tick tries again. */
  private async cancelMissed(): Promise<void> {
    this.mayHaveMissed = false;
    try {
      for (const job of await store.listCancelWished(this.deps.db)) this.cancelInTurn(job.hostId, job.id);
    } catch (error) {
      this.mayHaveMissed = true;
      throw error;
    }
  }

  /** Read anew: a job that has ended since must not be sent to an agent that has already forgotten it. */
  private async redeliver(jobId: string): Promise<void> {
    const job = await store.findJob(this.deps.db, jobId);
    if (job?.status === "dispatched" && job.acknowledgedAt === null) await this.sendRun(job);
  }

  /**
   * Nobody acknowledged it, and its agent is nowhere. Another replica may greet the agent right now, which then says that
   * it has the job: a hello writes the host's row, so that it comes before or after this as a whole.
   */
  private async takeBack(job: Job): Promise<void> {
    const { db, hub, bus } = this.deps;
    await this.turns.next();
    const moved = await inTransaction(db, async (tx) => {
      await lockHost(tx, job.hostId);
      return (await hub.isHeld(tx, job.hostId)) ? null : moveJob(tx, job, "queued");
    });
    if (moved) announce(bus, moved);
  }

  /** Gives up on a job whose host did not come back in time. Its end is still taken should it come later. */
  private async expire(job: Job, now: number): Promise<void> {
    await this.turns.next();
    const host = await findHost(this.deps.db, job.hostId);
    const awayMs = now - (host?.lastSeenAt ?? 0);
    const begun = job.acknowledgedAt !== null && job.status !== "queued";
    if (awayMs < (begun ? expireRunningMs : expireQueuedMs)) return;
    const error = {
      code: "jobs.expired",
      message:
        "The host did not come back in time. Start its agent, or remove the host if it is gone; then run the job again.",
      last_lines: [],
    };
    await this.end(job, "expired", error, systemActor);
  }

  private async moveAndTell(job: Job, to: JobStatus, patch: JobPatch = {}): Promise<void> {
    const moved = await moveJob(this.deps.db, job, to, patch);
    if (moved) announce(this.deps.bus, moved);
  }

  /**
   * Compares what we hold for this host with what its agent said it holds; once for each connection. Commands come
   * last, so that a comparison that fails half-way can be made again.
   * @returns the host's unfinished jobs as they were read for it; null when it was made before
   */
  private async reconcile(hostId: string): Promise<Job[] | null> {
    const known = this.unreconciled.get(hostId);
    if (!known) return null;
    const attempts = new Map(known.map((job) => [job.job_id, job.attempt]));
    const unfinished = await store.listUnfinishedOf(this.deps.db, hostId);
    const unknown: Job[] = [];
    const lost: Job[] = [];
    for (const job of unfinished) {
      // What was never sent has no attempt that an agent could hold.
      if (job.attempt > 0 && attempts.get(job.id) === job.attempt) await this.adopt(job);
      else if (job.status === "dispatched") unknown.push(job);
      else if (job.status !== "queued") lost.push(job);
    }
    const unwanted = await this.listUnwanted(hostId, known, unfinished);
    // Another replica has greeted the agent meanwhile, and may have given it jobs since.
    if (lost.length > 0 && !(await this.deps.hub.holds(hostId))) return unfinished;
    // The agent has connected again meanwhile; what it said then is compared next.
    if (this.unreconciled.get(hostId) !== known) return unfinished;
    for (const job of lost) await this.lose(job);
    this.unreconciled.delete(hostId);
    for (const jobId of unwanted) this.deps.hub.send(hostId, { type: "command.cancel", job_id: jobId });
    for (const job of unknown) await this.sendRun(job);
    return unfinished;
  }

  /** What the agent runs although somebody cancelled it: also while its dispatch was taken back. */
  private async listUnwanted(hostId: string, known: KnownJob[], unfinished: Job[]): Promise<string[]> {
    const unwanted: string[] = [];
    for (const { job_id: jobId, state } of known) {
      if (state !== "running") continue;
      const job = unfinished.find(({ id }) => id === jobId) ?? (await store.findJob(this.deps.db, jobId));
      if (job?.hostId !== hostId) continue;
      if (job.status === "cancelled" || job.cancelRequestedAt !== null) unwanted.push(jobId);
    }
    return unwanted;
  }

  /** The agent has the job, also if its acknowledgement got lost and the dispatch was taken back meanwhile. */
  private async adopt(job: Job): Promise<void> {
    const acknowledgedAt = job.acknowledgedAt ?? this.deps.clock.now();
    if (job.status === "queued") await this.moveAndTell(job, "dispatched", { acknowledgedAt });
    else if (job.acknowledgedAt === null)
      await store.updateJob(this.deps.db, job, { status: job.status, acknowledgedAt });
  }

  private async lose(job: Job): Promise<void> {
    const error = {
      code: "jobs.lost",
      message:
        "The agent came back without knowing this job: its disk was replaced, or its state was deleted. What restic had saved until then is in the repository. Run the job again.",
      last_lines: [],
    };
    await this.end(job, "lost", error, systemActor);
  }

  /** A job ended: the next of its host may start, and those of other hosts that waited for the repository. */
  private async dispatchAfter(hostId: string, jobId: string): Promise<void> {
    await this.dispatchNext(hostId);
    const job = await store.findJob(this.deps.db, jobId);
    if (!job?.repositoryId) return;
    for (const other of await store.listHostsWithQueued(this.deps.db, job.repositoryId)) {
      if (other !== hostId) this.enqueue(other, () => this.dispatchNext(other));
    }
  }

  /** Sends the next queued job when the host is here and does nothing else. */
  private async dispatchNext(hostId: string): Promise<void> {
    if (!this.deps.hub.isHere(hostId)) return;
    const unfinished = await this.reconcile(hostId);
    if (this.unreconciled.has(hostId)) return;
    // Most hosts that connect have nothing waiting: no transaction for them.
    const waits = unfinished?.some(({ status }) => status === "queued");
    if (!(waits ?? (await store.findNextQueued(this.deps.db, hostId)))) return;
    const job = await inTransaction(this.deps.db, async (tx) => {
      const next = await findStartable(tx, hostId, (id) => this.deps.hub.isConnected(id));
      const patch = {
        attempt: (next?.attempt ?? 0) + 1,
        dispatchedAt: this.deps.clock.now(),
        acknowledgedAt: null,
      };
      return next ? moveJob(tx, next, "dispatched", patch) : null;
    });
    if (job && (await this.sendRun(job))) announce(this.deps.bus, job);
  }

  /**
   * May fail silently: an unacknowledged job is sent again by the tick or when the agent says hello.
   * @returns false when the job has ended instead
   */
  private async sendRun(job: Job): Promise<boolean> {
    const order = await this.completeOrEnd(job);
    if (!order) return false;
    // An edit and a job right after it come in one moment from another replica.
    await this.deps.hub.configured(job.hostId);
    if (this.unreconciled.has(job.hostId)) return true;
    this.deps.hub.send(job.hostId, {
      type: "command.run",
      job_id: job.id,
      attempt: job.attempt,
      ...order,
    });
    if (job.cancelRequestedAt !== null)
      this.deps.hub.send(job.hostId, { type: "command.cancel", job_id: job.id });
    return true;
  }

  /** An agent that does not know a kind can't even refuse it: the job would wait until it expires. @throws AppError `agent.too_old` */
  private async refuseUnknownKind({ hostId, kind }: Job): Promise<void> {
    const host = await findHost(this.deps.db, hostId);
    if (!host || knowsJobKind(host, kind)) return;
    const version = host.agentVersion === null ? "" : ` ${host.agentVersion}`;
    const message = `The agent${version} on ${host.name} is too old for this kind of job. Update the agent, then run the job again.`;
    throw new AppError("conflict", "agent.too_old", message);
  }

  /** What an operator must put right, such as a hook that can't be opened, ends the job; trying again would not help. */
  private async completeOrEnd(job: Job): Promise<JobOrder | null> {
    try {
      await this.refuseUnknownKind(job);
      return await this.deps.completeOrder(job);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      const { code, message } = error;
      this.deps.log.error({ err: error, jobId: job.id }, "a job can't be sent");
      await this.end(job, "failed", { code, message, last_lines: [] }, systemActor);
      return null;
    }
  }
}

/**
 * Busy means that our picture of the lane was old: the job waits for its turn again, nothing is lost. Nobody runs
 * it now, so one that somebody wished to cancel needs no other turn.
 */
function afterRefusal(job: Job, ack: CommandAck): "cancelled" | "queued" | "failed" {
  if (job.cancelRequestedAt !== null) return "cancelled";
  return ack.code === "agent.busy" ? "queued" : "failed";
}
