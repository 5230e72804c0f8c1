/**
 * The form of an access between the browser and the rules: which names it posts, what they make, what is shown again and
 * where a problem stands. One for every page that asks for a repository. Secrets are never among the values. Pure.
 */
import {
  type BackendKind,
  backendKind,
  backendKindOf,
  backendVariables,
  optionsOf,
  takesCertificate,
} from "@restic-manager/protocol";
import { z } from "zod";
import type { RedactedCredentials } from "./access.ts";
import {
  type Backend,
  backendOf,
  certificateField,
  formNames,
  signsIn,
  type VariableField,
} from "./backends.ts";
import type { AccessEdit } from "./edit-access.ts";
import { readLocation } from "./repository-location.ts";

/** As posted, by field name; every name that the form knows is there. */
export type TypedAccess = Readonly<Record<string, string>>;

/** As long as it likes: the rule beside the field answers, not a page about a bad request. */
const typed = z.string().default("");
const names = ["backend", "repo_username", "repo_password", "rest_password", ...formNames()];

/** The names of the form for a route's schema. @param prefix tells two forms of one page apart */
export const accessFormShape = (prefix = ""): Record<string, typeof typed> =>
  Object.fromEntries(names.map((name) => [`${prefix}${name}`, typed]));

/** What was posted under a prefix, without it. */
export const unprefixed = (body: Readonly<Record<string, unknown>>, prefix = ""): TypedAccess =>
  Object.fromEntries(names.map((name) => [name, String(body[`${prefix}${name}`] ?? "")]));

/** The kind that was chosen; a form without the choice is a rest-server's. */
export const chosenKind = (form: Readonly<Partial<Record<string, string>>>): BackendKind =>
  backendKind.catch("rest").parse(form.backend ?? "rest");

/** The access that was typed. A secret field left empty keeps what is stored: it is never shown, so it can't be typed again. */
export function readAccessForm(form: TypedAccess, stored: RedactedCredentials | null): AccessEdit {
  const backend = backendOf(chosenKind(form));
  const location = backend.toLocation((name) => form[name] ?? "");
  const given = {
    location,
    ...(form.repo_password ? { password: form.repo_password } : {}),
  };
  const rest = {
    restUsername: (form.repo_username ?? "").trim(),
    ...(form.rest_password ? { restPassword: form.rest_password } : {}),
  };
  const reading = readLocation(location);
  const kind = "location" in reading ? backendKindOf(reading.location) : backend.kind;
  // A location of another kind was pasted whole: what stands in the fields of the chosen one is not meant for it.
  if (kind !== backend.kind) return { ...given, ...(form.repo_username || form.rest_password ? rest : {}) };
  return {
    ...given,
    ...(kind === "rest" ? rest : {}),
    environment: typedVariables(backend, form, stored?.kind === kind ? stored : null),
    options: Object.fromEntries(optionsOf(kind).map((name) => [name, (form[name] ?? "").trim()])),
    ...(takesCertificate(kind) ? { caCertificate: form[certificateField(kind)] ?? "" } : {}),
  };
}

function typedVariables(
  { variables }: Backend,
  form: TypedAccess,
  stored: RedactedCredentials | null,
): Record<string, string> {
  const given: Record<string, string> = {};
  const typedOf = ({ name }: VariableField) => (form[name] ?? "").trim();
  for (const field of variables)
    if (!backendVariables[field.name].secret || typedOf(field) !== "") given[field.name] = typedOf(field);
  for (const field of variables) {
    const value = typedOf(field);
    const isNew = backendVariables[field.name].secret
      ? value !== ""
      : stored !== null && value !== (stored.environment[field.name] ?? "");
    if (isNew) for (const name of field.supersedes ?? []) given[name] ??= "";
  }
  return given;
}

/** What the form shows of a stored access. */
export function valuesOf(stored: RedactedCredentials | null): Record<string, string> {
  if (!stored?.kind) return {};
  const { kind } = stored;
  return {
    backend: kind,
    ...backendOf(kind).toFields(stored.location),
    repo_username: stored.restUsername ?? "",
    ...stored.environment,
    ...stored.options,
    ...(stored.caCertificate === null ? {} : { [certificateField(kind)]: stored.caCertificate }),
  };
}

/** What a form of admin credentials begins with: the everyday place, without whoever signs in there. */
export const adminValuesOf = (everyday: RedactedCredentials | null): Record<string, string> => {
  if (everyday === null) return {};
  const place = Object.entries(everyday.environment).filter(([name]) => !signsIn(name));
  return valuesOf({ ...everyday, restUsername: null, environment: Object.fromEntries(place) });
};

/** What was typed, for a form that is shown again: everything but the secrets. */
export const withoutSecrets = (form: TypedAccess): Record<string, string> =>
  Object.fromEntries(
    Object.entries(form)
      .filter(([name]) => !isSecretField(name))
      .map(([name, value]) => [name, withoutPassword(value)]),
  );

/** A URL is shown again without the password that it may carry; digits up to a slash are a port, not one. */
function withoutPassword(typedUrl: string): string {
  // Cut behind the last @ first: the search would otherwise run to the end from everywhere that a URL may begin.
  const end = typedUrl.lastIndexOf("@") + 1;
  return typedUrl.slice(0, end).replace(/(\/\/[^/@:]*):(?!\d+\/).*@$/s, "$1@") + typedUrl.slice(end);
}

/** The secret fields that were typed: they are lost with the answer. */
export const typedSecrets = (form: TypedAccess): string[] =>
  Object.keys(form).filter((name) => isSecretField(name) && form[name] !== "");

export const isSecretField = (name: string): boolean =>
  name === "repo_password" ||
  name === "rest_password" ||
  Object.entries(backendVariables).some(([variable, { secret }]) => secret && variable === name);

/** The problems of an access, by the API's names, by the names of the form's fields. */
export function accessProblems(
  problems: Readonly<Record<string, string>>,
  form: TypedAccess,
): Record<string, string> {
  const kind = chosenKind(form);
  const errors: Record<string, string> = {};
  for (const [path, message] of Object.entries(problems)) {
    if (path === "repo_url") Object.assign(errors, placeProblems(kind, form, message));
    else if (path === "ca_certificate") errors[certificateField(kind)] = message;
    else errors[path.replace(/^(?:environment|options)\./, "")] = message;
  }
  return errors;
}

/** The problems as one text, each behind the label of its field. */
export const problemSentences = (problems: Readonly<Record<string, string>>, form: TypedAccess): string =>
  Object.entries(problems)
    .map(([name, message]) => `${labelOf(name, chosenKind(form))}: ${message}`)
    .join(" ");

function labelOf(name: string, kind: BackendKind): string {
  const { place, variables } = backendOf(kind);
  const found = [...place, ...variables].find((field) => field.name === name)?.label;
  return found ?? otherLabels[name] ?? (name === certificateField(kind) ? "CA certificate" : name);
}

const otherLabels: Readonly<Record<string, string>> = {
  repo_username: "User",
  rest_password: "User’s password",
  repo_password: "Encryption password",
};

/** Beside every field that is missing; where none is, beside the first. */
function placeProblems(kind: BackendKind, form: TypedAccess, message: string): Record<string, string> {
  const { place } = backendOf(kind);
  const missing = place.filter(({ name, optional }) => !optional && !form[name]?.trim());
  if (missing.length > 0 && place.length > 1)
    return Object.fromEntries(missing.map(({ name }) => [name, "This is needed."]));
  return { [place[0]?.name ?? "repo_url"]: message };
}
