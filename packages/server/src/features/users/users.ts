/**
 * Accounts and sessions: the first run, sign-in, sign-out, the password. A session's token is known to its browser
 * only; here lies its hash. Every answer about a name and a password is the same, and takes as long, whether the
 * name exists or not.
 */
import type { FastifyRequest } from "fastify";
import type { Clock } from "../../platform/clock.ts";
import { type Db, inTransaction } from "../../platform/db/db.ts";
import { AppError, type FieldProblem, invalidFields } from "../../platform/errors.ts";
import { apiTokenOf } from "../../platform/http/api-token.ts";
import { limitKeyOf } from "../../platform/http/client-address.ts";
import { type Actor, type Identity, type Role, systemActor } from "../../platform/http/identity.ts";
import { hashToken, newId, newToken } from "../../platform/random.ts";
import { recordAudit } from "../audit/audit.ts";
import { identifyByToken } from "./tokens.ts";
import type { AttemptLimit } from "./users.attempts.ts";
import type { PasswordHasher } from "./users.passwords.ts";
import * as store from "./users.store.ts";

export interface User {
  id: string;
  username: string;
  role: Role;
  /** Epoch milliseconds; null while the user may sign in. Users are never deleted. */
  disabledAt: number | null;
}

export interface UserDeps {
  db: Db;
  clock: Clock;
  passwords: PasswordHasher;
  attempts: AttemptLimit;
}

/** A new session. The token goes into the cookie and nowhere else. */
export interface SignedIn {
  user: User;
  token: string;
  expiresAt: number;
}

/** The cookie that carries a session's token. */
export const sessionCookie = "rm_session";
/** A working day and its night shift; nothing prolongs it. */
export const sessionLifetimeMs = 24 * 60 * 60_000;

/** OWASP and NIST SP 800-63B: length counts, not the mix of characters. */
export const minPasswordLength = 12;
/** Long enough for any passphrase, short enough not to be work. */
export const maxPasswordLength = 1024;
export const passwordRule = `A password has at least ${minPasswordLength} characters.`;
export const usernameRule =
  "A name has 1 to 64 letters, digits, dots, dashes, underscores or @, and begins with a letter or digit.";

/** Names are the same in any case: nobody should have to remember how an admin spelled theirs. */
export const normalizeUsername = (typed: string): string => typed.trim().toLowerCase();

/** Whether the sign-in page must ask for the setup token. */
export const needsSetup = async (deps: { db: Db }): Promise<boolean> => !(await store.adminExists(deps.db));

/** Replicas that start together each log a link: what was made so shortly before another start stays good. */
const startTogetherMs = 10 * 60_000;

/**
 * Makes the one-time token of the first run, in place of any earlier one. To be called at each start.
 * @param hasReplicas whether others may start at the same time, whose tokens stay
 * @returns the token for the log, or null when an admin exists
 */
export function ensureSetupToken(
  deps: Pick<UserDeps, "db" | "clock">,
  { hasReplicas = false } = {},
): Promise<string | null> {
  const token = newToken();
  return inTransaction(deps.db, async (tx) => {
    if (await store.adminExists(tx)) return null;
    const createdAt = deps.clock.now();
    await store.removeSetupTokens(tx, hasReplicas ? createdAt - startTogetherMs : null);
    await store.insertSetupToken(tx, hashToken(token), createdAt);
    return token;
  });
}

/** Path and query of the page that finishes the first run. */
export const setupPath = (token: string): string => `/login?setup=${encodeURIComponent(token)}`;

/**
 * Makes the first admin and signs it in. The token is used up in the same transaction.
 * @throws AppError `users.setup_token_invalid`, `users.username_rule`, `users.password_rule`
 */
export async function bootstrap(
  deps: UserDeps,
  input: { token: string; username: string; password: string; address: string },
): Promise<SignedIn> {
  const username = normalizeUsername(input.username);
  const tokenHash = hashToken(input.token.trim());
  // Looked up before the costly hash, so that only the operator can make the server work.
  if (!(await store.setupTokenExists(deps.db, tokenHash))) throw setupTokenInvalid();
  checkRules({ username, password: input.password });
  const passwordHash = await deps.passwords.hash(input.password);
  const now = deps.clock.now();
  const user: User = { id: newId(now), username, role: "admin", disabledAt: null };
  return inTransaction(deps.db, async (tx) => {
    if (!(await store.takeSetupTokens(tx, tokenHash)) || (await store.adminExists(tx)))
      throw setupTokenInvalid();
    await store.insertUser(tx, { ...user, passwordHash, createdAt: now });
    const payload = { role: user.role, address: input.address };
    await recordUserAct(tx, "user.bootstrap", { at: now, user, payload });
    return openSession(tx, user, now);
  });
}

/** @throws AppError `auth.wrong_credentials`, `auth.user_disabled`, `auth.rate_limited`, `auth.busy` */
export async function login(
  deps: UserDeps,
  input: { username: string; password: string; address: string },
): Promise<SignedIn> {
  const username = normalizeUsername(input.username);
  const attempt = `login ${limitKeyOf(input.address)} ${username}`;
  deps.attempts.begin(attempt, deps.clock.now());
  const account = await store.findAccount(deps.db, { username });
  const matches = await deps.passwords.verify(input.password, account?.passwordHash ?? deps.passwords.decoy);
  if (!account || !matches || account.disabledAt !== null) {
    await recordFailedLogin(deps, account, input.address);
    // Only whoever knows the password learns that the account is disabled.
    throw account && matches ? userDisabled() : wrongCredentials();
  }
  deps.attempts.forgive(attempt);
  const outdated = deps.passwords.isOutdated(account.passwordHash);
  const newHash = outdated ? await deps.passwords.hash(input.password) : null;
  const now = deps.clock.now();
  return inTransaction(deps.db, async (tx) => {
    if (newHash) await store.updatePasswordHash(tx, account.id, newHash);
    await store.deleteExpiredSessions(tx, now);
    await recordUserAct(tx, "auth.login", { at: now, user: account, payload: { address: input.address } });
    return openSession(tx, account, now);
  });
}

/**
 * Who is behind a request, by its API token or else by its session's cookie; read from the database each time: a
 * changed role or a disabled user takes effect at once.
 * @returns null without a session, or when it has ended
 * @throws AppError `auth.token_invalid`
 */
export async function identify(
  deps: Pick<UserDeps, "db" | "clock">,
  request: FastifyRequest,
): Promise<Identity | null> {
  const apiToken = apiTokenOf(request);
  if (apiToken !== null) return identifyByToken(deps, apiToken);
  const token = request.cookies[sessionCookie];
  if (!token) return null;
  const user = await store.findSessionUser(deps.db, hashToken(token), deps.clock.now());
  if (!user) return null;
  return { userId: user.id, username: user.username, role: user.role, csrfToken: csrfTokenOf(token) };
}

/** Ends one session. Without a session it does nothing: signing out twice is no mistake. */
export async function logout(deps: Pick<UserDeps, "db" | "clock">, token: string | undefined): Promise<void> {
  if (!token) return;
  const now = deps.clock.now();
  const tokenHash = hashToken(token);
  await inTransaction(deps.db, async (tx) => {
    const user = await store.findSessionUser(tx, tokenHash, now);
    await store.deleteSession(tx, tokenHash);
    if (user) await recordUserAct(tx, "auth.logout", { at: now, user });
  });
}

/**
 * Sets a new password and ends every other session of the user.
 * @param input.token the session that goes on
 * @throws AppError `users.password_wrong`, `users.password_rule`, `auth.rate_limited`, `auth.busy`
 */
export async function changePassword(
  deps: UserDeps,
  input: { identity: Identity; token: string; currentPassword: string; newPassword: string },
): Promise<void> {
  const { userId } = input.identity;
  checkRules({ new_password: input.newPassword });
  const attempt = `password ${userId}`;
  deps.attempts.begin(attempt, deps.clock.now());
  const account = await store.findAccount(deps.db, { id: userId });
  if (!account || !(await deps.passwords.verify(input.currentPassword, account.passwordHash))) {
    const problem = { path: "current_password", message: "This is not your current password." };
    throw invalidFields("users.password_wrong", [problem]);
  }
  deps.attempts.forgive(attempt);
  const passwordHash = await deps.passwords.hash(input.newPassword);
  await inTransaction(deps.db, async (tx) => {
    await store.updatePasswordHash(tx, userId, passwordHash);
    await store.deleteOtherSessions(tx, userId, hashToken(input.token));
    await recordUserAct(tx, "user.password_change", { at: deps.clock.now(), user: account });
  });
}

/** Bound to the session and useless without it: the cookie's token can't be computed back from it. */
const csrfTokenOf = (token: string): string => hashToken(`csrf ${token}`);

async function openSession(tx: Db, user: User, now: number): Promise<SignedIn> {
  const token = newToken();
  const expiresAt = now + sessionLifetimeMs;
  await store.insertSession(tx, { tokenHash: hashToken(token), userId: user.id, createdAt: now, expiresAt });
  const { id, username, role, disabledAt } = user;
  return { user: { id, username, role, disabledAt }, token, expiresAt };
}

/** Something done to a user; by that same user unless another actor is named. */
function recordUserAct(
  tx: Db,
  action: string,
  entry: { at: number; user: User; actor?: Actor; payload?: Record<string, unknown> },
): Promise<void> {
  const { user, ...rest } = entry;
  const actor: Actor = { kind: "user", id: user.id, name: user.username };
  return recordAudit(tx, {
    actor,
    ...rest,
    action,
    target: { kind: "user", id: user.id, name: user.username },
  });
}

/** The name is recorded only when it exists: people type their password into the wrong field. */
function recordFailedLogin(deps: UserDeps, user: User | undefined, address: string): Promise<void> {
  const entry = { at: deps.clock.now(), actor: { ...systemActor, name: "anonymous" }, payload: { address } };
  if (user) return recordUserAct(deps.db, "auth.login_failed", { ...entry, user });
  return recordAudit(deps.db, { ...entry, action: "auth.login_failed" });
}

/** Each key is the field's name on the wire. */
function checkRules(typed: { username?: string; password?: string; new_password?: string }): void {
  const problems: FieldProblem[] = [];
  if (typed.username !== undefined && !/^[a-z0-9][a-z0-9._@-]{0,63}$/.test(typed.username)) {
    problems.push({ path: "username", message: usernameRule });
  }
  for (const path of ["password", "new_password"] as const) {
    const password = typed[path];
    if (password === undefined) continue;
    // Characters, not UTF-16 units: an emoji counts once.
    if ([...password].length < minPasswordLength) problems.push({ path, message: passwordRule });
    if (password.length > maxPasswordLength) {
      problems.push({ path, message: `A password has at most ${maxPasswordLength} characters.` });
    }
  }
  const first = problems[0];
  if (first)
    throw invalidFields(first.path === "username" ? "users.username_rule" : "users.password_rule", problems);
}

const wrongCredentials = (): AppError =>
  new AppError("unauthenticated", "auth.wrong_credentials", "The name or the password is wrong.");

const userDisabled = (): AppError =>
  new AppError("forbidden", "auth.user_disabled", "This account is disabled. Ask an admin to enable it.");

const setupTokenInvalid = (): AppError =>
  new AppError(
    "forbidden",
    "users.setup_token_invalid",
    "This setup token is wrong or used up. Restart the server: its log shows a new one while no admin exists.",
  );
