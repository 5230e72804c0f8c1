/**
 * Repositories: where backups go, and the credentials with which each host reaches them.
 * A repository's identity is its normalised location without user info. Credentials are sealed per host and slot;
 * they are opened only to be sent to that host's agent, to be edited, or to say which of them are set.
 * Hosts are plain ids here; what must be known of them is handed in.
 */
import { type RepositoryAccess, repositoryAccess } from "@restic-manager/protocol";
import type { Clock } from "../../platform/clock.ts";
import { type Db, inTransaction } from "../../platform/db/db.ts";
import { AppError, type FieldProblem, invalidFields } from "../../platform/errors.ts";
import { type EventBus, topic } from "../../platform/events.ts";
import type { Actor } from "../../platform/http/identity.ts";
import type { SecretBox } from "../../platform/secrets.ts";
import { recordAudit } from "../audit/audit.ts";
import {
  ensureRepository,
  insertCredentials,
  lockRepository,
  replaceCredentials,
  selectCredentials,
} from "./repositories.store.ts";
import { readLocation } from "./repository-location.ts";

export { readLocation } from "./repository-location.ts";
export { ensureRepository, lockRepository };

/** A host's credentials were edited; its agent should get them at once. */
export const credentialsChanged = topic<{ hostId: string }>("repositories.credentials_changed");

const everyday = "everyday";
const place = (hostId: string) => ({ row: hostId, slot: everyday });

/** The refusal of what was given: `repositories.location_invalid` or `repositories.credentials_invalid`. */
export function credentialsRefused(problems: FieldProblem[]): AppError {
  const wrongPlace = problems[0]?.path === "repo_url";
  return invalidFields(`repositories.${wrongPlace ? "location" : "credentials"}_invalid`, problems);
}

/** The parts of an access as a person gives them. */
export interface AccessParts {
  location: string;
  restUsername: string | null;
  password: string;
  restPassword: string | null;
}

/** Parts → access, or every field that is wrong by its wire name. */
export function buildAccess(parts: AccessParts): { access: RepositoryAccess } | { problems: FieldProblem[] } {
  const { location, restUsername, password, restPassword } = parts;
  const problems = [
    checkSecret("repo_password", password, 1024),
    checkSecret("repo_username", restUsername, 256),
    checkSecret("rest_password", restPassword, 1024),
  ].filter((found) => found !== null);
  if (!location.startsWith("rest:")) {
    const message = "Only a rest-server (rest:…) takes this. Leave it empty for this location.";
    if (restUsername !== null) problems.push({ path: "repo_username", message });
    if (restPassword !== null) problems.push({ path: "rest_password", message });
  }
  if (problems.length > 0) return { problems };
  return { access: { location, password, rest_username: restUsername, rest_password: restPassword } };
}

/** The environment carries these to restic, and it can't hold every character. */
function checkSecret(path: string, value: string | null, maxLength: number): FieldProblem | null {
  if (value === null) return null;
  if (value === "") return { path, message: "This can't be empty." };
  if (value.length > maxLength) return { path, message: `At most ${maxLength} characters, please.` };
  return /[\p{Cc}\p{Cs}]/u.test(value)
    ? { path, message: "Control characters can't be part of this." }
    : null;
}

/**
 * Seals what the host uses every day, as its first access or in place of the version that the caller has read.
 * @throws AppError `repositories.edit_conflict` when another version is stored by now
 */
export async function saveEverydayAccess(
  tx: Db,
  box: SecretBox,
  input: { hostId: string; access: RepositoryAccess; at: number; replaces?: number },
): Promise<void> {
  const { hostId, access, at, replaces } = input;
  const row = { hostId, slot: everyday, sealed: box.seal(JSON.stringify(access), place(hostId)), at };
  const saved =
    replaces === undefined ? await insertCredentials(tx, row) : await replaceCredentials(tx, row, replaces);
  if (!saved) throw editConflict();
}

/**
 * What the host's agent needs; null when it has no credentials. Secret as a whole.
 * @throws AppError `secrets.unreadable` when the key file is another one
 */
export async function findEverydayAccess(
  db: Db,
  box: SecretBox,
  hostId: string,
): Promise<{ version: number; access: RepositoryAccess; updatedAt: number } | null> {
  const stored = await selectCredentials(db, hostId, everyday);
  if (!stored) return null;
  const access = repositoryAccess.parse(JSON.parse(box.open(stored.sealed, place(hostId))));
  return { version: stored.version, access, updatedAt: stored.updatedAt };
}

/** Credentials as they may be shown. */
export interface RedactedCredentials {
  location: string;
  restUsername: string | null;
  passwordSet: boolean;
  restPasswordSet: boolean;
  version: number;
  updatedAt: number;
}

/** What may be shown of a host's credentials; null when it has none. */
export async function redactedCredentials(
  db: Db,
  box: SecretBox,
  hostId: string,
): Promise<RedactedCredentials | null> {
  const found = await findEverydayAccess(db, box, hostId);
  if (!found) return null;
  return {
    location: found.access.location,
    restUsername: found.access.rest_username,
    passwordSet: true,
    restPasswordSet: found.access.rest_password !== null,
    version: found.version,
    updatedAt: found.updatedAt,
  };
}

/** What this slice needs of hosts, handed in by the composition root: both slices have one rank. */
export interface HostLink {
  /** The host's name. MUST throw `hosts.not_found` for an unknown id. */
  nameOf(db: Db, hostId: string): Promise<string>;
  setRepository(tx: Db, hostId: string, repositoryId: string): Promise<void>;
}

export interface RepositoriesDeps {
  db: Db;
  box: SecretBox;
  clock: Clock;
  events: EventBus;
  hosts: HostLink;
}

/** An absent field is kept; an empty user or user's password is removed. */
export interface CredentialsEdit {
  hostId: string;
  actor: Actor;
  location?: string | undefined;
  restUsername?: string | undefined;
  password?: string | undefined;
  restPassword?: string | undefined;
}

/**
 * Changes the credentials of a host; nothing happens when nothing differs. The audit entry names the fields only.
 * @throws AppError `hosts.not_found`, `repositories.location_invalid`, `repositories.credentials_invalid`, or
 *   `repositories.edit_conflict` when somebody else edited at the same moment
 */
export async function editCredentials(
  deps: RepositoriesDeps,
  edit: CredentialsEdit,
): Promise<RedactedCredentials> {
  const { db, box, clock, events, hosts } = deps;
  const { hostId, actor } = edit;
  const changed = await inTransaction(db, async (tx) => {
    const name = await hosts.nameOf(tx, hostId);
    const stored = await findEverydayAccess(tx, box, hostId);
    const before = stored?.access ?? null;
    const after = applyEdit(before, edit);
    const fields = wireFields.filter(([, part]) => before?.[part] !== after[part]).map(([field]) => field);
    if (fields.length === 0) return false;
    const at = clock.now();
    const repository = await ensureRepository(tx, after.location, at);
    const replaces = stored ? { replaces: stored.version } : {};
    await saveEverydayAccess(tx, box, { hostId, access: after, at, ...replaces });
    await hosts.setRepository(tx, hostId, repository.id);
    const target = { kind: "host", id: hostId, name };
    await recordAudit(tx, { at, actor, action: "repository.credentials_edit", target, payload: { fields } });
    return true;
  });
  if (changed) events.emit(credentialsChanged, { hostId });
  const shown = await redactedCredentials(db, box, hostId);
  if (!shown) throw noCredentials();
  return shown;
}

/** What the API calls each part. */
const wireFields = [
  ["repo_url", "location"],
  ["repo_username", "rest_username"],
  ["repo_password", "password"],
  ["rest_password", "rest_password"],
] as const satisfies [string, keyof RepositoryAccess][];

function applyEdit(before: RepositoryAccess | null, edit: CredentialsEdit): RepositoryAccess {
  const problems: FieldProblem[] = [];
  const reading = edit.location === undefined ? null : readLocation(edit.location);
  if (reading && "problem" in reading) problems.push({ path: "repo_url", message: reading.problem });
  const parsed = reading && "location" in reading ? reading : null;
  const location = parsed?.location ?? before?.location;
  const password = edit.password ?? before?.password;
  if (location === undefined)
    problems.push({ path: "repo_url", message: "A repository location is needed." });
  if (password === undefined) problems.push({ path: "repo_password", message: "The password is needed." });
  if (location === undefined || password === undefined || problems.length > 0)
    throw credentialsRefused(problems);
  // What belonged to a rest-server has no meaning at a place of another kind, nor a password without its user.
  const kept = location.startsWith("rest:") ? before : null;
  const restUsername = (edit.restUsername ?? parsed?.username ?? kept?.rest_username) || null;
  const keptPassword = restUsername === null ? null : kept?.rest_password;
  const restPassword = (edit.restPassword ?? parsed?.password ?? keptPassword) || null;
  const built = buildAccess({ location, restUsername, password, restPassword });
  if ("problems" in built) throw credentialsRefused(built.problems);
  return built.access;
}

/** The refusal for a host that was never given credentials. */
export const noCredentials = (): AppError =>
  new AppError("not_found", "repositories.no_credentials", "This host has no repository credentials yet.");

const editConflict = (): AppError =>
  new AppError(
    "conflict",
    "repositories.edit_conflict",
    "Somebody else changed these credentials at the same moment. Look at them again, then repeat your change.",
  );
