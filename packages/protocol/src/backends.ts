/**
 * The kinds of storage that restic can reach, and what of restic's own settings may go with each: variables of its
 * environment, options of its command line, a certificate to trust. One declaration, which server and agent both enforce:
 * neither trusts the other. Invariant: nothing here names a program, an argument of one, or a file of the host, for
 * each of those would let a server run or read what it likes there.
 * Source: restic's documentation, "Preparing a new repository", and `restic options`.
 */
import { z } from "zod";
import { text } from "./primitives.ts";

export const backendKinds = ["rest", "local", "sftp", "s3", "b2", "azure", "gs", "rclone"] as const;
export const backendKind = z.enum(backendKinds);
export type BackendKind = z.infer<typeof backendKind>;

/** The kind that a location's scheme names, or undefined for a scheme that is none of ours. A plain path is `local`. */
export function backendKindOf(location: string): BackendKind | undefined {
  // One letter is a drive of Windows.
  const scheme = /^([A-Za-z0-9]{2,}):/.exec(location)?.[1];
  if (scheme === undefined) return "local";
  return backendKinds.find((kind) => kind === scheme.toLowerCase());
}

/** A rule for a value: what it has to look like, and the end of the sentence "This has to be …". */
interface ValueRule {
  readonly pattern: RegExp;
  readonly words: string;
}

const word: ValueRule = { pattern: /^[^\p{C}\s]{1,4096}$/u, words: "one word without blanks" };
const hostSuffix: ValueRule = {
  pattern: /^[A-Za-z0-9][A-Za-z0-9.-]{0,252}$/,
  words: "the end of a host name, such as core.windows.net",
};
const region: ValueRule = {
  pattern: /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/,
  words: "the name of a region, such as eu-central-1",
};
const figure: ValueRule = { pattern: /^[1-9]\d{0,2}$/, words: "a whole number from 1 to 999" };
const yesOrNo: ValueRule = { pattern: /^(?:true|false)$/, words: "true or false" };
const oneOf = (...values: string[]): ValueRule => ({
  pattern: new RegExp(`^(?:${values.join("|")})$`),
  words: `one of ${values.join(", ")}`,
});

export interface BackendVariable {
  readonly kind: BackendKind;
  /** Masked in all output and never shown again; the others may be read. */
  readonly secret: boolean;
  readonly rule: ValueRule | "google key";
}

/** Every variable that may be set for restic. No variable belongs to two kinds. */
export const backendVariables = {
  AWS_ACCESS_KEY_ID: { kind: "s3", secret: false, rule: word },
  AWS_SECRET_ACCESS_KEY: { kind: "s3", secret: true, rule: word },
  AWS_SESSION_TOKEN: { kind: "s3", secret: true, rule: word },
  AWS_DEFAULT_REGION: { kind: "s3", secret: false, rule: region },
  B2_ACCOUNT_ID: { kind: "b2", secret: false, rule: word },
  B2_ACCOUNT_KEY: { kind: "b2", secret: true, rule: word },
  AZURE_ACCOUNT_NAME: { kind: "azure", secret: false, rule: word },
  AZURE_ACCOUNT_KEY: { kind: "azure", secret: true, rule: word },
  AZURE_ACCOUNT_SAS: { kind: "azure", secret: true, rule: word },
  AZURE_ENDPOINT_SUFFIX: { kind: "azure", secret: false, rule: hostSuffix },
  GOOGLE_PROJECT_ID: { kind: "gs", secret: false, rule: word },
  GOOGLE_ACCESS_TOKEN: { kind: "gs", secret: true, rule: word },
  /** For restic the path of a file; here the text of it, which the agent writes into a private file. */
  GOOGLE_APPLICATION_CREDENTIALS: { kind: "gs", secret: true, rule: "google key" },
} as const satisfies Record<string, BackendVariable>;
export type BackendVariableName = keyof typeof backendVariables;

/** Every `-o` option that may be given to restic, with what it may be. The name begins with the kind. */
export const backendOptions = {
  "rest.connections": figure,
  "local.connections": figure,
  "sftp.connections": figure,
  "s3.connections": figure,
  "s3.bucket-lookup": oneOf("auto", "dns", "path"),
  "s3.region": region,
  "s3.storage-class": oneOf(
    ...["STANDARD", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "REDUCED_REDUNDANCY"],
  ),
  "s3.list-objects-v1": yesOrNo,
  "s3.retries": figure,
  "b2.connections": figure,
  "azure.connections": figure,
  "azure.access-tier": oneOf("Hot", "Cool", "Cold"),
  "gs.connections": figure,
  "gs.region": region,
  "rclone.connections": figure,
} as const satisfies Record<string, ValueRule>;
export type BackendOptionName = keyof typeof backendOptions;

const isVariable = (name: string): name is BackendVariableName => Object.hasOwn(backendVariables, name);
const isOption = (name: string): name is BackendOptionName => Object.hasOwn(backendOptions, name);

/** The variables of one kind, in the order of the declaration. */
export const variablesOf = (kind: BackendKind): BackendVariableName[] =>
  Object.keys(backendVariables)
    .filter(isVariable)
    .filter((name) => backendVariables[name].kind === kind);

/** The options of one kind, in the order of the declaration. */
export const optionsOf = (kind: BackendKind): BackendOptionName[] =>
  Object.keys(backendOptions)
    .filter(isOption)
    .filter((name) => name.startsWith(`${kind}.`));

/** Whether the kind speaks HTTPS, and so may be given a certificate to trust. */
export const takesCertificate = (kind: BackendKind): boolean =>
  ["rest", "s3", "b2", "azure", "gs"].includes(kind);

/** A chain of certificates has a few KiB; a service account's file has 2.4 KiB. */
const maxFileChars = 65_536;

/** Certificates in PEM and nothing else: no comment, no key. */
const pemCertificates = /^(?:-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----\s*)+$/;

export const caCertificate = text(maxFileChars).regex(pemCertificates);

export const backendEnvironment = z.record(text(64), text(maxFileChars).min(1));
export const backendOptionValues = z.record(text(64), text(256).min(1));

/**
 * What of an access goes to restic beside the location and the passwords, absent where there is none of it. Names and
 * values are checked by `findBackendProblems`.
 */
export interface BackendSettings {
  environment?: Record<string, string> | null | undefined;
  ca_certificate?: string | null | undefined;
  options?: Record<string, string> | null | undefined;
}

/** `path` leads to the field; the message never repeats a value, which could be a secret. */
export interface BackendProblem {
  path: string[];
  message: string;
}

/** Everything in the settings that this location's kind doesn't take, or that is malformed. */
export function findBackendProblems(location: string, settings: BackendSettings): BackendProblem[] {
  const kind = backendKindOf(location);
  const problems: BackendProblem[] = [];
  const report = (path: string[], message: string | undefined) => {
    if (message !== undefined) problems.push({ path, message });
  };
  for (const [name, value] of Object.entries(settings.environment ?? {}))
    report(["environment", name], findVariableProblem(kind, name, value));
  for (const [name, value] of Object.entries(settings.options ?? {}))
    report(["options", name], findOptionProblem(kind, name, value));
  if (settings.ca_certificate != null && (kind === undefined || !takesCertificate(kind)))
    report(["ca_certificate"], "This kind of repository is not reached over HTTPS and takes no certificate.");
  return problems;
}

function findVariableProblem(kind: BackendKind | undefined, name: string, value: string): string | undefined {
  if (!isVariable(name) || backendVariables[name].kind !== kind)
    return "This variable does not belong to this kind of repository.";
  const { rule } = backendVariables[name];
  return rule === "google key" ? findGoogleKeyProblem(value) : findValueProblem(rule, value);
}

function findOptionProblem(kind: BackendKind | undefined, name: string, value: string): string | undefined {
  if (kind === undefined || !isOption(name) || !name.startsWith(`${kind}.`))
    return "This option does not belong to this kind of repository.";
  return findValueProblem(backendOptions[name], value);
}

const findValueProblem = (rule: ValueRule, value: string): string | undefined =>
  rule.pattern.test(value) ? undefined : `This has to be ${rule.words}.`;

/** Other types of Google's files may name a program to run or a file to send. */
const googleKey = z.object({
  type: z.literal("service_account"),
  client_email: z.string().min(1),
  private_key: z.string().min(1),
});

function findGoogleKeyProblem(value: string): string | undefined {
  return value.length > maxFileChars || readGoogleKey(value) === undefined
    ? "This has to be the JSON file of a Google service account's key, with its private_key."
    : undefined;
}

function readGoogleKey(value: string): z.infer<typeof googleKey> | undefined {
  try {
    return googleKey.safeParse(JSON.parse(value)).data;
  } catch {
    return undefined;
  }
}

/** What must appear in no output: every secret value, and the key inside a service account's file. */
export function backendSecrets(settings: BackendSettings): string[] {
  return Object.entries(settings.environment ?? {}).flatMap(([name, value]) => {
    // What is unknown may be a secret.
    if (isVariable(name) && !backendVariables[name].secret) return [];
    const key = readGoogleKey(value)?.private_key;
    return key === undefined ? [value] : [value, key, ...linesOf(key)];
  });
}

/** The lines of a key that are the key. */
const linesOf = (key: string): string[] =>
  key.split("\n").filter((line) => line.length > 20 && !line.startsWith("-----"));
