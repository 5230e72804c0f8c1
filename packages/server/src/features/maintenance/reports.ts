/** What agents tell of their repositories, as it is taken in. Each runs in the link's transaction. */
import type { JobFinished, RepoStats } from "@restic-manager/protocol";
import type { Logger } from "pino";
import { type Clock, fromInstant } from "../../platform/clock.ts";
import { type Db, inTransaction } from "../../platform/db/db.ts";
import { AppError } from "../../platform/errors.ts";
import type { EventBus } from "../../platform/events.ts";
import type { Actor } from "../../platform/http/identity.ts";
import type { AfterCommit } from "../agent-link/agent-link.ts";
import { recordAudit } from "../audit/audit.ts";
import {
  getHost,
  type Host,
  type HostIdentity,
  hostChanged,
  listHostsOfRepository,
  nameMismatch,
} from "../hosts/hosts.ts";
import { findJob, type Job } from "../jobs/jobs.ts";
import {
  acceptForeignId,
  credentialsChangedAt,
  findRepository,
  forgetIdentity,
  isLocalLocation,
  recordStatistics,
} from "../repositories/repositories.ts";
import { sliceOf } from "./coverage.ts";
import { hostWithRepository, type MaintenanceDeps } from "./edit-maintenance.ts";
import { deleteCheckedSlices, putCheckedSlice } from "./maintenance.store.ts";

export interface ReportDeps {
  clock: Clock;
  bus: EventBus;
  log: Logger;
}

/**
 * Figures of the repository that the host uses now. What was read before its credentials changed may be of the one
 * before, and is left.
 * @throws AppError `jobs.unknown` for a job of another host
 */
export async function onRepoStats(
  deps: ReportDeps,
  tx: Db,
  { id: hostId }: HostIdentity,
  event: RepoStats,
): Promise<AfterCommit | undefined> {
  // What it uses may have been edited since it connected.
  const host = await getHost(tx, hostId);
  const job = event.job_id === null ? null : await findJob(tx, event.job_id);
  if (event.job_id !== null && job?.hostId !== host.id)
    throw new AppError("not_found", "jobs.unknown", "This host has no such job.");
  const { repositoryId } = host;
  if (repositoryId === null || (job && job.repositoryId !== repositoryId)) return undefined;
  const at = Math.min(deps.clock.now(), byOurClock(host, fromInstant(event.at)));
  const changedAt = (await credentialsChangedAt(tx, host.id, "everyday")) ?? 0;
  if (changedAt > beganAt(host, job, at)) return undefined;
  const before = await findRepository(tx, repositoryId);
  const ambiguous = before !== null && (await isAmbiguous(tx, before));
  const swapped = await recordStatistics(tx, repositoryId, { stats: event, at, ambiguous });
  if (!swapped || before?.foreignId === event.repository_id) return () => tell(deps, host);
  const payload = { expected: before?.resticId ?? null, found: event.repository_id };
  await recordAudit(tx, {
    ...{ at: deps.clock.now(), actor: { kind: "agent", id: host.id, name: host.name } },
    ...{ action: "repository.swapped", target: { kind: "host", id: host.id, name: host.name }, payload },
  });
  return () => {
    deps.log.error(
      { host: host.name, ...payload },
      "another repository answers under the address of this one",
    );
    tell(deps, host);
  };
}

const tell = ({ bus }: ReportDeps, { id: hostId }: Host): void => bus.emit(hostChanged, { hostId });

const byOurClock = (host: Host, at: number): number => at - (host.clockSkewMs ?? 0);

const beganAt = (host: Host, job: Job | null, at: number): number =>
  job?.startedAt ? Math.min(at, byOurClock(host, job.startedAt)) : at;

/** A path is another place on each host, and all that several hosts of one path have in common is its name. */
async function isAmbiguous(tx: Db, repository: { id: string; location: string }): Promise<boolean> {
  if (!isLocalLocation(repository.location)) return false;
  return (await listHostsOfRepository(tx, repository.id)).length > 1;
}

/**
 * Notes what a job did to its repository, in the transaction that ends it; call it after the job's own handler. What a
 * check has read counts; a repository that an init had to make anew is another one from now on, where a person had asked for
 * that: a host alone must not make the others' repository count as replaced.
 */
export async function onJobFinished(
  tx: Db,
  host: HostIdentity,
  event: JobFinished,
  now: number,
): Promise<void> {
  const { result } = event;
  if (result?.kind !== "check" && result?.kind !== "init") return;
  const job = await findJob(tx, event.job_id);
  if (!job || job.repositoryId === null) return;
  if (result.kind === "init") {
    if (result.created && job.actor.kind === "user") await noteNewRepository(tx, host, job.repositoryId, now);
    return;
  }
  if (job.spec.kind !== "check" || (event.status !== "succeeded" && event.status !== "warning")) return;
  const slice = sliceOf(job.spec.read_data);
  if (slice) await putCheckedSlice(tx, job.repositoryId, { ...slice, checkedAt: now });
}

async function noteNewRepository(
  tx: Db,
  host: HostIdentity,
  repositoryId: string,
  at: number,
): Promise<void> {
  const before = (await findRepository(tx, repositoryId))?.resticId ?? null;
  if (before === null) return;
  await forgetIdentity(tx, repositoryId);
  await deleteCheckedSlices(tx, repositoryId);
  const target = { kind: "host", id: host.id, name: host.name };
  const actor = { kind: "agent" as const, id: host.id, name: host.name };
  await recordAudit(tx, { at, actor, action: "repository.made_anew", target, payload: { before } });
}

/**
 * The repository that answers under the address now is the right one: jobs may run on it.
 * @throws AppError as hostWithRepository, `hosts.name_mismatch`, `repositories.not_swapped`
 */
export async function acceptRepositoryId(
  deps: MaintenanceDeps,
  input: { hostId: string; typedName: string; actor: Actor },
): Promise<void> {
  const { hostId, typedName, actor } = input;
  await inTransaction(deps.db, async (tx) => {
    const { host, repositoryId } = await hostWithRepository(tx, hostId);
    if (typedName !== host.name) throw nameMismatch(host.name);
    const before = await findRepository(tx, repositoryId);
    const accepted = await acceptForeignId(tx, repositoryId);
    await deleteCheckedSlices(tx, repositoryId);
    const target = { kind: "host", id: host.id, name: host.name };
    const payload = { before: before?.resticId ?? null, accepted };
    await recordAudit(tx, {
      ...{ at: deps.clock.now(), actor, action: "repository.accept_id", target, payload },
    });
  });
  deps.bus.emit(hostChanged, { hostId });
}
