/**
 * Makes this machine a host of a server: exchanges a one-time token for a bearer and writes agent.yaml.
 * Invariant: everything that can fail on this machine is tried before the token is spent.
 */
import { randomBytes } from "node:crypto";
import { access, constants } from "node:fs/promises";
import { dirname } from "node:path";
import {
  apiError,
  type EnrolRequest,
  type EnrolResponse,
  enrolRequest,
  enrolResponse,
} from "@restic-manager/protocol";
import { type AgentConfig, dataPaths, loadConfig, saveConfig } from "./config.ts";
import type { Clock } from "./platform/clock.ts";
import { AgentError, reasonOf } from "./platform/errors.ts";
import { ensurePrivateDir, fileSizeBytes } from "./platform/files.ts";
import type { Machine } from "./platform/machine.ts";
import type { Random } from "./platform/random.ts";
import { redact } from "./platform/redact.ts";
import { SECRETS_KEY_BYTES } from "./platform/secrets.ts";
import { findRestic } from "./restic/binary.ts";
import { agentVersion } from "./version.ts";

export type EnrolOptions = {
  server: string;
  token: string;
  /** Default: the machine's name. */
  hostname: string | undefined;
  configPath: string;
  dataDir: string;
  resticPath: string | undefined;
  /** Replaces an enrolment that is there. */
  force: boolean;
};

export type EnrolDeps = {
  clock: Clock;
  random: Random;
  machine: Machine;
  env: Readonly<Record<string, string | undefined>>;
  platform: NodeJS.Platform;
  executablePath: string;
  /** Sends the request; Node's own fetch outside of tests. */
  fetch: typeof fetch;
};

export type Enrolled = { hostId: string; hostname: string; configPath: string; warnings: string[] };

const ENROL_TIMEOUT_MS = 30_000;
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

/** Enrols and saves the configuration. Throws AgentError with one sentence for everything that can go wrong. */
export async function enrol(deps: EnrolDeps, options: EnrolOptions): Promise<Enrolled> {
  const server = parseServer(options.server);
  const secretsKey = await prepareFiles(options);
  const { request, warnings } = await buildRequest(deps, options);
  const answer = await exchange(deps, server, request);
  const config: AgentConfig = {
    server: server.href.replace(/\/$/, ""),
    host_id: answer.host_id,
    bearer: answer.bearer,
    cert_pin: answer.cert_pin,
    secrets_key: secretsKey,
    data_dir: options.dataDir,
    restic_path: options.resticPath ?? null,
    log_level: "info",
  };
  await saveConfig(options.configPath, config);
  const plain = server.protocol === "http:" && !LOOPBACK.test(server.hostname);
  const unencrypted = "The connection to the server is not encrypted: give it an https address.";
  return {
    hostId: answer.host_id,
    hostname: request.hostname,
    configPath: options.configPath,
    warnings: plain ? [unencrypted, ...warnings] : warnings,
  };
}

function parseServer(server: string): URL {
  const url = URL.parse(server);
  if (url === null || !/^https?:$/.test(url.protocol))
    throw new AgentError(
      "enrol.invalid_server",
      "The server's address must begin with https:// (or http:// for a server on this machine).",
    );
  if (url.username !== "" || url.password !== "")
    throw new AgentError("enrol.invalid_server", "The server's address must not contain a user or password.");
  return new URL(url.pathname, url.origin);
}

/** Returns the key for the secrets file: the old one where that file exists, or it could never be read again. */
async function prepareFiles(options: EnrolOptions): Promise<string> {
  const { configPath, dataDir, force } = options;
  if ((await fileSizeBytes(configPath)) > 0 && !force)
    throw new AgentError(
      "enrol.already_enrolled",
      `This host is enrolled already (${configPath}). Add --force to replace that enrolment.`,
    );
  for (const dir of [dirname(configPath), dataDir]) {
    try {
      await ensurePrivateDir(dir);
      await access(dir, constants.W_OK);
    } catch (cause) {
      throw new AgentError("enrol.not_writable", `${dir} can't be written: run this as root.`, { cause });
    }
  }
  if ((await fileSizeBytes(dataPaths(dataDir).secrets)) === 0)
    return randomBytes(SECRETS_KEY_BYTES).toString("base64");
  return (await loadConfig(configPath)).config.secrets_key;
}

async function buildRequest(
  deps: EnrolDeps,
  options: EnrolOptions,
): Promise<{ request: EnrolRequest; warnings: string[] }> {
  const { machine, clock, random, env, platform } = deps;
  const workDir = dataPaths(options.dataDir).work;
  await ensurePrivateDir(workDir);
  const restic = await findRestic(
    { clock, random, workDir },
    {
      ...(options.resticPath === undefined ? {} : { explicitPath: options.resticPath }),
      ...{
        searchPath: env.PATH ?? "",
        executableDir: dirname(deps.executablePath),
        inherited: env,
        platform,
      },
    },
  );
  const parsed = enrolRequest.safeParse({
    token: options.token,
    hostname: options.hostname ?? machine.hostname,
    ...{ os: machine.os, arch: machine.arch, agent_version: agentVersion },
    restic_version: "version" in restic ? restic.version : null,
  });
  const field = parsed.error?.issues[0]?.path.join(".") ?? "";
  if (!parsed.success)
    throw new AgentError("enrol.invalid_input", `The ${field} is not valid; see --hostname and --token.`);
  return { request: parsed.data, warnings: restic.kind === "ok" ? [] : [restic.message] };
}

async function exchange(deps: EnrolDeps, server: URL, request: EnrolRequest): Promise<EnrolResponse> {
  const url = new URL(`${server.pathname.replace(/\/+$/, "")}/api/agents/enroll`, server);
  let response: Response;
  let body: unknown;
  try {
    response = await deps.fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json", accept: "application/json" },
      body: JSON.stringify(request),
      redirect: "error",
      signal: AbortSignal.timeout(ENROL_TIMEOUT_MS),
    });
    body = parseJson(await response.text());
  } catch (cause) {
    throw new AgentError(
      "enrol.unreachable",
      `${server.origin} can't be reached: ${connectionReason(cause)}.`,
      {
        cause,
      },
    );
  }
  const answer = enrolResponse.safeParse(body);
  if (response.ok && answer.success) return answer.data;
  const refusal = apiError.safeParse(body);
  if (refusal.success) {
    const message = redact(refusal.data.message, [request.token]);
    throw new AgentError(refusal.data.code, `The server refused: ${message}`);
  }
  throw new AgentError(
    "enrol.unexpected_answer",
    `${server.origin} answered HTTP ${response.status}, but not as a restic-manager server does. Check the address.`,
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** fetch hides the system's reason in the cause. */
function connectionReason(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  if (error instanceof Error && error.name === "TimeoutError") return "no answer in 30 seconds";
  return cause instanceof Error && cause.message !== "" ? cause.message : reasonOf(error);
}
