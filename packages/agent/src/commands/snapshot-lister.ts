/**
 * Reads the full list of snapshots after a backup, and the repository's figures, beside the jobs: no job waits for it.
 * Invariants: one reading at a time, for the newest wish; a list that was begun before a newer snapshot is never told,
 * since it would take that snapshot off the page again; figures, which cost the most, are read while no job runs; a list
 * that can't be read is a line in the agent's log and nothing else.
 */
import type { Outbox } from "../link/outbox.ts";
import { reasonOf } from "../platform/errors.ts";
import { createId } from "../platform/ids.ts";
import type { Log } from "../platform/log.ts";
import { listSnapshots } from "../restic/probe.ts";
import type { CommandDeps, ResticAccess } from "./job-context.ts";
import { cutIntoParts, toWireSnapshot } from "./list-snapshots.ts";
import type { FiguresTeller } from "./repository-figures.ts";
import { isJobError, openRestic } from "./restic-access.ts";

export type SnapshotListerDeps = CommandDeps & {
  log: Log;
  outbox: Pick<Outbox, "append">;
  figures: Pick<FiguresTeller, "tellIfDue">;
};

/** The host whose list is wished for; null when only the figures are. */
type Wish = { hostName: string | null };

export class SnapshotLister {
  readonly #deps: SnapshotListerDeps;
  readonly #stopping = new AbortController();
  #wished: Wish | undefined;
  #reading = new AbortController();
  #working: Promise<void> | undefined;
  /** Aborts when a job begins; a new one when the last has ended. */
  #idle = new AbortController();
  /** Figures gave way to a job. */
  #owed = false;

  constructor(deps: SnapshotListerDeps) {
    this.#deps = deps;
  }

  /** Call before a new snapshot is told: a list that is being read does not know it, and is dropped. */
  outdate(): void {
    this.#reading.abort();
  }

  /** Reads the list of this host and tells it, once whatever was wished for before is out of the way. */
  wish(hostName: string): void {
    this.outdate();
    this.#begin({ hostName });
  }

  /** Tells the figures alone, when they are due. A list that is being read brings them anyway. */
  wishFigures(): void {
    if (this.#working === undefined) this.#begin({ hostName: null });
  }

  /** A job begins: it shall have the machine and the storage to itself. */
  giveWay(): void {
    this.#idle.abort();
  }

  /** No job runs any more. */
  resume(): void {
    this.#idle = new AbortController();
    if (this.#owed && this.#wished === undefined) this.#begin({ hostName: null });
  }

  /** Ends a reading: it takes no lock, so its restic may be killed. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.outdate();
    await this.#working;
  }

  #begin(wish: Wish): void {
    if (this.#stopping.signal.aborted) return;
    this.#wished = wish;
    this.#working ??= this.#work();
  }

  /** MUST not reject: nobody awaits it but `stop`. */
  async #work(): Promise<void> {
    while (this.#wished !== undefined && !this.#stopping.signal.aborted) {
      const { hostName } = this.#wished;
      this.#wished = undefined;
      this.#reading = new AbortController();
      try {
        await this.#tell(hostName, this.#reading.signal);
      } catch (error) {
        this.#warn(reasonOf(error));
      }
    }
    // In the same step as the last look at the wish, so that none comes between.
    this.#working = undefined;
  }

  async #tell(hostName: string | null, signal: AbortSignal): Promise<void> {
    const access = await openRestic(this.#deps);
    if (isJobError(access)) return this.#warn(access.message);
    if (hostName !== null) await this.#tellList(hostName, access, signal);
    await this.#tellFigures(access, signal);
  }

  async #tellFigures(access: ResticAccess, signal: AbortSignal): Promise<void> {
    this.#owed = true;
    while (!signal.aborted && !this.#idle.signal.aborted) {
      const idle = this.#idle.signal;
      await this.#deps.figures.tellIfDue(access, AbortSignal.any([signal, idle]));
      // A job has begun, and may even be over.
      if (idle.aborted) continue;
      this.#owed = false;
      return;
    }
  }

  async #tellList(hostName: string, access: ResticAccess, signal: AbortSignal): Promise<void> {
    const { clock, random, outbox } = this.#deps;
    const list = await listSnapshots(this.#deps, { ...access, hostName, signal });
    if (signal.aborted || list.kind === "aborted") return;
    if (list.kind === "failed") return this.#warn(list.problem.message);
    const parts = cutIntoParts(list.snapshots.map(toWireSnapshot));
    const report_id = createId(clock.nowMs(), random);
    for (const [index, snapshots] of parts.entries()) {
      // A report whose last part never comes is never shown.
      if (signal.aborted) return;
      const part = { part: index + 1, parts: parts.length, snapshots };
      await outbox.append({ type: "snapshots.report", report_id, job_id: null, ...part });
    }
  }

  #warn(reason: string): void {
    this.#deps.log.warn(
      { reason },
      "the list of snapshots could not be read; the next backup reads it again",
    );
  }
}
