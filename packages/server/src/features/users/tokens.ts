/**
 * API tokens: what a program shows instead of signing in. A token belongs to a user and never reaches further than
 * that user does at this moment, nor than the role it was made with. It is shown once; here lies its hash. No token
 * makes another: one that was stolen ends when it is revoked.
 */
import { type Clock, toInstant } from "../../platform/clock.ts";
import { type Db, inTransaction, isUniqueViolation } from "../../platform/db/db.ts";
import { AppError, type FieldProblem, invalidFields } from "../../platform/errors.ts";
import { apiTokenPrefix } from "../../platform/http/api-token.ts";
import { actorOf, allows, type Identity, type Role } from "../../platform/http/identity.ts";
import { hashToken, newId, newToken } from "../../platform/random.ts";
import { recordAudit } from "../audit/audit.ts";
import * as store from "./tokens.store.ts";

export interface ApiToken {
  id: string;
  /** Unique among the user's tokens. */
  name: string;
  /** The most it may do. */
  role: Role;
  /** Epoch milliseconds, all three. */
  createdAt: number;
  /** Null never ends. */
  expiresAt: number | null;
  /** To the minute; null while nobody used it. */
  lastUsedAt: number | null;
}

export interface TokenDeps {
  db: Db;
  clock: Clock;
}

export const maxTokenNameLength = 64;
/** More than a person can tell apart; a script that makes a token each night is stopped. */
const maxTokensPerUser = 50;
/** A busy script must not write a row for each request. */
const usedResolutionMs = 60_000;

export const listApiTokens = (deps: { db: Db }, identity: Identity): Promise<ApiToken[]> =>
  store.listTokens(deps.db, identity.userId);

/**
 * Makes a token for the user who asks.
 * @returns the token itself, for this one answer
 * @throws AppError `users.token_by_token`, `users.token_rule`, `users.token_name_taken`, `users.too_many_tokens`
 */
export async function createApiToken(
  deps: TokenDeps,
  input: { identity: Identity; name: string; role: Role; expiresAt: number | null },
): Promise<{ token: string; created: ApiToken }> {
  const { identity, role, expiresAt } = input;
  if (identity.apiToken) throw tokenByToken();
  const now = deps.clock.now();
  const name = input.name.trim();
  checkWish({ identity, name, role, expiresAt }, now);
  const token = `${apiTokenPrefix}${newToken()}`;
  const created: ApiToken = { id: newId(now), name, role, createdAt: now, expiresAt, lastUsedAt: null };
  await inTransaction(deps.db, async (tx) => {
    if ((await store.listTokens(tx, identity.userId)).length >= maxTokensPerUser) throw tooManyTokens();
    await store.insertToken(tx, { ...created, userId: identity.userId, tokenHash: hashToken(token) });
    await recordTokenAct(tx, "api_token.create", { at: now, identity, token: created });
  }).catch((error: unknown) => {
    throw isUniqueViolation(error) ? nameTaken(name) : error;
  });
  return { token, created };
}

/** Ends a token of the user at once. @throws AppError `users.token_not_found` */
export async function revokeApiToken(
  deps: TokenDeps,
  input: { identity: Identity; tokenId: string },
): Promise<ApiToken> {
  const { identity, tokenId } = input;
  return inTransaction(deps.db, async (tx) => {
    const token = await store.deleteToken(tx, identity.userId, tokenId);
    if (!token) throw tokenNotFound();
    await recordTokenAct(tx, "api_token.revoke", { at: deps.clock.now(), identity, token });
    return token;
  });
}

/**
 * Who is behind a token, read from the database each time, as for a session.
 * @throws AppError `auth.token_invalid`: a program that shows a token wants to hear that it is none
 */
export async function identifyByToken(deps: TokenDeps, shown: string): Promise<Identity> {
  const now = deps.clock.now();
  const found = await store.findTokenUser(deps.db, hashToken(shown), now);
  if (!found) throw tokenInvalid();
  const { token, user } = found;
  if (now - (token.lastUsedAt ?? 0) >= usedResolutionMs) await store.markTokenUsed(deps.db, token.id, now);
  return {
    userId: user.id,
    username: user.username,
    role: allows(token.role, user.role) ? token.role : user.role,
    csrfToken: "",
    apiToken: { name: token.name },
  };
}

function checkWish(
  wish: { identity: Identity; name: string; role: Role; expiresAt: number | null },
  now: number,
): void {
  const { identity, name, role, expiresAt } = wish;
  const problems: FieldProblem[] = [];
  if (name === "" || name.length > maxTokenNameLength || /\p{C}/u.test(name)) {
    const message = `A name has 1 to ${maxTokenNameLength} characters that can be seen.`;
    problems.push({ path: "name", message });
  }
  if (!allows(role, identity.role)) {
    const message = `A token can't do more than who makes it: ${identity.role} at most.`;
    problems.push({ path: "role", message });
  }
  if (expiresAt !== null && expiresAt <= now) {
    problems.push({ path: "expires_at", message: "A token must end in the future." });
  }
  if (problems.length > 0) throw invalidFields("users.token_rule", problems);
}

function recordTokenAct(
  tx: Db,
  action: string,
  entry: { at: number; identity: Identity; token: ApiToken },
): Promise<void> {
  const { at, identity, token } = entry;
  return recordAudit(tx, {
    at,
    actor: actorOf(identity),
    action,
    target: { kind: "api_token", id: token.id, name: token.name },
    payload: {
      role: token.role,
      expires_at: token.expiresAt === null ? null : toInstant(token.expiresAt),
    },
  });
}

const tokenByToken = (): AppError =>
  new AppError(
    "forbidden",
    "users.token_by_token",
    "An API token makes no other. Sign in with your password: in the browser, Settings → Account.",
  );

const nameTaken = (name: string): AppError => {
  const message = `You have a token "${name}" already. Choose another name, or revoke that one first.`;
  return new AppError("conflict", "users.token_name_taken", message, {
    details: [{ path: "name", message }],
  });
};

const tooManyTokens = (): AppError =>
  new AppError(
    "conflict",
    "users.too_many_tokens",
    `You have ${maxTokensPerUser} API tokens, which is the most. Revoke one that is not used any more.`,
  );

const tokenNotFound = (): AppError =>
  new AppError("not_found", "users.token_not_found", "You have no such API token; perhaps it is revoked.");

const tokenInvalid = (): AppError =>
  new AppError(
    "unauthenticated",
    "auth.token_invalid",
    "This API token is unknown, revoked or expired, or its user is disabled. Make a new one in Settings → Account.",
  );
