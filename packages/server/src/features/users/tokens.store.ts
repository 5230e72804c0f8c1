/** Rows of `api_tokens`. A token is only ever seen here as its hash. */
import type { Db } from "../../platform/db/db.ts";
import type { Role } from "../../platform/http/identity.ts";
import type { ApiToken } from "./tokens.ts";

interface TokenRow {
  id: string;
  user_id: string;
  name: string;
  role: Role;
  token_hash: string;
  created_at: number;
  expires_at: number | null;
  last_used_at: number | null;
}

type Tables = {
  api_tokens: TokenRow;
  users: { id: string; username: string; role: Role; disabled_at: number | null };
};

const tables = (db: Db) => db.withTables<Tables>();

const toToken = (row: Omit<TokenRow, "token_hash" | "user_id">): ApiToken => ({
  id: row.id,
  name: row.name,
  role: row.role,
  createdAt: row.created_at,
  expiresAt: row.expires_at,
  lastUsedAt: row.last_used_at,
});

/** Fails with a unique violation when the user has a token of this name. */
export async function insertToken(
  tx: Db,
  token: ApiToken & { userId: string; tokenHash: string },
): Promise<void> {
  const row: TokenRow = {
    id: token.id,
    user_id: token.userId,
    name: token.name,
    role: token.role,
    token_hash: token.tokenHash,
    created_at: token.createdAt,
    expires_at: token.expiresAt,
    last_used_at: token.lastUsedAt,
  };
  await tables(tx).insertInto("api_tokens").values(row).execute();
}

/** All of one user, by name; those that have ended too, until they are revoked. */
export async function listTokens(db: Db, userId: string): Promise<ApiToken[]> {
  const rows = await tables(db)
    .selectFrom("api_tokens")
    .selectAll()
    .where("user_id", "=", userId)
    .orderBy("name")
    .execute();
  return rows.map(toToken);
}

/** A token that has not ended, with its user as the user is now; nobody's when the user is disabled. */
export async function findTokenUser(
  db: Db,
  tokenHash: string,
  nowMs: number,
): Promise<{ token: ApiToken; user: { id: string; username: string; role: Role } } | undefined> {
  const row = await tables(db)
    .selectFrom("api_tokens")
    .innerJoin("users", "users.id", "api_tokens.user_id")
    .selectAll("api_tokens")
    .select(["users.username", "users.role as user_role"])
    .where("api_tokens.token_hash", "=", tokenHash)
    .where((where) =>
      where.or([where("api_tokens.expires_at", "is", null), where("api_tokens.expires_at", ">", nowMs)]),
    )
    .where("users.disabled_at", "is", null)
    .executeTakeFirst();
  if (!row) return undefined;
  return { token: toToken(row), user: { id: row.user_id, username: row.username, role: row.user_role } };
}

export async function markTokenUsed(db: Db, id: string, at: number): Promise<void> {
  await tables(db).updateTable("api_tokens").set({ last_used_at: at }).where("id", "=", id).execute();
}

/** @returns the token that this call removed, or nothing when the user has none of this id */
export async function deleteToken(tx: Db, userId: string, id: string): Promise<ApiToken | undefined> {
  const row = await tables(tx)
    .deleteFrom("api_tokens")
    .where("id", "=", id)
    .where("user_id", "=", userId)
    .returningAll()
    .executeTakeFirst();
  return row && toToken(row);
}
