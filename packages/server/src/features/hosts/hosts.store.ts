/** SQL of the table `hosts`; rows become domain types here and nowhere else. No rules. */
import { type Expression, type Insertable, type Selectable, sql } from "kysely";
import { z } from "zod";
import { type Db, inTransaction } from "../../platform/db/db.ts";
import { hashToken } from "../../platform/random.ts";
import {
  type HelloFacts,
  type Host,
  type HostBuild,
  type HostFilter,
  type HostMode,
  offlineAfterMs,
  type Twin,
} from "./hosts.ts";

interface HostTable {
  id: string;
  name: string;
  name_key: string;
  os: string;
  arch: string;
  /** JSON list of strings. */
  tags: string;
  bearer_hash: string;
  repository_id: string | null;
  agent_version: string | null;
  restic_version: string | null;
  /** JSON `{code, message}`. */
  restic_problem: string | null;
  machine_id: string | null;
  boot_id: string | null;
  clock_skew_ms: number | null;
  /** JSON of a Twin. */
  twin: string | null;
  mode: string;
  schedule_version: number;
  applied_schedule_version: number | null;
  /** 0 or 1. */
  hooks_allowed: number | null;
  /** JSON list. */
  backend_kinds: string | null;
  /** JSON list. */
  job_kinds: string | null;
  upload_kib: number | null;
  download_kib: number | null;
  created_at: number;
  first_connected_at: number | null;
  last_seen_at: number | null;
}

const kindsColumn = z.array(z.string());
const tagsColumn = z.array(z.string());
const problemColumn = z.object({ code: z.string(), message: z.string() });

const twinColumn = z.object({
  hostname: z.string(),
  machineId: z.string().nullable(),
  bootId: z.string().nullable(),
  seenAt: z.number(),
});

const toKinds = (json: string | null) => (json === null ? null : kindsColumn.parse(JSON.parse(json)));
const toProblem = (json: string | null) => (json === null ? null : problemColumn.parse(JSON.parse(json)));

const hosts = (db: Db) => db.withTables<{ hosts: HostTable }>();
const nameKey = (name: string): string => name.toLowerCase();

function toHost(row: Selectable<HostTable>): Host {
  return {
    id: row.id,
    name: row.name,
    os: row.os,
    arch: row.arch,
    tags: tagsColumn.parse(JSON.parse(row.tags)),
    repositoryId: row.repository_id,
    agentVersion: row.agent_version,
    resticVersion: row.restic_version,
    resticProblem: toProblem(row.restic_problem),
    clockSkewMs: row.clock_skew_ms,
    twin: row.twin === null ? null : twinColumn.parse(JSON.parse(row.twin)),
    mode: row.mode as HostMode,
    scheduleVersion: row.schedule_version,
    appliedScheduleVersion: row.applied_schedule_version,
    hooksAllowed: row.hooks_allowed === null ? null : row.hooks_allowed === 1,
    backendKinds: toKinds(row.backend_kinds),
    jobKinds: toKinds(row.job_kinds),
    uploadKib: row.upload_kib,
    downloadKib: row.download_kib,
    createdAt: row.created_at,
    firstConnectedAt: row.first_connected_at,
    lastSeenAt: row.last_seen_at,
  };
}

export async function selectHost(db: Db, id: string): Promise<Host | null> {
  const row = await hosts(db).selectFrom("hosts").selectAll().where("id", "=", id).executeTakeFirst();
  return row ? toHost(row) : null;
}

export async function selectHostByName(db: Db, name: string): Promise<Host | null> {
  const query = hosts(db).selectFrom("hosts").selectAll().where("name_key", "=", nameKey(name));
  const row = await query.executeTakeFirst();
  return row ? toHost(row) : null;
}

/** The host whose agent carries this bearer. */
export async function findHostByBearer(db: Db, bearer: string): Promise<Host | null> {
  const query = hosts(db).selectFrom("hosts").selectAll().where("bearer_hash", "=", hashToken(bearer));
  const row = await query.executeTakeFirst();
  return row ? toHost(row) : null;
}

/** Which machine, and which boot of it, the host's last hello came from. */
export async function findMachine(
  db: Db,
  hostId: string,
): Promise<{ machineId: string | null; bootId: string | null } | null> {
  const query = hosts(db).selectFrom("hosts").select(["machine_id", "boot_id"]).where("id", "=", hostId);
  const row = await query.executeTakeFirst();
  return row ? { machineId: row.machine_id, bootId: row.boot_id } : null;
}

/** Hosts that said they run on one of these machines. */
export async function listHostsOnMachines(
  db: Db,
  machineIds: readonly string[],
): Promise<{ id: string; name: string; machineId: string }[]> {
  if (machineIds.length === 0) return [];
  const rows = await hosts(db)
    .selectFrom("hosts")
    .select(["id", "name", "machine_id"])
    .where("machine_id", "in", machineIds)
    .execute();
  return rows.map(({ id, name, machine_id }) => ({ id, name, machineId: machine_id ?? "" }));
}

/** Hosts of these names, whatever their case. */
export async function listHostsNamed(
  db: Db,
  names: readonly string[],
): Promise<{ id: string; name: string }[]> {
  if (names.length === 0) return [];
  const keys = names.map(nameKey);
  return hosts(db).selectFrom("hosts").select(["id", "name"]).where("name_key", "in", keys).execute();
}

/**
 * Gives a host that never connected another bearer; the one before is void.
 * @returns false when it has connected, or is gone
 */
export async function replaceBearer(tx: Db, hostId: string, bearer: string): Promise<boolean> {
  const result = await hosts(tx)
    .updateTable("hosts")
    .set({ bearer_hash: hashToken(bearer) })
    .where("id", "=", hostId)
    .where("first_connected_at", "is", null)
    .executeTakeFirst();
  return result.numUpdatedRows > 0n;
}

/** Every host, by name. */
export async function listHosts(db: Db): Promise<Host[]> {
  const rows = await hosts(db).selectFrom("hosts").selectAll().orderBy("name_key").execute();
  return rows.map(toHost);
}

/** The hosts of a repository, the first that was added first. */
export async function listHostsOfRepository(db: Db, repositoryId: string): Promise<Host[]> {
  const query = hosts(db).selectFrom("hosts").selectAll().where("repository_id", "=", repositoryId);
  return (await query.orderBy("created_at").orderBy("id").execute()).map(toHost);
}

/** Those of these ids that exist, by name. */
export async function listHostsByIds(db: Db, ids: readonly string[]): Promise<Host[]> {
  if (ids.length === 0) return [];
  const query = hosts(db).selectFrom("hosts").selectAll().where("id", "in", ids).orderBy("name_key");
  return (await query.execute()).map(toHost);
}

/**
 * Those of these ids that come first by name, as hosts.
 * @param ids a part of another slice's query
 * @param limit all of them without one
 */
export async function listFirstHosts(db: Db, ids: Expression<string>, limit?: number): Promise<Host[]> {
  const query = hosts(db).selectFrom("hosts").selectAll().where("id", "in", ids).orderBy("name_key");
  return (await (limit === undefined ? query : query.limit(limit)).execute()).map(toHost);
}

/** The ids of every host, by name. */
export async function listHostIds(db: Db): Promise<string[]> {
  const rows = await hosts(db).selectFrom("hosts").select("id").orderBy("name_key").execute();
  return rows.map(({ id }) => id);
}

const buildColumns = [
  "os",
  "arch",
  "agent_version",
  "restic_version",
  "restic_problem",
  "job_kinds",
] as const;

/** What the hosts that ever connected run, each combination once: a fleet has a handful. */
export async function listBuilds(db: Db): Promise<{ build: HostBuild; count: number }[]> {
  const rows = await hosts(db)
    .selectFrom("hosts")
    .select(buildColumns)
    .select((e) => e.fn.countAll<number>().as("count"))
    .where("first_connected_at", "is not", null)
    .groupBy(buildColumns)
    .execute();
  return rows.map((row) => ({
    build: {
      ...{ os: row.os, arch: row.arch, agentVersion: row.agent_version, resticVersion: row.restic_version },
      ...{ resticProblem: toProblem(row.restic_problem), jobKinds: toKinds(row.job_kinds) },
    },
    count: Number(row.count),
  }));
}

type VersionColumn = "agent_version" | "restic_version";

/** What versions of a program hosts say they have, each once. */
export async function listVersions(db: Db, column: VersionColumn): Promise<string[]> {
  const query = hosts(db).selectFrom("hosts").select(column).distinct().where(column, "is not", null);
  return (await query.execute()).map((row) => row[column] ?? "");
}

/** The ids of hosts that have one of these versions in working order, as a part of another slice's query. */
export function idsOfHostsAt(db: Db, column: VersionColumn, versions: readonly string[]) {
  const query = hosts(db).selectFrom("hosts").select("id").where(column, "in", versions);
  return column === "restic_version" ? query.where("restic_problem", "is", null) : query;
}

/** A part of text that may stand anywhere in a column, for LIKE with a backslash as its escape. */
const anywhere = (text: string): string => `%${text.replace(/[\\%_]/g, "\\$&")}%`;

/** The hosts that match, by name; at most `limit`, all without one, and only those whose name comes after `after`. */
export async function listHostPage(
  db: Db,
  filter: HostFilter,
  page: { after?: string | undefined; limit?: number | undefined; nowMs: number },
): Promise<Host[]> {
  let query = hosts(db).selectFrom("hosts").selectAll().orderBy("name_key");
  const q = filter.q?.trim().toLowerCase() ?? "";
  const tag = filter.tag?.trim().toLowerCase() ?? "";
  if (q !== "") query = query.where(sql<boolean>`name_key LIKE ${anywhere(q)} ESCAPE '\\'`);
  if (tag !== "") query = query.where(sql<boolean>`tags LIKE ${anywhere(JSON.stringify(tag))} ESCAPE '\\'`);
  if (filter.name !== undefined) query = query.where("name_key", "=", nameKey(filter.name.trim()));
  // As `isOnline` says it.
  const [from, to] = [page.nowMs - offlineAfterMs, page.nowMs + offlineAfterMs];
  if (filter.state === "online")
    query = query.where("last_seen_at", ">", from).where("last_seen_at", "<", to);
  if (filter.state === "offline")
    query = query.where((e) =>
      e.or([e("last_seen_at", "is", null), e("last_seen_at", "<=", from), e("last_seen_at", ">=", to)]),
    );
  if (page.after !== undefined) query = query.where("name_key", ">", nameKey(page.after));
  if (page.limit !== undefined) query = query.limit(page.limit);
  return (await query.execute()).map(toHost);
}

/** Fails with a unique violation when the name is taken. */
export async function insertHost(tx: Db, host: Host, bearerHash: string): Promise<void> {
  const row: Insertable<HostTable> = {
    id: host.id,
    name: host.name,
    name_key: nameKey(host.name),
    os: host.os,
    arch: host.arch,
    tags: JSON.stringify(host.tags),
    bearer_hash: bearerHash,
    repository_id: host.repositoryId,
    agent_version: host.agentVersion,
    restic_version: host.resticVersion,
    restic_problem: host.resticProblem === null ? null : JSON.stringify(host.resticProblem),
    machine_id: null,
    boot_id: null,
    clock_skew_ms: host.clockSkewMs,
    twin: null,
    mode: host.mode,
    schedule_version: host.scheduleVersion,
    applied_schedule_version: host.appliedScheduleVersion,
    hooks_allowed: null,
    backend_kinds: null,
    job_kinds: null,
    upload_kib: host.uploadKib,
    download_kib: host.downloadKib,
    created_at: host.createdAt,
    first_connected_at: host.firstConnectedAt,
    last_seen_at: host.lastSeenAt,
  };
  await hosts(tx).insertInto("hosts").values(row).execute();
}

export async function updateTwin(tx: Db, hostId: string, twin: Twin): Promise<void> {
  await hosts(tx)
    .updateTable("hosts")
    .set({ twin: JSON.stringify(twin) })
    .where("id", "=", hostId)
    .execute();
}

/** @returns when the host first connected; undefined when there is no such host */
export async function updateFromHello(
  tx: Db,
  hostId: string,
  facts: HelloFacts,
): Promise<number | null | undefined> {
  const row = await hosts(tx)
    .updateTable("hosts")
    .set({
      agent_version: facts.agentVersion,
      restic_version: facts.resticVersion,
      restic_problem: facts.resticProblem === null ? null : JSON.stringify(facts.resticProblem),
      os: facts.os,
      arch: facts.arch,
      machine_id: facts.machineId,
      boot_id: facts.bootId,
      clock_skew_ms: facts.clockSkewMs,
      applied_schedule_version: facts.appliedScheduleVersion,
      hooks_allowed: facts.hooksAllowed === null ? null : Number(facts.hooksAllowed),
      backend_kinds: facts.backendKinds === null ? null : JSON.stringify(facts.backendKinds),
      job_kinds: facts.jobKinds === null ? null : JSON.stringify(facts.jobKinds),
      last_seen_at: facts.at,
    })
    .where("id", "=", hostId)
    .returning("first_connected_at")
    .executeTakeFirst();
  return row?.first_connected_at;
}

/** Another restic took the place of the one from before, and was found to work. */
export async function recordRestic(tx: Db, hostId: string, version: string): Promise<void> {
  await hosts(tx)
    .updateTable("hosts")
    .set({ restic_version: version, restic_problem: null })
    .where("id", "=", hostId)
    .execute();
}

/** Holds the host's row until the transaction ends: whoever else changes or removes it waits. A write of nothing does it on both engines. */
export async function lockHost(tx: Db, hostId: string): Promise<void> {
  await hosts(tx)
    .updateTable("hosts")
    .set((e) => ({ name: e.ref("name") }))
    .where("id", "=", hostId)
    .execute();
}

/** What a person sets of a host. */
export async function updateSettings(
  tx: Db,
  host: Pick<Host, "id" | "mode" | "uploadKib" | "downloadKib">,
): Promise<void> {
  await hosts(tx)
    .updateTable("hosts")
    .set({ mode: host.mode, upload_kib: host.uploadKib, download_kib: host.downloadKib })
    .where("id", "=", host.id)
    .execute();
}

/** Says that the agent must be told its schedules anew; in the transaction of the change. */
export async function bumpScheduleVersion(tx: Db, hostId: string): Promise<void> {
  await hosts(tx)
    .updateTable("hosts")
    .set((e) => ({ schedule_version: e("schedule_version", "+", 1) }))
    .where("id", "=", hostId)
    .execute();
}

/** What the agent works with now, by its own word. */
export async function recordAppliedVersion(tx: Db, hostId: string, version: number): Promise<void> {
  await hosts(tx)
    .updateTable("hosts")
    .set({ applied_schedule_version: version })
    .where("id", "=", hostId)
    .execute();
}

/** Compare-and-set, so that two connections that race can't both be the first. */
export async function markFirstConnect(tx: Db, hostId: string, at: number): Promise<boolean> {
  const result = await hosts(tx)
    .updateTable("hosts")
    .set({ first_connected_at: at })
    .where("id", "=", hostId)
    .where("first_connected_at", "is", null)
    .executeTakeFirst();
  return result.numUpdatedRows > 0n;
}

/** So many in one statement: the text that is bound stays small, and few rows wait for each other. */
const touchedPerStatement = 500;

/**
 * Records heartbeats of many hosts at once: pairs of host id, each once, and epoch milliseconds. Never moves a host back in
 * time, unless its time lies so far ahead of now that the clock was set back since; ids of hosts that are gone are skipped.
 */
export async function touchHosts(
  db: Db,
  lastSeenMs: Iterable<readonly [string, number]>,
  nowMs: number,
): Promise<void> {
  // In one order everywhere: two servers that touch the same rows must not wait for each other in a circle.
  const seen = [...lastSeenMs].sort(([a], [b]) => (a < b ? -1 : 1));
  if (seen.length === 0) return;
  await inTransaction(db, async (tx) => {
    for (let i = 0; i < seen.length; i += touchedPerStatement) {
      // One value, so that it is one statement however many hosts it tells of. Both engines have a json_each of objects;
      // one is never made here, where it would outlive collections that cost as much as the rows.
      const part = seen.slice(i, i + touchedPerStatement);
      const heard = `{${part.map(([id, at]) => `${JSON.stringify(id)}:${at}`).join(",")}}`;
      await sql`UPDATE hosts SET last_seen_at = heard.at
        FROM (SELECT key AS id, CAST(CAST(value AS text) AS bigint) AS at FROM json_each(${heard})) AS heard
        WHERE hosts.id = heard.id AND (hosts.last_seen_at IS NULL OR hosts.last_seen_at < heard.at
          OR hosts.last_seen_at >= ${nowMs + offlineAfterMs})`.execute(tx);
    }
  });
}

/** Points the host to another repository; null when it has none. */
export async function setHostRepository(tx: Db, hostId: string, repositoryId: string | null): Promise<void> {
  await hosts(tx)
    .updateTable("hosts")
    .set({ repository_id: repositoryId })
    .where("id", "=", hostId)
    .execute();
}

/** What hangs on the host goes with it, by the foreign keys. */
export async function deleteHostRow(tx: Db, hostId: string): Promise<void> {
  await hosts(tx).deleteFrom("hosts").where("id", "=", hostId).execute();
}
