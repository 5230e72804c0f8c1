/**
 * Every setting of the server, declared once: name, schema, default, whether it is secret, one sentence.
 * The reference page is generated from this list. A YAML file is optional; the environment wins.
 */
import { isIP } from "node:net";
import { isAbsolute, join, resolve } from "node:path";
import { parse as parseYaml, YAMLParseError } from "yaml";
import { z } from "zod";
import { AppError } from "./platform/errors.ts";

export interface Setting {
  /** The environment variable; in YAML the same without `RM_`, in lower case. */
  name: string;
  /** What the value is, in a word or two, for the reference. */
  type: string;
  default: string;
  secret: boolean;
  sentence: string;
}

const listen = z
  .string()
  .regex(/^(\[[0-9a-f:]+\]|[^:\s]+):\d{1,5}$/i, "must be ADDRESS:PORT, such as 127.0.0.1:8080")
  .refine((value) => Number(value.slice(value.lastIndexOf(":") + 1)) <= 65_535, "has a port above 65535");
const flag = z.enum(["true", "false"], "must be true or false").transform((value) => value === "true");
const cidrList = z
  .string()
  .transform((value) =>
    value
      .split(",")
      .map((part) => part.trim())
      .filter(Boolean),
  )
  .refine((parts) => parts.every(isCidr), {
    message:
      "must be a comma-separated list of addresses and CIDRs, such as 127.0.0.1,::1 or 10.0.0.0/8,fd00::/8",
  });
const logLevel = z.enum(
  ["fatal", "error", "warn", "info", "debug", "trace", "silent"],
  "must be a pino level",
);

const declared = [
  {
    name: "RM_LISTEN",
    schema: listen,
    type: "address:port",
    default: "127.0.0.1:8080",
    secret: false,
    sentence: "Where the server listens. Plain HTTP: put your reverse proxy with TLS in front.",
  },
  {
    name: "RM_DATA_DIR",
    schema: z.string().min(1),
    type: "folder",
    default: "./data",
    secret: false,
    sentence: "Holds the SQLite file, the key file and, in `release`, files for hosts of your own.",
  },
  {
    name: "RM_DATABASE_URL",
    schema: z.string().regex(/^$|^postgres(ql)?:\/\//, "must begin with postgres://"),
    type: "URL",
    default: "",
    secret: true,
    sentence: "A postgres:// URL selects PostgreSQL; otherwise SQLite in the data folder is used.",
  },
  {
    name: "RM_DATABASE_POOL",
    schema: z.coerce
      .number("must be a number of connections")
      .int("must be whole connections")
      .min(2, "must be at least 2")
      .max(100, "must be at most 100"),
    type: "connections",
    default: "10",
    secret: false,
    sentence:
      "How many connections to PostgreSQL the server keeps at most, 2 to 100; one more carries events between replicas.",
  },
  {
    name: "RM_REPLICA_URL",
    schema: z
      .string()
      .regex(
        /^$|^https?:\/\/[^\s/]+$/,
        "must be scheme and host without a path, such as http://10.0.0.2:8080",
      ),
    type: "URL",
    default: "",
    secret: false,
    sentence:
      "Where other replicas on the same PostgreSQL reach this one; when unset, http:// and the address of RM_LISTEN, or this machine's first address where that is 0.0.0.0 or ::.",
  },
  {
    name: "RM_BASE_URL",
    schema: z
      .string()
      .regex(
        /^$|^https?:\/\/[^\s/]+$/,
        "must be scheme and host without a path, such as https://backup.example.org",
      ),
    type: "URL",
    default: "",
    secret: false,
    sentence:
      "The public URL, used in links and to check a browser's origin; derived from the request when unset.",
  },
  {
    name: "RM_TRUSTED_PROXY",
    schema: cidrList,
    type: "CIDR list",
    default: "",
    secret: false,
    sentence:
      "Addresses of the reverse proxies whose X-Forwarded-For, -Proto and -Host are believed, such as 127.0.0.1; nobody else's are. See docs/reverse-proxy.md.",
  },
  {
    name: "RM_COOKIE_SECURE",
    schema: flag,
    type: "true or false",
    default: "true",
    secret: false,
    sentence: "Whether cookies carry the Secure flag; false only to try the server over plain HTTP.",
  },
  {
    name: "RM_SECRET_KEY_FILE",
    schema: z.string(),
    type: "file",
    default: "",
    secret: false,
    sentence:
      "The key that seals stored secrets, created 0600 at the first start; secret.key in the data folder when unset.",
  },
  {
    name: "RM_JOB_LOG_DAYS",
    schema: z.coerce
      .number("must be a number of days")
      .int("must be whole days")
      .min(0, "must not be negative"),
    type: "days",
    default: "90",
    secret: false,
    sentence:
      "How long the log lines of a finished job are kept; 0 keeps them for ever. The job itself stays.",
  },
  {
    name: "RM_DOWNLOADS",
    schema: flag,
    type: "true or false",
    default: "true",
    secret: false,
    sentence:
      "Whether operators may download files out of snapshots in the browser; their bytes then pass through the server.",
  },
  {
    name: "RM_LOG_LEVEL",
    schema: logLevel,
    type: "pino level",
    default: "info",
    secret: false,
    sentence: "How much is logged: fatal, error, warn, info, debug, trace or silent.",
  },
] as const satisfies (Setting & { schema: z.ZodType })[];

/** An address, or one with the length of its prefix. */
function isCidr(part: string): boolean {
  const [address = "", prefix, ...more] = part.split("/");
  const family = isIP(address);
  if (family === 0 || more.length > 0) return false;
  return prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= (family === 4 ? 32 : 128));
}

/** The list for the reference page. */
export const settings: Setting[] = declared.map(({ schema: _schema, ...setting }) => setting);

export interface Config {
  listenHost: string;
  listenPort: number;
  dataDir: string;
  databaseUrl: string | undefined;
  /** Connections to PostgreSQL at most. */
  databasePool: number;
  /** Where other replicas reach this one; undefined = where it listens. */
  replicaUrl: string | undefined;
  baseUrl: string | undefined;
  trustedProxies: string[];
  cookieSecure: boolean;
  secretKeyFile: string;
  /** Days; 0 keeps job logs for ever. */
  jobLogDays: number;
  /** Operators may download files out of snapshots. */
  downloads: boolean;
  logLevel: string;
}

type Name = (typeof declared)[number]["name"];
type Value<N extends Name> = z.output<Extract<(typeof declared)[number], { name: N }>["schema"]>;

/** The parser's own message would quote the file, which may hold a password; its place is enough to find the mistake. */
function parseText(text: string): unknown {
  try {
    return parseYaml(text, { logLevel: "error" });
  } catch (cause) {
    const line = cause instanceof YAMLParseError ? cause.linePos?.[0].line : undefined;
    const where = line === undefined ? "" : ` in line ${line}`;
    throw new AppError(
      "invalid",
      "config.invalid",
      `The configuration file is not YAML: look for the mistake${where}.`,
    );
  }
}

/** Reads the optional YAML file's text into the environment's spelling. */
function parseFile(text: string): Record<string, string> {
  const parsed = z
    .record(z.string(), z.union([z.string(), z.number(), z.boolean()]))
    .safeParse(parseText(text) ?? {});
  if (!parsed.success) {
    throw new AppError(
      "invalid",
      "config.invalid",
      "The configuration file must hold one plain value for each setting.",
    );
  }
  const values: Record<string, string> = {};
  for (const [key, value] of Object.entries(parsed.data)) {
    const name = `RM_${key.toUpperCase()}`;
    if (!declared.some((setting) => setting.name === name)) {
      throw new AppError(
        "invalid",
        "config.unknown",
        `The configuration file has an unknown setting "${key}".`,
      );
    }
    values[name] = String(value);
  }
  return values;
}

/**
 * @param environment the process's environment
 * @param fileText the text of the YAML file, if one was named
 * @throws AppError `config.invalid` or `config.unknown`; never repeats the value of a secret setting
 */
export function parseConfig(environment: Record<string, string | undefined>, fileText?: string): Config {
  const given = { ...(fileText === undefined ? {} : parseFile(fileText)), ...environment };
  const read = <N extends Name>(name: N): Value<N> => {
    const setting = declared.find((candidate) => candidate.name === name);
    const raw = given[name] ?? setting?.default ?? "";
    const parsed = (setting?.schema ?? z.never()).safeParse(raw);
    if (!parsed.success) {
      const why = parsed.error.issues[0]?.message ?? "is not valid";
      throw new AppError(
        "invalid",
        "config.invalid",
        `${name} ${setting?.secret ? "" : `is "${raw}", but `}${why}.`,
      );
    }
    return parsed.data as Value<N>;
  };
  const listenOn = read("RM_LISTEN");
  const dataDir = resolve(read("RM_DATA_DIR"));
  const keyFile = read("RM_SECRET_KEY_FILE");
  const lastColon = listenOn.lastIndexOf(":");
  return {
    listenHost: listenOn.slice(0, lastColon).replace(/^\[|\]$/g, ""),
    listenPort: Number(listenOn.slice(lastColon + 1)),
    dataDir,
    databaseUrl: read("RM_DATABASE_URL") || undefined,
    databasePool: read("RM_DATABASE_POOL"),
    replicaUrl: read("RM_REPLICA_URL") || undefined,
    baseUrl: read("RM_BASE_URL") || undefined,
    trustedProxies: read("RM_TRUSTED_PROXY"),
    cookieSecure: read("RM_COOKIE_SECURE"),
    secretKeyFile: keyFile ? (isAbsolute(keyFile) ? keyFile : resolve(keyFile)) : join(dataDir, "secret.key"),
    jobLogDays: read("RM_JOB_LOG_DAYS"),
    downloads: read("RM_DOWNLOADS"),
    logLevel: read("RM_LOG_LEVEL"),
  };
}
