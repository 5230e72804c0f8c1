/**
 * A host's accesses to its repository: `everyday` for what runs every day, `admin` for what may delete. Sealed per host
 * and slot; they are opened only to be sent to that host's agent, to be edited, or to say which of them are set.
 */
import {
  type BackendKind,
  backendKindOf,
  backendVariables,
  findBackendProblems,
  type RepositoryAccess,
  repositoryAccess,
} from "@restic-manager/protocol";
import type { Db } from "../../platform/db/db.ts";
import { AppError, type FieldProblem, invalidFields } from "../../platform/errors.ts";
import type { SecretBox } from "../../platform/secrets.ts";
import { type Backend, backendOf } from "./backends.ts";
import { insertCredentials, replaceCredentials, selectCredentials } from "./repositories.store.ts";

export type Slot = "everyday" | "admin";
const place = (hostId: string, slot: Slot) => ({ row: hostId, slot });

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
  /** Of what nothing is set, absent or empty. */
  environment?: Readonly<Record<string, string>>;
  caCertificate?: string;
  options?: Readonly<Record<string, string>>;
}

/** Parts → access, or every field that is wrong by its wire name. */
export function buildAccess(parts: AccessParts): { access: RepositoryAccess } | { problems: FieldProblem[] } {
  const { location, restUsername, password, restPassword } = parts;
  const settings = settingsOf(parts);
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
  const refused = findBackendProblems(location, settings);
  problems.push(...refused.map(({ path, message }) => ({ path: path.join("."), message })));
  const kind = backendKindOf(location);
  if (kind !== undefined) problems.push(...findMissing(backendOf(kind), settings.environment ?? {}));
  if (problems.length > 0) return { problems };
  const rest = { rest_username: restUsername, rest_password: restPassword };
  return { access: { location, password, ...rest, ...settings } };
}

/** What is not set is absent, as in an access of before there were settings. */
const settingsOf = (
  parts: AccessParts,
): Pick<RepositoryAccess, "environment" | "ca_certificate" | "options"> => ({
  ...(isEmpty(parts.environment) ? {} : { environment: { ...parts.environment } }),
  ...(parts.caCertificate ? { ca_certificate: parts.caCertificate } : {}),
  ...(isEmpty(parts.options) ? {} : { options: { ...parts.options } }),
});

const isEmpty = (values: Readonly<Record<string, string>> | undefined): boolean =>
  Object.keys(values ?? {}).length === 0;

/** Variables that are missing altogether, and halves of pairs. */
function findMissing(
  { needs, pairs, variables }: Backend,
  environment: Readonly<Record<string, string>>,
): FieldProblem[] {
  const isSet = (name: string) => Object.hasOwn(environment, name);
  const missing = needs.filter((name) => !isSet(name));
  const halves = pairs
    .filter((pair) => pair.some(isSet))
    .flatMap((pair) => pair.filter((one) => !isSet(one)));
  return [...missing, ...halves].map((name) => {
    const label = variables.find((field) => field.name === name)?.label ?? name;
    return { path: `environment.${name}`, message: `The ${label.toLowerCase()} is needed.` };
  });
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
export const saveEverydayAccess = (
  tx: Db,
  box: SecretBox,
  input: { hostId: string; access: RepositoryAccess; at: number; replaces?: number },
): Promise<void> => saveAccess(tx, box, "everyday", input);

export async function saveAccess(
  tx: Db,
  box: SecretBox,
  slot: Slot,
  input: { hostId: string; access: RepositoryAccess; at: number; replaces?: number },
): Promise<void> {
  const { hostId, access, at, replaces } = input;
  const row = { hostId, slot, sealed: box.seal(JSON.stringify(access), place(hostId, slot)), at };
  const saved =
    replaces === undefined ? await insertCredentials(tx, row) : await replaceCredentials(tx, row, replaces);
  if (!saved) throw editConflict();
}

/** Secret as a whole. */
export interface StoredAccess {
  version: number;
  access: RepositoryAccess;
  updatedAt: number;
}

/**
 * What the host's agent needs; null when it has no credentials. Secret as a whole.
 * @throws AppError `secrets.unreadable` when the key file is another one
 */
export const findEverydayAccess = (db: Db, box: SecretBox, hostId: string): Promise<StoredAccess | null> =>
  findAccess(db, box, hostId, "everyday");

/**
 * What may delete in the repository, for one job at a time; null when the host has none. Secret as a whole.
 * @throws AppError as findEverydayAccess
 */
export const findAdminAccess = (db: Db, box: SecretBox, hostId: string): Promise<StoredAccess | null> =>
  findAccess(db, box, hostId, "admin");

/** What a host has in one slot. Secret as a whole. @throws AppError as findEverydayAccess */
export async function findAccess(
  db: Db,
  box: SecretBox,
  hostId: string,
  slot: Slot,
): Promise<StoredAccess | null> {
  const stored = await selectCredentials(db, hostId, slot);
  if (!stored) return null;
  const access = repositoryAccess.parse(JSON.parse(box.open(stored.sealed, place(hostId, slot))));
  return { version: stored.version, access, updatedAt: stored.updatedAt };
}

/** The version of what a host has in one slot; null when it has nothing there. Opens nothing. */
export async function accessVersion(db: Db, hostId: string, slot: Slot): Promise<number | null> {
  return (await selectCredentials(db, hostId, slot))?.version ?? null;
}

/**
 * Puts another encryption password into the version that the caller has read, and changes nothing else of it.
 * @returns the version that holds it; null when another one is stored by now
 * @throws AppError as findEverydayAccess
 */
export async function replacePassword(
  tx: Db,
  box: SecretBox,
  input: { hostId: string; slot: Slot; version: number; password: string; at: number },
): Promise<number | null> {
  const { hostId, slot, version, password, at } = input;
  const stored = await findAccess(tx, box, hostId, slot);
  if (stored?.version !== version) return null;
  if (stored.access.password === password) return version;
  const sealed = box.seal(JSON.stringify({ ...stored.access, password }), place(hostId, slot));
  return (await replaceCredentials(tx, { hostId, slot, sealed, at }, version)) ? version + 1 : null;
}

/** When the host's credentials of that slot were last changed; null when it has none. Opens nothing. */
export async function credentialsChangedAt(db: Db, hostId: string, slot: Slot): Promise<number | null> {
  return (await selectCredentials(db, hostId, slot))?.updatedAt ?? null;
}

/** Credentials as they may be shown. */
export interface RedactedCredentials {
  location: string;
  /** Undefined for a location of a kind that is no longer known. */
  kind: BackendKind | undefined;
  /** The variables that are no secrets. */
  environment: Record<string, string>;
  /** The names of the variables that are. */
  secretsSet: string[];
  /** PEM. */
  caCertificate: string | null;
  options: Record<string, string>;
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
  return redact(await findEverydayAccess(db, box, hostId));
}

/** What may be shown of a host's admin credentials; null when it has none. */
export async function redactedAdminCredentials(
  db: Db,
  box: SecretBox,
  hostId: string,
): Promise<RedactedCredentials | null> {
  return redact(await findAdminAccess(db, box, hostId));
}

function redact(found: StoredAccess | null): RedactedCredentials | null {
  if (!found) return null;
  const { location, environment, ca_certificate, options } = found.access;
  const variables = Object.entries(environment ?? {});
  return {
    location,
    kind: backendKindOf(location),
    environment: Object.fromEntries(variables.filter(([name]) => !isSecret(name))),
    secretsSet: variables.map(([name]) => name).filter(isSecret),
    caCertificate: ca_certificate ?? null,
    options: options ?? {},
    restUsername: found.access.rest_username,
    passwordSet: true,
    restPasswordSet: found.access.rest_password !== null,
    version: found.version,
    updatedAt: found.updatedAt,
  };
}

/** What is unknown may be one. */
const isSecret = (name: string): boolean =>
  !Object.entries(backendVariables).some(([known, { secret }]) => known === name && !secret);

const editConflict = (): AppError =>
  new AppError(
    "conflict",
    "repositories.edit_conflict",
    "Somebody else changed these credentials at the same moment. Look at them again, then repeat your change.",
  );
