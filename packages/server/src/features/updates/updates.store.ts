/** SQL of `update_runs` and `update_targets`. No rules. */
import type { UpdateProgram } from "@restic-manager/protocol";
import type { Db } from "../../platform/db/db.ts";
import type { Actor } from "../../platform/http/identity.ts";
import { idsOfHostsAt } from "../hosts/hosts.ts";
import type { RunState, TargetState, UpdateRun, UpdateTarget } from "./update-run.ts";

interface RunTable {
  id: string;
  active: string | null;
  state: string;
  program: string;
  version: string;
  tag: string | null;
  actor_kind: string;
  actor_id: string | null;
  actor_name: string;
  started_at: number;
  changed_at: number;
  ended_at: number | null;
  pause_host_id: string | null;
  pause_host_name: string | null;
  pause_code: string | null;
  pause_message: string | null;
}

interface TargetTable {
  run_id: string;
  host_id: string;
  state: string;
  wave: number | null;
  job_id: string | null;
  from_version: string | null;
  error_code: string | null;
  error_message: string | null;
  changed_at: number;
}

type Tables = { update_runs: RunTable; update_targets: TargetTable };
const tables = (db: Db) => db.withTables<Tables>();

const toRun = (row: RunTable): UpdateRun => ({
  id: row.id,
  state: row.state as RunState,
  program: row.program as UpdateProgram,
  version: row.version,
  tag: row.tag,
  actor: { kind: row.actor_kind as Actor["kind"], id: row.actor_id, name: row.actor_name },
  startedAt: row.started_at,
  changedAt: row.changed_at,
  endedAt: row.ended_at,
  pause:
    row.pause_code === null
      ? null
      : {
          hostId: row.pause_host_id,
          hostName: row.pause_host_name,
          code: row.pause_code,
          message: row.pause_message ?? "",
        },
});

/** What of a run changes. */
const changingColumns = (run: UpdateRun) => ({
  state: run.state,
  active: run.endedAt === null ? "yes" : null,
  changed_at: run.changedAt,
  ended_at: run.endedAt,
  pause_host_id: run.pause?.hostId ?? null,
  pause_host_name: run.pause?.hostName ?? null,
  pause_code: run.pause?.code ?? null,
  pause_message: run.pause?.message ?? null,
});

/** @throws a unique violation while another run is under way */
export async function insertRun(tx: Db, run: UpdateRun): Promise<void> {
  await tables(tx)
    .insertInto("update_runs")
    .values({
      id: run.id,
      program: run.program,
      version: run.version,
      tag: run.tag,
      actor_kind: run.actor.kind,
      actor_id: run.actor.id,
      actor_name: run.actor.name,
      started_at: run.startedAt,
      ...changingColumns(run),
    })
    .execute();
}

export async function updateRun(tx: Db, run: UpdateRun): Promise<void> {
  await tables(tx).updateTable("update_runs").set(changingColumns(run)).where("id", "=", run.id).execute();
}

/** Whoever holds it in their transaction is alone with the run. @returns it as it is now; null when it is over */
export async function lockActive(tx: Db): Promise<UpdateRun | null> {
  await tables(tx)
    .updateTable("update_runs")
    .set((e) => ({ changed_at: e.ref("changed_at") }))
    .where("active", "=", "yes")
    .execute();
  return findActive(tx);
}

/** The one that is under way. */
export async function findActive(db: Db): Promise<UpdateRun | null> {
  const query = tables(db).selectFrom("update_runs").selectAll().where("active", "=", "yes");
  const row = await query.executeTakeFirst();
  return row ? toRun(row) : null;
}

export async function findRun(db: Db, id: string): Promise<UpdateRun | null> {
  const row = await tables(db).selectFrom("update_runs").selectAll().where("id", "=", id).executeTakeFirst();
  return row ? toRun(row) : null;
}

/** Newest first. */
export async function listRuns(db: Db, limit: number): Promise<UpdateRun[]> {
  const query = tables(db).selectFrom("update_runs").selectAll();
  const rows = await query.orderBy("started_at", "desc").orderBy("id", "desc").limit(limit).execute();
  return rows.map(toRun);
}

const toTarget = (row: TargetTable): UpdateTarget => ({
  hostId: row.host_id,
  state: row.state as TargetState,
  wave: row.wave,
  jobId: row.job_id,
  fromVersion: row.from_version,
  problem: row.error_code === null ? null : { code: row.error_code, message: row.error_message ?? "" },
  changedAt: row.changed_at,
});

/** In the order in which the hosts were added. */
const targetsOf = (db: Db, runId: string) =>
  tables(db).selectFrom("update_targets").selectAll().where("run_id", "=", runId).orderBy("host_id");

export async function listTargets(db: Db, runId: string): Promise<UpdateTarget[]> {
  return (await targetsOf(db, runId).execute()).map(toTarget);
}

/** The hosts in this state, as a part of another slice's query. */
export const idsOfTargets = (db: Db, runId: string, state: TargetState) =>
  tables(db)
    .selectFrom("update_targets")
    .select("host_id")
    .where("run_id", "=", runId)
    .where("state", "=", state)
    .$asScalar();

export async function listUpdating(db: Db, runId: string): Promise<UpdateTarget[]> {
  return (await targetsOf(db, runId).where("state", "=", "updating").execute()).map(toTarget);
}

/** Those that are not done, not under way, and on a host that has one of these versions. */
export async function listOpenAt(
  db: Db,
  { id, program }: Pick<UpdateRun, "id" | "program">,
  versions: readonly string[],
): Promise<UpdateTarget[]> {
  if (versions.length === 0) return [];
  const column = program === "agent" ? "agent_version" : "restic_version";
  const query = targetsOf(db, id)
    .where("state", "in", ["waiting", "failed", "skipped"])
    .where("host_id", "in", idsOfHostsAt(db, column, versions));
  return (await query.execute()).map(toTarget);
}

/** Those that were left to a person for this reason. */
export async function listSkipped(db: Db, runId: string, code: string): Promise<UpdateTarget[]> {
  const query = targetsOf(db, runId).where("state", "=", "skipped").where("error_code", "=", code);
  return (await query.execute()).map(toTarget);
}

/** Those of these hosts. */
export async function listTargetsOf(
  db: Db,
  runId: string,
  hostIds: readonly string[],
): Promise<UpdateTarget[]> {
  if (hostIds.length === 0) return [];
  return (await targetsOf(db, runId).where("host_id", "in", hostIds).execute()).map(toTarget);
}

/** The hosts that wait for their turn. */
export async function listWaitingIds(db: Db, runId: string): Promise<string[]> {
  const query = tables(db).selectFrom("update_targets").select("host_id").where("run_id", "=", runId);
  return (await query.where("state", "=", "waiting").execute()).map((row) => row.host_id);
}

/** How many hosts of each run are in each state. */
export async function countTargets(
  db: Db,
  runIds: readonly string[],
): Promise<{ runId: string; state: TargetState; count: number }[]> {
  if (runIds.length === 0) return [];
  const rows = await tables(db)
    .selectFrom("update_targets")
    .select((e) => ["run_id", "state", e.fn.countAll<number>().as("count")])
    .where("run_id", "in", runIds)
    .groupBy(["run_id", "state"])
    .execute();
  return rows.map((row) => ({
    runId: row.run_id,
    state: row.state as TargetState,
    count: Number(row.count),
  }));
}

const targetColumns = (target: UpdateTarget) => ({
  state: target.state,
  wave: target.wave,
  job_id: target.jobId,
  from_version: target.fromVersion,
  error_code: target.problem?.code ?? null,
  error_message: target.problem?.message ?? null,
  changed_at: target.changedAt,
});

/** Nine values each; both engines take far more in one statement. */
const insertedAtOnce = 500;

export async function insertTargets(tx: Db, runId: string, targets: readonly UpdateTarget[]): Promise<void> {
  for (let i = 0; i < targets.length; i += insertedAtOnce) {
    const rows = targets
      .slice(i, i + insertedAtOnce)
      .map((target) => ({ run_id: runId, host_id: target.hostId, ...targetColumns(target) }));
    await tables(tx).insertInto("update_targets").values(rows).execute();
  }
}

export async function updateTarget(tx: Db, runId: string, target: UpdateTarget): Promise<void> {
  await tables(tx)
    .updateTable("update_targets")
    .set(targetColumns(target))
    .where("run_id", "=", runId)
    .where("host_id", "=", target.hostId)
    .execute();
}
