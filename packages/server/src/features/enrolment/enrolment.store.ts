/** SQL of `enrolment_tokens`. Sees hashes and sealed text only; no rules. */
import type { Selectable } from "kysely";
import { z } from "zod";
import type { Db } from "../../platform/db/db.ts";

interface TokenTable {
  id: string;
  token_hash: string;
  host_name: string;
  /** JSON lists of strings. */
  tags: string;
  initial_paths: string;
  sealed: string | null;
  created_by: string;
  created_at: number;
  expires_at: number;
  used_at: number | null;
  host_id: string | null;
  installer_taken_at: number | null;
}

export interface EnrolmentToken {
  id: string;
  hostName: string;
  tags: string[];
  initialPaths: string[];
  /** Null once the token was used or has expired. */
  sealed: string | null;
  expiresAt: number;
  usedAt: number | null;
  hostId: string | null;
}

const strings = z.array(z.string());
const tokens = (db: Db) => db.withTables<{ enrolment_tokens: TokenTable }>();

const toToken = (row: Selectable<TokenTable>): EnrolmentToken => ({
  id: row.id,
  hostName: row.host_name,
  tags: strings.parse(JSON.parse(row.tags)),
  initialPaths: strings.parse(JSON.parse(row.initial_paths)),
  sealed: row.sealed,
  expiresAt: row.expires_at,
  usedAt: row.used_at,
  hostId: row.host_id,
});

export async function selectToken(db: Db, id: string): Promise<EnrolmentToken | null> {
  const query = tokens(db).selectFrom("enrolment_tokens").selectAll().where("id", "=", id);
  const row = await query.executeTakeFirst();
  return row ? toToken(row) : null;
}

export async function selectTokenByHash(db: Db, tokenHash: string): Promise<EnrolmentToken | null> {
  const query = tokens(db).selectFrom("enrolment_tokens").selectAll().where("token_hash", "=", tokenHash);
  const row = await query.executeTakeFirst();
  return row ? toToken(row) : null;
}

export interface NewToken {
  id: string;
  tokenHash: string;
  hostName: string;
  tags: string[];
  initialPaths: string[];
  sealed: string;
  createdBy: string;
  createdAt: number;
  expiresAt: number;
}

/** Fails with a unique violation when the id was used before. */
export async function insertToken(tx: Db, token: NewToken): Promise<void> {
  const row = {
    id: token.id,
    token_hash: token.tokenHash,
    host_name: token.hostName,
    tags: JSON.stringify(token.tags),
    initial_paths: JSON.stringify(token.initialPaths),
    sealed: token.sealed,
    created_by: token.createdBy,
    created_at: token.createdAt,
    expires_at: token.expiresAt,
    used_at: null,
    host_id: null,
    installer_taken_at: null,
  };
  await tokens(tx).insertInto("enrolment_tokens").values(row).execute();
}

/** Compare-and-set: of several agents that race with one token, exactly one gets true. Empties the secrets. */
export async function claimToken(tx: Db, id: string, at: number): Promise<boolean> {
  const result = await tokens(tx)
    .updateTable("enrolment_tokens")
    .set({ used_at: at, sealed: null })
    .where("id", "=", id)
    .where("used_at", "is", null)
    .executeTakeFirst();
  return result.numUpdatedRows > 0n;
}

/** Compare-and-set: of several downloads exactly one gets true. */
export async function claimInstaller(tx: Db, id: string, at: number): Promise<boolean> {
  const result = await tokens(tx)
    .updateTable("enrolment_tokens")
    .set({ installer_taken_at: at })
    .where("id", "=", id)
    .where("installer_taken_at", "is", null)
    .executeTakeFirst();
  return result.numUpdatedRows > 0n;
}

export async function linkHost(tx: Db, id: string, hostId: string): Promise<void> {
  await tokens(tx).updateTable("enrolment_tokens").set({ host_id: hostId }).where("id", "=", id).execute();
}

/** Empties the secrets of tokens that expired unused, and forgets tokens that expired before `forgetBefore`. */
export async function sweepTokens(tx: Db, nowMs: number, forgetBefore: number): Promise<void> {
  await tokens(tx)
    .updateTable("enrolment_tokens")
    .set({ sealed: null })
    .where("sealed", "is not", null)
    .where("expires_at", "<=", nowMs)
    .execute();
  await tokens(tx).deleteFrom("enrolment_tokens").where("expires_at", "<", forgetBefore).execute();
}
