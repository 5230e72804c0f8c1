/** Rows of `users`, `sessions` and `setup_tokens`. Tokens are only ever seen here as hashes. */
import type { Db } from "../../platform/db/db.ts";
import type { Role } from "../../platform/http/identity.ts";
import type { User } from "./users.ts";

interface UserRow {
  id: string;
  username: string;
  password_hash: string;
  role: Role;
  created_at: number;
  disabled_at: number | null;
}

type Tables = {
  users: UserRow;
  sessions: { token_hash: string; user_id: string; created_at: number; expires_at: number };
  setup_tokens: { token_hash: string; created_at: number };
};

/** A user with what proves a password. Never leaves this slice. */
export interface Account extends User {
  passwordHash: string;
}

const tables = (db: Db) => db.withTables<Tables>();

const toAccount = (row: UserRow): Account => ({
  id: row.id,
  username: row.username,
  role: row.role,
  disabledAt: row.disabled_at,
  passwordHash: row.password_hash,
});

export async function adminExists(db: Db): Promise<boolean> {
  const query = tables(db).selectFrom("users").select("id").where("role", "=", "admin").limit(1);
  return (await query.executeTakeFirst()) !== undefined;
}

export async function insertUser(tx: Db, account: Account & { createdAt: number }): Promise<void> {
  const row: UserRow = {
    id: account.id,
    username: account.username,
    password_hash: account.passwordHash,
    role: account.role,
    created_at: account.createdAt,
    disabled_at: account.disabledAt,
  };
  await tables(tx).insertInto("users").values(row).execute();
}

export async function findAccount(
  db: Db,
  by: { username: string } | { id: string },
): Promise<Account | undefined> {
  const query = tables(db).selectFrom("users").selectAll();
  const found = "id" in by ? query.where("id", "=", by.id) : query.where("username", "=", by.username);
  const row = await found.executeTakeFirst();
  return row && toAccount(row);
}

export async function updatePasswordHash(tx: Db, userId: string, passwordHash: string): Promise<void> {
  await tables(tx)
    .updateTable("users")
    .set({ password_hash: passwordHash })
    .where("id", "=", userId)
    .execute();
}

/** @param madeBefore epoch milliseconds; null removes all */
export async function removeSetupTokens(tx: Db, madeBefore: number | null): Promise<void> {
  const query = tables(tx).deleteFrom("setup_tokens");
  await (madeBefore === null ? query : query.where("created_at", "<", madeBefore)).execute();
}

export async function insertSetupToken(tx: Db, tokenHash: string, createdAt: number): Promise<void> {
  await tables(tx)
    .insertInto("setup_tokens")
    .values({ token_hash: tokenHash, created_at: createdAt })
    .execute();
}

export async function setupTokenExists(db: Db, tokenHash: string): Promise<boolean> {
  const query = tables(db)
    .selectFrom("setup_tokens")
    .select("created_at")
    .where("token_hash", "=", tokenHash);
  return (await query.executeTakeFirst()) !== undefined;
}

/** Takes all tokens. @returns whether this one was among them: of two calls at once only one gets any */
export async function takeSetupTokens(tx: Db, tokenHash: string): Promise<boolean> {
  const taken = await tables(tx).deleteFrom("setup_tokens").returning("token_hash").execute();
  return taken.some((token) => token.token_hash === tokenHash);
}

export async function insertSession(
  tx: Db,
  session: { tokenHash: string; userId: string; createdAt: number; expiresAt: number },
): Promise<void> {
  await tables(tx)
    .insertInto("sessions")
    .values({
      token_hash: session.tokenHash,
      user_id: session.userId,
      created_at: session.createdAt,
      expires_at: session.expiresAt,
    })
    .execute();
}

/** The user of a session that has not ended, as the user is now. */
export async function findSessionUser(db: Db, tokenHash: string, nowMs: number): Promise<User | undefined> {
  const row = await tables(db)
    .selectFrom("sessions")
    .innerJoin("users", "users.id", "sessions.user_id")
    .selectAll("users")
    .where("sessions.token_hash", "=", tokenHash)
    .where("sessions.expires_at", ">", nowMs)
    .where("users.disabled_at", "is", null)
    .executeTakeFirst();
  return row && toAccount(row);
}

export async function deleteSession(tx: Db, tokenHash: string): Promise<void> {
  await tables(tx).deleteFrom("sessions").where("token_hash", "=", tokenHash).execute();
}

export async function deleteOtherSessions(tx: Db, userId: string, keptTokenHash: string): Promise<void> {
  const query = tables(tx).deleteFrom("sessions").where("user_id", "=", userId);
  await query.where("token_hash", "!=", keptTokenHash).execute();
}

export async function deleteExpiredSessions(tx: Db, nowMs: number): Promise<void> {
  await tables(tx).deleteFrom("sessions").where("expires_at", "<=", nowMs).execute();
}
