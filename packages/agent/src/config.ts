/**
 * agent.yaml: every setting of the agent, once. Written by `enrol`, read at start. Invariants: 0600 because it
 * holds the bearer and the key of the secrets file; replaced in one step; an unknown key is an error, because
 * a misspelt setting that is silently ignored costs somebody a night.
 */
import { access, constants, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { parse, stringify } from "yaml";
import { z } from "zod";
import { AgentError, reasonOf } from "./platform/errors.ts";
import {
  ensurePrivateDir,
  fileSizeBytes,
  hasErrorCode,
  readTextIfExists,
  writeFileAtomic,
} from "./platform/files.ts";
import { createSecretsKey, SECRETS_KEY_BYTES } from "./platform/secrets.ts";

export const agentConfig = z.strictObject({
  /** The server's address as people type it: `https://backup.example.org`. */
  server: z.url({ protocol: /^https?$/ }),
  host_id: z.string().min(1),
  bearer: z.string().min(1),
  /** `sha256:<hex>` of the server's certificate; when set, it decides alone. */
  cert_pin: z
    .string()
    .regex(/^sha256:[0-9a-f]{64}$/)
    .nullable()
    .default(null),
  /** File of certificates (PEM) that are believed beside those of the system, for the server's; null = none. */
  ca_file: z.string().min(1).nullable().default(null),
  /** Key of secrets.enc, base64. */
  secrets_key: z.base64().refine((key) => Buffer.from(key, "base64").length === SECRETS_KEY_BYTES),
  data_dir: z.string().min(1),
  /** Path of restic; null = looked for in PATH. */
  restic_path: z.string().min(1).nullable().default(null),
  /** False: backups with hooks fail instead of running scripts of the server's operators on this host. */
  allow_hooks: z.boolean().default(true),
  log_level: z.enum(["debug", "info", "warn", "error"]).default("info"),
});
export type AgentConfig = z.infer<typeof agentConfig>;

export const defaultConfigPath =
  process.platform === "win32"
    ? "C:\\ProgramData\\restic-manager\\agent.yaml"
    : "/etc/restic-manager/agent.yaml";

export const defaultDataDir =
  process.platform === "win32" ? "C:\\ProgramData\\restic-manager\\data" : "/var/lib/restic-manager";

export type LoadedConfig = { config: AgentConfig; warnings: string[] };

/**
 * Reads and checks agent.yaml.
 * @throws AgentError `config.missing`, `config.unreadable` or `config.invalid`, each a sentence without values.
 */
export async function loadConfig(path: string): Promise<LoadedConfig> {
  const config = parseConfig(path, await readConfig(path));
  return { config, warnings: await permissionWarnings(path) };
}

async function readConfig(path: string): Promise<string> {
  try {
    const text = await readTextIfExists(path);
    if (text !== undefined) return text;
  } catch (cause) {
    const message = `The configuration ${path} can't be read: ${reasonOf(cause)}.`;
    throw new AgentError("config.unreadable", message, { cause });
  }
  const message = `There is no configuration at ${path}. Enrol this host first: restic-manager-agent enrol --server URL.`;
  throw new AgentError("config.missing", message);
}

function parseConfig(path: string, text: string): AgentConfig {
  let value: unknown;
  try {
    // Its warnings go to stderr and quote the text as well.
    value = parse(text, { logLevel: "error" });
  } catch {
    // The parser's message quotes the line, which may be the bearer's.
    throw new AgentError("config.invalid", `The configuration ${path} is not valid YAML.`);
  }
  const parsed = agentConfig.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new AgentError(
    "config.invalid",
    `The configuration ${path} is not valid: ${describe(parsed.error)}.`,
  );
}

/** Names the fields, never their values. */
function describe(error: z.ZodError): string {
  const parts = error.issues.map((issue) => {
    if (issue.code === "unrecognized_keys") return `unknown setting ${issue.keys.join(", ")}`;
    const field = issue.path.join(".");
    return field === "" ? "it must be a list of settings" : `${field} is missing or wrong`;
  });
  return [...new Set(parts)].join("; ");
}

async function permissionWarnings(path: string): Promise<string[]> {
  if (process.platform === "win32") return [];
  const { mode } = await stat(path);
  if ((mode & 0o077) === 0) return [];
  return [`Others can read ${path}, which holds this host's credentials: chmod 600 it.`];
}

/** Writes agent.yaml (0600) in one step, creating its directory. Throws AgentError `config.not_saved`. */
export async function saveConfig(path: string, config: AgentConfig): Promise<void> {
  try {
    await ensurePrivateDir(dirname(path));
    await writeFileAtomic(path, stringify(agentConfig.parse(config)));
  } catch (cause) {
    const hint = hasErrorCode(cause, "EACCES") ? " Run this as root." : "";
    throw new AgentError("config.not_saved", `${path} can't be written: ${reasonOf(cause)}.${hint}`, {
      cause,
    });
  }
}

/**
 * Tries everything that writing an enrolment needs, so that no token is spent in vain. Returns the key for the
 * secrets file: the old one where such a file exists, since it could never be read again with another.
 * @throws AgentError `enrol.already_enrolled`, `enrol.not_writable`, or those of `loadConfig`.
 */
export async function prepareEnrolment(configPath: string, dataDir: string, force: boolean): Promise<string> {
  if ((await fileSizeBytes(configPath)) > 0 && !force) {
    const message = `This host is enrolled already (${configPath}). Add --force to replace that enrolment.`;
    throw new AgentError("enrol.already_enrolled", message);
  }
  for (const dir of [dirname(configPath), dataDir, dataPaths(dataDir).work]) {
    try {
      await ensurePrivateDir(dir);
      await access(dir, constants.W_OK);
    } catch (cause) {
      throw new AgentError("enrol.not_writable", `${dir} can't be written: run this as root.`, { cause });
    }
  }
  if ((await fileSizeBytes(dataPaths(dataDir).secrets)) > 0)
    return (await loadConfig(configPath)).config.secrets_key;
  return createSecretsKey();
}

/** Whether a host that is enrolled anew goes on refusing hooks. A configuration that can't be read decides nothing. */
export async function keepsHooksAllowed(configPath: string): Promise<boolean> {
  try {
    return (await loadConfig(configPath)).config.allow_hooks;
  } catch {
    return true;
  }
}

/** Where things are below the data directory. */
export function dataPaths(dataDir: string) {
  return {
    secrets: join(dataDir, "secrets.enc"),
    /** With which this machine announces itself, always as the same one. */
    announceKey: join(dataDir, "announce.key"),
    outbox: join(dataDir, "outbox"),
    jobs: join(dataDir, "jobs"),
    /** What the scheduler has dealt with. */
    scheduleState: join(dataDir, "schedules.json"),
    /** What the server last told; for `status`. */
    linkState: join(dataDir, "link.json"),
    /** Files of the repository's access that restic can't take otherwise. */
    access: join(dataDir, "access"),
    /** restic's own cache. */
    cache: join(dataDir, "cache"),
    /** Indexes of snapshots that somebody looked into: names of files, no content. */
    trees: join(dataDir, "trees"),
    /** Short-lived files of commands that answer soon. */
    work: join(dataDir, "work"),
    /** Files of releases, until they are in their place. */
    downloads: join(dataDir, "update"),
    /** What restore drills bring back, until it was compared. */
    drills: join(dataDir, "drills"),
  };
}
