/**
 * What becomes of planned maintenance. Invariants: a planned time gets its outcome once, by the primary key of
 * `maintenance_fires`, in the transaction that makes its jobs; jobs that are due together are made in the order of
 * `operations`, and the lanes keep it. What could not run is tried at the next planned time, not before.
 */
import type { ReadData } from "@restic-manager/protocol";
import type { Db } from "../../platform/db/db.ts";
import type { Actor } from "../../platform/http/identity.ts";
import { newId } from "../../platform/random.ts";
import { type Host, isOnline } from "../hosts/hosts.ts";
import { findLastOf, insertNewJob, type Job, listUnfinished, type NewJob } from "../jobs/jobs.ts";
import { credentialsChangedAt, findRepository, lockRepository } from "../repositories/repositories.ts";
import { type Maintenance, type Operation, ownerOf } from "./cadences.ts";
import { nextSlice } from "./coverage.ts";
import { plannedDrills } from "./drills.ts";
import { type FireOutcome, insertFire, listCheckedSlices } from "./maintenance.store.ts";
import { forgetsOf, isClockWrong } from "./run-plans.ts";

const maintenanceActor: Actor = { kind: "system", id: null, name: "maintenance" };

/** Why an operation did not run on a host. */
/** A planned time that has begun and has no outcome. */
export interface Due {
  operation: Operation;
  plannedAt: number;
}

export interface Skip {
  operation: Operation;
  hostName: string | null;
  outcome: FireOutcome;
}

interface DueInput {
  maintenance: Maintenance;
  /** The hosts that share the repository, the first that was added first. */
  sharers: readonly Host[];
  now: number;
}

interface Plan {
  jobs: Pick<NewJob, "hostId" | "spec" | "sourceGroupId">[];
  skips: Skip[];
}

/** Gives planned times their outcome. @param due in the order of `operations` */
export async function fireDue(
  tx: Db,
  input: DueInput & { due: readonly Due[] },
): Promise<{ jobs: Job[]; skips: Skip[] }> {
  const { maintenance, sharers, due, now } = input;
  const { repositoryId } = maintenance;
  // Two servers look at a repository one after the other.
  await lockRepository(tx, repositoryId);
  const jobs: Job[] = [];
  const skips: Skip[] = [];
  for (const { operation, plannedAt } of due) {
    const plan = await planOf(tx, operation, input);
    const outcome = plan.jobs.length > 0 ? "run" : (plan.skips[0]?.outcome ?? "nothing");
    const fire = { repositoryId, operation, plannedAt, firedAt: now, outcome };
    if (!(await insertFire(tx, fire))) continue;
    skips.push(...plan.skips);
    for (const newJob of plan.jobs) {
      const host = sharers.find(({ id }) => id === newJob.hostId);
      // Ids of one millisecond have no order.
      const at = now + jobs.length;
      const jobId = newId(at);
      if (host) jobs.push(await insertNewJob(tx, host, { ...newJob, jobId, actor: maintenanceActor }, at));
    }
  }
  return { jobs, skips };
}

async function planOf(tx: Db, operation: Operation, input: DueInput): Promise<Plan> {
  const { repositoryId } = input.maintenance;
  const none = (outcome: FireOutcome): Plan => ({
    jobs: [],
    skips: [{ operation, hostName: null, outcome }],
  });
  if ((await findRepository(tx, repositoryId))?.foreignId) return none("swapped");
  const unfinished = (await listUnfinished(tx, repositoryId)).filter(({ kind }) => kind === operation);
  const busy = new Set(unfinished.map(({ hostId }) => hostId));
  if (operation === "forget") return planForget(tx, busy, input);
  if (operation === "verify") return planDrills(tx, busy, input);
  if (unfinished.length > 0) return none("busy");
  const owner = ownerOf(input.maintenance, input.sharers);
  if (!owner) return none("nothing");
  const reason = await whyNot(tx, operation, { owner, ...input });
  if (reason !== null) return { jobs: [], skips: [{ operation, hostName: owner.name, outcome: reason }] };
  if (operation === "prune") return { jobs: [{ hostId: owner.id, spec: { kind: "prune" } }], skips: [] };
  const readData = await readDataOf(tx, input.maintenance);
  const spec = { kind: "check" as const, ...(readData ? { read_data: readData } : {}) };
  return { jobs: [{ hostId: owner.id, spec }], skips: [] };
}

/** Each host forgets its own. One that is away, not done yet or has a wrong clock keeps nobody else from it. */
async function planForget(
  tx: Db,
  busy: ReadonlySet<string>,
  { maintenance, sharers, now }: DueInput,
): Promise<Plan> {
  const plan: Plan = { jobs: [], skips: [] };
  const { maxRemovedPercent } = maintenance;
  for (const host of sharers) {
    const specs = await forgetsOf(tx, host, { maxRemovedPercent, confirmed: false });
    if (specs.length === 0) continue;
    const skip = (outcome: FireOutcome) =>
      plan.skips.push({ operation: "forget", hostName: host.name, outcome });
    if (busy.has(host.id)) skip("busy");
    else if (!isOnline(host, now)) skip("offline");
    else if (isClockWrong(host)) skip("clock_skew");
    else plan.jobs.push(...specs.map((spec) => ({ hostId: host.id, spec })));
  }
  return plan;
}

/** Each host drills its own. */
async function planDrills(
  tx: Db,
  busy: ReadonlySet<string>,
  { maintenance, sharers, now }: DueInput,
): Promise<Plan> {
  const plan: Plan = { jobs: [], skips: [] };
  for (const host of sharers) {
    const drills = await plannedDrills(tx, host, maintenance);
    if (drills.length === 0) continue;
    const skip = (outcome: FireOutcome) =>
      plan.skips.push({ operation: "verify", hostName: host.name, outcome });
    if (busy.has(host.id)) skip("busy");
    else if (!isOnline(host, now)) skip("offline");
    else plan.jobs.push(...drills.map((drill) => ({ hostId: host.id, ...drill })));
  }
  return plan;
}

async function whyNot(
  tx: Db,
  operation: "prune" | "check",
  { owner, maintenance, now }: DueInput & { owner: Host },
): Promise<FireOutcome | null> {
  if (operation === "prune") {
    const changedAt = await credentialsChangedAt(tx, owner.id, "admin");
    if (changedAt === null) return "no_admin_credential";
    if (await wasRefused(tx, maintenance.repositoryId, changedAt)) return "refused";
  }
  return isOnline(owner, now) ? null : "offline";
}

/** Whether these admin credentials proved not to be allowed to delete: trying them every week changes nothing. */
export async function wasRefused(db: Db, repositoryId: string, changedAt: number): Promise<boolean> {
  const last = await findLastOf(db, repositoryId, "prune");
  return last?.error?.code === "prune.refused" && last.createdAt >= changedAt;
}

async function readDataOf(tx: Db, maintenance: Maintenance): Promise<ReadData | null> {
  const { repositoryId, checkPercent, checkSlices: of } = maintenance;
  if (of !== null) return { slice: nextSlice(await listCheckedSlices(tx, repositoryId), of), of };
  return checkPercent === null ? null : { percent: checkPercent };
}
