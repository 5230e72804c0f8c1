/** A host's repository with everything that a page or a client asks of it at once. */
import type { JobResult, ReadData, RepositoryLock } from "@restic-manager/protocol";
import { type Clock, fromInstant } from "../../platform/clock.ts";
import type { Db } from "../../platform/db/db.ts";
import type { SecretBox } from "../../platform/secrets.ts";
import { type Host, isOnline, listHostsOfRepository } from "../hosts/hosts.ts";
import { findJobAt, findLastOf, isFinal, type Job, type JobStatus } from "../jobs/jobs.ts";
import {
  credentialsChangedAt,
  findRepository,
  noCredentials,
  type RedactedCredentials,
  type Repository,
  redactedAdminCredentials,
  redactedCredentials,
} from "../repositories/repositories.ts";
import { type Maintenance, nextStart, type Operation, operations, ownerOf, sinceOf } from "./cadences.ts";
import { coveredSince, nextSlice, readSlices } from "./coverage.ts";
import { wasRefused } from "./due.ts";
import { getMaintenance, hostWithRepository } from "./edit-maintenance.ts";
import { type Fire, listCheckedSlices, listLastFires } from "./maintenance.store.ts";

/** One of restic's locks, and what we know of its holder. */
export interface LockView {
  id: string;
  hostname: string;
  username: string;
  pid: number;
  exclusive: boolean;
  createdAt: number;
  /** Whether its process lives, where an agent could tell; null elsewhere. */
  alive: boolean | null;
  /** The host of ours that has this name. */
  host: { id: string; name: string } | null;
  /** Whether a job of ours ran there when it was made. */
  ours: boolean;
  job: { id: string; kind: Job["kind"] } | null;
  /** Whether that job still lives; null without one. */
  jobAlive: boolean | null;
}

/** The last job of a kind that came to an end of its own. */
export interface LastRun {
  jobId: string;
  hostId: string;
  status: JobStatus;
  finishedAt: number | null;
  result: JobResult | null;
  error: { code: string; message: string } | null;
  /** What a check has read; null for other kinds, and for one that read no data. */
  readData: ReadData | null;
}

/** One operation's cadence. */
export interface CadenceView {
  operation: Operation;
  /** When it begins next, the spread included; null when it is off. */
  nextAt: number | null;
  lastFire: Pick<Fire, "plannedAt" | "outcome"> | null;
  lastRun: LastRun | null;
}

export interface SharerView {
  id: string;
  name: string;
  isOnline: boolean;
  /** Whether it prunes and checks for all. */
  isOwner: boolean;
  isAdminSet: boolean;
}

export interface RepositoryView {
  host: { id: string; name: string };
  repository: Omit<Repository, "locks">;
  /** Null until an agent told. */
  locks: LockView[] | null;
  /** All hosts that back up to it, this one included, the first that was added first. */
  sharers: SharerView[];
  maintenance: Maintenance;
  /** In the order of `operations`. */
  cadences: CadenceView[];
  /** Since when every pack was read, and how far the rotation is; see `coveredSince`. */
  coverage: {
    since: number | null;
    slicesRead: number | null;
    slicesOf: number | null;
    /** The one whose turn it is. */
    nextSlice: number | null;
  };
  credentials: RedactedCredentials | null;
  adminCredentials: RedactedCredentials | null;
  /** Whether the owner's admin credentials proved not to be allowed to delete. */
  isAdminRefused: boolean;
}

export interface ViewDeps {
  db: Db;
  box: SecretBox;
  clock: Clock;
}

/** @throws AppError `hosts.not_found`, `repositories.no_credentials` */
export async function getRepositoryView(deps: ViewDeps, hostId: string): Promise<RepositoryView> {
  const { db, box, clock } = deps;
  const { host, repositoryId } = await hostWithRepository(db, hostId);
  const found = await findRepository(db, repositoryId);
  if (!found) throw noCredentials();
  const { locks, ...repository } = found;
  const maintenance = await getMaintenance(db, repositoryId);
  const sharers = await listHostsOfRepository(db, repositoryId);
  const owner = ownerOf(maintenance, sharers);
  return {
    host: { id: host.id, name: host.name },
    repository,
    locks: locks && (await Promise.all(locks.map((lock) => viewLock(db, repositoryId, sharers, lock)))),
    sharers: await Promise.all(sharers.map((sharer) => viewSharer(db, sharer, owner, clock.now()))),
    maintenance,
    cadences: await viewCadences(db, found, maintenance, clock.now()),
    coverage: await viewCoverage(db, maintenance),
    credentials: await redactedCredentials(db, box, hostId),
    adminCredentials: await redactedAdminCredentials(db, box, hostId),
    isAdminRefused: owner !== null && (await isRefused(db, owner, repositoryId)),
  };
}

async function isRefused(db: Db, owner: Host, repositoryId: string): Promise<boolean> {
  const changedAt = await credentialsChangedAt(db, owner.id, "admin");
  return changedAt !== null && wasRefused(db, repositoryId, changedAt);
}

async function viewSharer(db: Db, host: Host, owner: Host | null, now: number): Promise<SharerView> {
  return {
    id: host.id,
    name: host.name,
    isOnline: isOnline(host, now),
    isOwner: host.id === owner?.id,
    isAdminSet: (await credentialsChangedAt(db, host.id, "admin")) !== null,
  };
}

/** A lock names its machine, with or without its domain behind it. */
function isSameName(one: string, other: string): boolean {
  const [a, b] = [one.toLowerCase(), other.toLowerCase()];
  return a === b || a.startsWith(`${b}.`) || b.startsWith(`${a}.`);
}

async function viewLock(
  db: Db,
  repositoryId: string,
  sharers: readonly Host[],
  lock: RepositoryLock,
): Promise<LockView> {
  const host = sharers.find(({ name }) => isSameName(name, lock.hostname)) ?? null;
  const createdAt = fromInstant(lock.created_at);
  const job = host && (await findJobAt(db, { hostId: host.id, repositoryId, at: createdAt }));
  return {
    id: lock.id,
    hostname: lock.hostname,
    username: lock.username,
    pid: lock.pid,
    exclusive: lock.exclusive,
    createdAt,
    alive: lock.alive,
    host: host && { id: host.id, name: host.name },
    ours: job !== null,
    job: job && { id: job.id, kind: job.kind },
    jobAlive: job && !isFinal(job.status),
  };
}

async function viewCadences(
  db: Db,
  repository: Repository,
  maintenance: Maintenance,
  now: number,
): Promise<CadenceView[]> {
  const fires = await listLastFires(db, [repository.id]);
  return Promise.all(
    operations.map(async (operation) => {
      const fire = fires.find((other) => other.operation === operation);
      const since = sinceOf(repository, maintenance, fire?.plannedAt ?? null, now);
      return {
        operation,
        nextAt: nextStart(maintenance, operation, since, now),
        lastFire: fire ? { plannedAt: fire.plannedAt, outcome: fire.outcome } : null,
        lastRun: toLastRun(await findLastOf(db, repository.id, operation)),
      };
    }),
  );
}

function toLastRun(job: Job | null): LastRun | null {
  if (!job) return null;
  return {
    jobId: job.id,
    hostId: job.hostId,
    status: job.status,
    finishedAt: job.finishedAt,
    result: job.result,
    error: job.error && { code: job.error.code, message: job.error.message },
    readData: job.spec.kind === "check" ? (job.spec.read_data ?? null) : null,
  };
}

async function viewCoverage(db: Db, maintenance: Maintenance): Promise<RepositoryView["coverage"]> {
  const slices = await listCheckedSlices(db, maintenance.repositoryId);
  const slicesOf = maintenance.checkSlices;
  const slicesRead = slicesOf === null ? null : readSlices(slices, slicesOf);
  const next = slicesOf === null ? null : nextSlice(slices, slicesOf);
  return { since: coveredSince(slices), slicesRead, slicesOf, nextSlice: next };
}
