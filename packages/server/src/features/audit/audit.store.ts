/** Rows of `audit_entries`: inserted and read, never updated and never deleted. */
import { sql } from "kysely";
import type { Db } from "../../platform/db/db.ts";
import type { Actor } from "../../platform/http/identity.ts";
import type { AuditCursor, AuditEntry, AuditFilter } from "./audit.ts";

interface Row {
  id: string;
  at: number;
  actor_kind: Actor["kind"];
  actor_id: string | null;
  actor_name: string;
  actor_token: string | null;
  action: string;
  target_kind: string | null;
  target_id: string | null;
  target_name: string | null;
  payload: string;
}

const tables = (db: Db) => db.withTables<{ audit_entries: Row }>();

/** Enough for a drop-down list; a trail with more names than this is filtered by typing. */
const maxChoices = 500;

export async function insertEntry(tx: Db, entry: AuditEntry): Promise<void> {
  const row: Row = {
    id: entry.id,
    at: entry.at,
    actor_kind: entry.actor.kind,
    actor_id: entry.actor.id,
    actor_name: entry.actor.name,
    actor_token: entry.actor.token ?? null,
    action: entry.action,
    target_kind: entry.target?.kind ?? null,
    target_id: entry.target?.id ?? null,
    target_name: entry.target?.name ?? null,
    payload: JSON.stringify(entry.payload),
  };
  await tables(tx).insertInto("audit_entries").values(row).execute();
}

/** Whether something was done to a target after an instant. */
export async function hasEntry(
  db: Db,
  { action, targetId, after }: { action: string; targetId: string; after: number },
): Promise<boolean> {
  const entries = tables(db).selectFrom("audit_entries").select("id").where("at", ">", after);
  const found = entries.where("action", "=", action).where("target_id", "=", targetId).limit(1);
  return (await found.executeTakeFirst()) !== undefined;
}

export async function selectEntries(
  db: Db,
  filter: Omit<AuditFilter, "before" | "limit"> & { cursor: AuditCursor | null; limit: number },
): Promise<AuditEntry[]> {
  const { user, action, target, from, to, cursor } = filter;
  let query = tables(db).selectFrom("audit_entries").selectAll();
  if (user !== undefined) query = query.where("actor_name", "=", user);
  if (action !== undefined) query = query.where("action", "=", action);
  if (target !== undefined) {
    const like = sql<boolean>`lower(target_name) LIKE ${`%${escapeLike(target.toLowerCase())}%`} ESCAPE '!'`;
    query = query.where((where) => where.or([where("target_id", "=", target), like]));
  }
  if (from !== undefined) query = query.where("at", ">=", from);
  if (to !== undefined) query = query.where("at", "<", to);
  if (cursor) {
    query = query.where((where) =>
      where.or([
        where("at", "<", cursor.at),
        where.and([where("at", "=", cursor.at), where("id", "<", cursor.id)]),
      ]),
    );
  }
  const rows = await query.orderBy("at", "desc").orderBy("id", "desc").limit(filter.limit).execute();
  return rows.map(toEntry);
}

export async function findChoices(db: Db): Promise<{ users: string[]; actions: string[] }> {
  const entries = tables(db).selectFrom("audit_entries").distinct().limit(maxChoices);
  const users = await entries.select("actor_name").orderBy("actor_name").execute();
  const actions = await entries.select("action").orderBy("action").execute();
  return { users: users.map((row) => row.actor_name), actions: actions.map((row) => row.action) };
}

const escapeLike = (text: string): string => text.replace(/[!%_]/g, "!$&");

function toEntry(row: Row): AuditEntry {
  const { target_kind: kind, target_id: id, target_name: name } = row;
  return {
    id: row.id,
    at: row.at,
    actor: {
      kind: row.actor_kind,
      id: row.actor_id,
      name: row.actor_name,
      ...(row.actor_token === null ? {} : { token: row.actor_token }),
    },
    action: row.action,
    target: kind !== null && id !== null && name !== null ? { kind, id, name } : null,
    payload: JSON.parse(row.payload) as Record<string, unknown>,
  };
}
