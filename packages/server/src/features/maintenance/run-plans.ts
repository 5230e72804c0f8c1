/**
 * What becomes of a wish to look after a repository: the specs of jobs, whether somebody asks now or a cadence does,
 * and what is added when they are sent. What may delete is sent with its job and stored with none.
 */
import type { ForgetSpec, ReadData, RetentionPolicy } from "@restic-manager/protocol";
import type { Db } from "../../platform/db/db.ts";
import { AppError } from "../../platform/errors.ts";
import type { SecretBox } from "../../platform/secrets.ts";
import { getHost, type Host, nameMismatch } from "../hosts/hosts.ts";
import type { Job, JobOrder, PlannedJob, RunRequest } from "../jobs/jobs.ts";
import {
  credentialsChangedAt,
  findAdminAccess,
  findRepository,
  refuseSwapped,
} from "../repositories/repositories.ts";
import { plannedDiff } from "../snapshots/snapshots.ts";
import {
  backupsOf,
  completeSpec,
  isEmptyRetention,
  listSourceGroups,
  type Retention,
} from "../sources/sources.ts";
import { drillsNow } from "./drills.ts";
import { maintenanceOf } from "./edit-maintenance.ts";

/** A clock that is wrong by more makes retention keep and remove the wrong snapshots. */
export const maxClockSkewMs = 10 * 60_000;
/** As many groups as one job carries. */
const groupsOfJob = 100;

export const isClockWrong = (host: Pick<Host, "clockSkewMs">): boolean =>
  Math.abs(host.clockSkewMs ?? 0) > maxClockSkewMs;

/** restic's keep options of a group. */
function policyOf(retention: Retention): RetentionPolicy {
  const policy = {
    keep_last: retention.keepLast,
    keep_hourly: retention.keepHourly,
    keep_daily: retention.keepDaily,
    keep_weekly: retention.keepWeekly,
    keep_monthly: retention.keepMonthly,
    keep_yearly: retention.keepYearly,
    keep_within: retention.keepWithin,
  };
  return Object.fromEntries(Object.entries(policy).filter(([, keep]) => keep !== null));
}

/** A host's groups that forget anything, as the specs of jobs: usually one, none when every group keeps for ever. */
export async function forgetsOf(
  db: Db,
  host: Host,
  input: { maxRemovedPercent: number; confirmed: boolean },
): Promise<ForgetSpec[]> {
  const groups = (await listSourceGroups(db, host.id))
    .filter((group) => !isEmptyRetention(group.retention))
    .map((group) => ({ source_group: group.name, policy: policyOf(group.retention) }));
  const specs: ForgetSpec[] = [];
  for (let i = 0; i < groups.length; i += groupsOfJob) {
    specs.push({
      kind: "forget",
      host_name: host.name,
      groups: groups.slice(i, i + groupsOfJob),
      max_removed_percent: input.maxRemovedPercent,
      confirmed: input.confirmed,
    });
  }
  return specs;
}

/**
 * The jobs behind a wish to run something on a host now.
 * @throws AppError `repositories.swapped`, `maintenance.no_admin_credential`, `maintenance.clock_skew`,
 *   `maintenance.nothing_to_forget`, `hosts.name_mismatch`, `jobs.needs_confirmation`, and as backupsOf, drillsNow and
 *   plannedDiff
 */
export async function plannedJobsOf(db: Db, host: Host, request: RunRequest): Promise<PlannedJob[]> {
  const repository = host.repositoryId === null ? null : await findRepository(db, host.repositoryId);
  refuseSwapped(repository);
  if (request.kind === "backup") return backupsOf(db, host, request);
  if (request.kind === "forget") {
    const specs = await forgetsNow(db, host, request.confirmed ?? false);
    return specs.map((spec) => ({ spec, sourceGroupId: null }));
  }
  if (request.kind === "verify") return drillsNow(db, host, request);
  if (request.kind === "diff") return [await plannedDiff(db, host, request)];
  if (request.kind === "prune" && (await credentialsChangedAt(db, host.id, "admin")) === null)
    throw noAdminCredential(host);
  if (request.kind === "init" && repository?.resticId) confirmNew(host, request.confirm_name);
  return [{ spec: specOf(host, request), sourceGroupId: null }];
}

/** Where a repository was seen before, making one again is no everyday thing. */
function confirmNew(host: Host, typedName: string | undefined): void {
  if (typedName === host.name) return;
  if (typedName !== undefined) throw nameMismatch(host.name);
  const message = `${host.name} has a repository already. Where its storage was emptied, make it anew in the danger zone of its repository page, with the host's name typed.`;
  throw new AppError("conflict", "jobs.needs_confirmation", message);
}

type SimpleRequest = Exclude<RunRequest, { kind: "backup" | "forget" | "verify" | "diff" }>;

function specOf(host: Host, request: SimpleRequest): PlannedJob["spec"] {
  switch (request.kind) {
    case "init":
      return { kind: "init", host_name: host.name };
    case "check": {
      const readData = toReadData(request.read_data);
      return { kind: "check", ...(readData ? { read_data: readData } : {}) };
    }
    case "prune":
      return { kind: "prune" };
    case "unlock":
      if (request.remove_all && request.confirm_name !== host.name) throw nameMismatch(host.name);
      return { kind: "unlock", remove_all: request.remove_all ?? false };
    case "repair":
      return { kind: "repair", what: request.what };
  }
}

function toReadData(
  wish: { percent?: number | undefined; slice?: number | undefined; of?: number | undefined } = {},
) {
  const { percent, slice, of } = wish;
  if (percent !== undefined) return { percent } satisfies ReadData;
  return slice !== undefined && of !== undefined ? ({ slice, of } satisfies ReadData) : null;
}

async function forgetsNow(db: Db, host: Host, confirmed: boolean): Promise<ForgetSpec[]> {
  refuseWrongClock(host);
  const { maxRemovedPercent } = await maintenanceOf(db, host);
  const specs = await forgetsOf(db, host, { maxRemovedPercent, confirmed });
  if (specs.length > 0) return specs;
  const message = `Every source group of ${host.name} keeps its snapshots for ever. Set a retention first.`;
  throw new AppError("conflict", "maintenance.nothing_to_forget", message);
}

function refuseWrongClock(host: Host): void {
  if (!isClockWrong(host)) return;
  const minutes = Math.round(Math.abs(host.clockSkewMs ?? 0) / 60_000);
  const direction = (host.clockSkewMs ?? 0) > 0 ? "ahead" : "behind";
  const message = `The clock of ${host.name} is ${minutes} minutes ${direction}, so retention could remove the wrong snapshots. Set its clock, let its agent connect again, then forget.`;
  throw new AppError("conflict", "maintenance.clock_skew", message);
}

function noAdminCredential(host: Host): AppError {
  const message = `${host.name} has no admin credentials. Pruning deletes, so it needs some that may: add them on its repository page; where the everyday ones may delete too, give the same.`;
  return new AppError("conflict", "maintenance.no_admin_credential", message);
}

/** The kinds that need, or are better off with, what may delete. */
const adminKinds: ReadonlySet<string> = new Set(["forget", "prune", "check", "repair"]);
/** The kinds that must never meet another repository than the one that they were meant for. */
const changingKinds: ReadonlySet<string> = new Set(["forget", "prune", "repair"]);

/**
 * A job as its agent gets it. Secret as a whole.
 * @throws AppError as completeSpec, `repositories.swapped`, `maintenance.no_admin_credential`,
 *   `maintenance.clock_skew`, `maintenance.repository_changed`: the job then ends as failed
 */
export async function completeOrder(deps: { db: Db; box: SecretBox }, job: Job): Promise<JobOrder> {
  const { db, box } = deps;
  if (job.repositoryId !== null) refuseSwapped(await findRepository(db, job.repositoryId));
  const spec = await completeSpec(db, box, job);
  if (!adminKinds.has(spec.kind)) return { spec };
  const host = await getHost(db, job.hostId);
  if (changingKinds.has(spec.kind) && host.repositoryId !== job.repositoryId) {
    const message = `${host.name} backs up to another repository since this was asked for. Run it again.`;
    throw new AppError("conflict", "maintenance.repository_changed", message);
  }
  if (spec.kind === "forget") refuseWrongClock(host);
  const admin = await findAdminAccess(db, box, host.id);
  if (admin) return { spec, access: admin.access };
  if (spec.kind === "prune") throw noAdminCredential(host);
  return { spec };
}
