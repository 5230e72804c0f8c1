/**
 * The repository in figures, for the server: with the end of a job that worked on the whole of it, and now and then after
 * a backup, beside the jobs. Figures that can't be read harm no job.
 */
import type { Outbox } from "../link/outbox.ts";
import { readRepositoryFigures } from "../restic/repository-stats.ts";
import type { ActiveJob, CommandDeps, CommandOutcome, ResticAccess } from "./job-context.ts";
import { isJobError, openRestic } from "./restic-access.ts";

/** After these nobody waits for the storage once more. */
const NO_ANSWER = new Set([
  ...["restic.unreachable", "restic.host_unknown", "restic.certificate_untrusted"],
  ...["restic.timeout", "restic.spawn_failed"],
]);

/** Reads the figures for the end of a job. Not of one that was cancelled: somebody waits for that. */
export async function withFigures(
  deps: CommandDeps,
  job: ActiveJob,
  outcome: CommandOutcome,
): Promise<CommandOutcome> {
  if (outcome === "detached" || outcome.status === "cancelled") return outcome;
  if (NO_ANSWER.has(outcome.error?.code ?? "")) return outcome;
  const access = await openRestic(deps, job.access);
  if (isJobError(access)) return outcome;
  const signal = AbortSignal.any([job.cancelled, job.detached]);
  const figures = await readRepositoryFigures(deps, { ...access, signal }, outcome.locks);
  if (job.detached.aborted) return "detached";
  return figures === undefined ? outcome : { ...outcome, figures };
}

/** Backups may come every few minutes, and reading costs the storage something. */
const BETWEEN_MS = 3_600_000;

/** Tells the figures after backups, at most once an hour for each repository. */
export class FiguresTeller {
  readonly #deps: CommandDeps & { outbox: Pick<Outbox, "append"> };
  /** By location, on the clock that nobody sets. */
  readonly #readAtMs = new Map<string, number>();

  constructor(deps: CommandDeps & { outbox: Pick<Outbox, "append"> }) {
    this.#deps = deps;
  }

  /** A job has told them this moment. */
  noteTold(): void {
    this.#readAtMs.set(this.#location(), this.#deps.clock.monotonicMs());
  }

  async tellIfDue(access: ResticAccess, signal: AbortSignal): Promise<void> {
    const { clock, outbox } = this.#deps;
    const readAtMs = this.#readAtMs.get(this.#location());
    if (readAtMs !== undefined && clock.monotonicMs() - readAtMs < BETWEEN_MS) return;
    const figures = await readRepositoryFigures(this.#deps, { ...access, signal });
    if (figures === undefined || signal.aborted) return;
    this.noteTold();
    const at = new Date(clock.nowMs()).toISOString();
    await outbox.append({ type: "repo.stats", job_id: null, at, ...figures });
  }

  #location(): string {
    return this.#deps.findRepository()?.location ?? "";
  }
}
