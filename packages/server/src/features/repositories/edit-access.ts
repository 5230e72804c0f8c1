/**
 * From an access and what somebody types to the access that follows: what is not given is kept, what is given empty is
 * removed, and what belonged to another kind of storage is dropped. Pure.
 */
import { backendKindOf, type RepositoryAccess } from "@restic-manager/protocol";
import type { FieldProblem } from "../../platform/errors.ts";
import { buildAccess, credentialsRefused } from "./access.ts";
import { signsIn } from "./backends.ts";
import { readCertificates } from "./certificates.ts";
import { type ParsedLocation, readLocation } from "./repository-location.ts";

/** An absent field is kept; an empty one is removed, of the variables and options each by its name. */
export interface AccessEdit {
  location?: string | undefined;
  restUsername?: string | undefined;
  password?: string | undefined;
  restPassword?: string | undefined;
  environment?: Readonly<Record<string, string>> | undefined;
  /** PEM, one or more. */
  caCertificate?: string | undefined;
  options?: Readonly<Record<string, string>> | undefined;
}

/** @throws AppError `repositories.location_invalid` or `repositories.credentials_invalid` */
export function applyEdit(before: RepositoryAccess | null, edit: AccessEdit): RepositoryAccess {
  const edited = editAccess(before, edit);
  if ("problems" in edited) throw credentialsRefused(edited.problems);
  return edited.access;
}

/** The access, or every field that is wrong by its wire name. */
export function editAccess(
  before: RepositoryAccess | null,
  edit: AccessEdit,
): { access: RepositoryAccess } | { problems: FieldProblem[] } {
  const problems: FieldProblem[] = [];
  const parsed = readPlace(edit.location, problems);
  const location = parsed?.location ?? before?.location;
  const password = edit.password ?? before?.password;
  if (location === undefined && problems.length === 0)
    problems.push({ path: "repo_url", message: "A repository location is needed." });
  if (password === undefined) problems.push({ path: "repo_password", message: "The password is needed." });
  if (location === undefined || password === undefined || problems.length > 0) return { problems };
  // What belonged to one kind of storage has no meaning at another, nor a password without its user.
  const kept = before && backendKindOf(before.location) === backendKindOf(location) ? before : null;
  const restUsername = (edit.restUsername ?? parsed?.username ?? kept?.rest_username) || null;
  const keptPassword = restUsername === null ? null : kept?.rest_password;
  const built = buildAccess({
    ...{ location, password, restUsername },
    restPassword: (edit.restPassword ?? parsed?.password ?? keptPassword) || null,
    environment: merged(kept?.environment, edit.environment),
    caCertificate: readTrust(edit.caCertificate, problems) ?? kept?.ca_certificate ?? "",
    options: merged(kept?.options, edit.options),
  });
  if ("problems" in built) problems.push(...built.problems);
  return "problems" in built || problems.length > 0 ? { problems } : built;
}

function readPlace(location: string | undefined, problems: FieldProblem[]): ParsedLocation | null {
  if (location === undefined) return null;
  const reading = readLocation(location);
  if ("location" in reading) return reading;
  problems.push({ path: "repo_url", message: reading.problem });
  return null;
}

/** Undefined to keep what is there, empty to remove it. */
function readTrust(text: string | undefined, problems: FieldProblem[]): string | undefined {
  if (text === undefined || text.trim() === "") return text?.trim();
  const reading = readCertificates(text);
  if ("pem" in reading) return reading.pem;
  problems.push({ path: "ca_certificate", message: reading.problem });
  return undefined;
}

function merged(
  before: Readonly<Record<string, string>> | null | undefined,
  changes: Readonly<Record<string, string>> = {},
): Record<string, string> {
  const all = Object.entries({ ...before, ...changes }).map(([name, value]) => [name, value.trim()] as const);
  return Object.fromEntries(all.filter(([, value]) => value !== ""));
}

/** What admin credentials begin with: the everyday place and the way to it, without whoever signs in there. */
export function inheritedByAdmin(everyday: RepositoryAccess): RepositoryAccess {
  const place = Object.entries(everyday.environment ?? {}).filter(([name]) => !signsIn(name));
  const { environment: _everyday, ...same } = everyday;
  const environment = place.length === 0 ? {} : { environment: Object.fromEntries(place) };
  return { ...same, ...environment, rest_username: null, rest_password: null };
}

/** The wire names of the parts that differ. */
export function differingFields(before: RepositoryAccess | null, after: RepositoryAccess): string[] {
  const plain = wireFields.filter(([, part]) => (before?.[part] ?? null) !== (after[part] ?? null));
  return [
    ...plain.map(([field]) => field),
    ...differingNames("environment", before?.environment, after.environment),
    ...differingNames("options", before?.options, after.options),
  ];
}

/** What the API calls each part. */
const wireFields = [
  ["repo_url", "location"],
  ["repo_username", "rest_username"],
  ["repo_password", "password"],
  ["rest_password", "rest_password"],
  ["ca_certificate", "ca_certificate"],
] as const satisfies [string, keyof RepositoryAccess][];

type Named = Readonly<Record<string, string>> | null | undefined;

function differingNames(part: string, before: Named, after: Named): string[] {
  const names = new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})]);
  return [...names].filter((name) => before?.[name] !== after?.[name]).map((name) => `${part}.${name}`);
}
