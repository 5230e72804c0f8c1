/**
 * `restic-manager-agent doctor`: looks at everything between this machine's restic and the server and says what to
 * do. Changes nothing, needs no enrolment. Invariants: no line has a secret; the bearer goes to no other server than
 * that of agent.yaml; bounded in time.
 */
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { parseServer } from "../link/server-call.ts";
import type { Clock } from "../platform/clock.ts";
import { AgentError } from "../platform/errors.ts";
import { removeTree } from "../platform/files.ts";
import type { Random } from "../platform/random.ts";
import { createRedactor } from "../platform/redact.ts";
import { type Finding, failed, failedBy, ok, warning } from "./finding.ts";
import { lookAtMachine } from "./machine-looks.ts";
import { lookAtServer } from "./server-looks.ts";

/** What agent.yaml says, as far as it matters here. */
export type Configured = {
  server: string;
  host_id: string;
  bearer: string;
  cert_pin: string | null;
  ca_file: string | null;
  secrets_key: string;
  data_dir: string;
  restic_path: string | null;
};

export type DoctorDeps = {
  clock: Clock;
  random: Random;
  env: Readonly<Record<string, string | undefined>>;
  platform: NodeJS.Platform;
  executablePath: string;
  uid: number | undefined;
  /** Reads agent.yaml. Rejects with AgentError, `config.missing` when there is none. */
  loadConfig: (path: string) => Promise<{ config: Configured; warnings: string[] }>;
};

export type DoctorOptions = {
  configPath: string;
  /** Where data is when neither agent.yaml nor `dataDir` says so. */
  defaultDataDir: string;
  /** Each undefined = as agent.yaml says. */
  server: string | undefined;
  caFile: string | undefined;
  dataDir: string | undefined;
};

export type Diagnosis = {
  /** Nothing failed; there may be warnings. */
  healthy: boolean;
  findings: Finding[];
};

/** Never rejects: what is wrong is a finding. */
export async function examine(deps: DoctorDeps, options: DoctorOptions): Promise<Diagnosis> {
  const { config, lines } = await readConfiguration(deps, options.configPath);
  const workDir = await mkdtemp(join(tmpdir(), "restic-manager-doctor-"));
  try {
    const [server, machine] = await Promise.all([
      examineServer(deps, options, config),
      lookAtMachine({ ...deps, ...placesOf(deps, options, config), workDir }),
    ]);
    const findings = [...lines, ...server, ...machine].map(redactorFor(config));
    return { healthy: findings.every(({ status }) => status !== "failed"), findings };
  } finally {
    await removeTree(workDir);
  }
}

type Configuration = { config: Configured | undefined; lines: Finding[] };

async function readConfiguration(deps: DoctorDeps, path: string): Promise<Configuration> {
  const name = "configuration";
  try {
    const { config, warnings } = await deps.loadConfig(path);
    const lines = warnings.map((text) => warning(name, text));
    return { config, lines: lines.length > 0 ? lines : [ok(name, `${path}: host ${config.host_id}.`)] };
  } catch (error) {
    const isMissing = error instanceof AgentError && error.code === "config.missing";
    const line = isMissing ? warning(name, `There is none at ${path} yet.`) : failedBy(name, error);
    return { config: undefined, lines: [line] };
  }
}

async function examineServer(
  deps: DoctorDeps,
  options: DoctorOptions,
  config: Configured | undefined,
): Promise<Finding[]> {
  const given = options.server ?? config?.server;
  if (given === undefined)
    return [failed("url", "Which server? Give its address: doctor --server https://backup.example.org")];
  let server: URL;
  try {
    server = parseServer(given);
  } catch (error) {
    return [failedBy("url", error)];
  }
  const own = config !== undefined && sameServer(config.server, server) ? config : undefined;
  const pathLine =
    server.pathname === "/"
      ? ok(
          "url",
          `${server.origin}${config === undefined || own !== undefined ? "" : ", not the server of agent.yaml"}.`,
        )
      : failed(
          "url",
          `${server.origin}${server.pathname}: restic-manager needs a host name of its own; a path in its address is not supported.`,
        );
  const caFile = options.caFile ?? config?.ca_file ?? null;
  const network = { env: deps.env, caFile, certPin: own?.cert_pin ?? null };
  return [pathLine, ...(await lookAtServer({ clock: deps.clock, server, network, bearer: own?.bearer }))];
}

function sameServer(configured: string, server: URL): boolean {
  return URL.parse(configured)?.origin === server.origin;
}

function placesOf(deps: DoctorDeps, options: DoctorOptions, config: Configured | undefined) {
  const explicitPath = config?.restic_path ?? deps.env.RM_RESTIC ?? "";
  return {
    configPath: options.configPath,
    dataDir: options.dataDir ?? config?.data_dir ?? options.defaultDataDir,
    restic: {
      ...(explicitPath === "" ? {} : { explicitPath }),
      ...{ searchPath: deps.env.PATH ?? "", executableDir: dirname(deps.executablePath) },
      ...{ inherited: deps.env, platform: deps.platform },
    },
  };
}

/** The last net: no line is made of secrets, and none gets past here. */
function redactorFor(config: Configured | undefined): (finding: Finding) => Finding {
  const redact = createRedactor(config === undefined ? [] : [config.bearer, config.secrets_key]);
  return (finding) => ({ ...finding, message: redact(finding.message) });
}

const WORD_WIDTH = 15;

/** For people: one line each, what is wrong before its reason, and the sum. */
export function printed({ findings }: Diagnosis): string {
  const lines = findings.map(
    ({ status, name, message }) =>
      `${status.padEnd(9)}${name.replace("_", " ").padEnd(WORD_WIDTH)}${message}`,
  );
  const count = (status: Finding["status"]) => findings.filter((finding) => finding.status === status).length;
  const sum = `${count("ok")} ok, ${count("warning")} warnings, ${count("failed")} failed`;
  return [...lines, "", sum].join("\n");
}

/** For programs. */
export function printedJson({ healthy, findings }: Diagnosis): string {
  return JSON.stringify({ healthy, findings }, null, 2);
}
