/**
 * The exchange of a one-time token for a bearer, which makes this machine a host of a server. Writes nothing:
 * start.ts does, after everything that can fail on this machine was tried without spending the token.
 */
import { dirname } from "node:path";
import {
  apiError,
  type EnrolRequest,
  type EnrolResponse,
  enrolRequest,
  enrolResponse,
} from "@restic-manager/protocol";
import { productVersion } from "@restic-manager/protocol/version";
import { explainAnswer, explainClockSkew, explainError } from "./link/explain.ts";
import type { Clock } from "./platform/clock.ts";
import { AgentError } from "./platform/errors.ts";
import type { Machine } from "./platform/machine.ts";
import type { Random } from "./platform/random.ts";
import { redact } from "./platform/redact.ts";
import { findRestic } from "./restic/binary.ts";

export type EnrolOptions = {
  server: string;
  token: string;
  /** Default: the machine's name. */
  hostname: string | undefined;
  /** Private, and there already. */
  workDir: string;
  resticPath: string | undefined;
};

export type EnrolDeps = {
  clock: Clock;
  random: Random;
  machine: Machine;
  env: Readonly<Record<string, string | undefined>>;
  platform: NodeJS.Platform;
  executablePath: string;
  /** Sends the request: the network's own outside of tests. */
  fetch: typeof fetch;
};

export type Enrolment = EnrolResponse & {
  /** Normalised: without user, query and trailing slash. */
  server: string;
  warnings: string[];
};

const ENROL_TIMEOUT_MS = 30_000;
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

/** Exchanges the token. Throws AgentError with one sentence for everything that can go wrong. */
export async function enrol(deps: EnrolDeps, options: EnrolOptions): Promise<Enrolment> {
  const server = parseServer(options.server);
  const { request, warnings } = await buildRequest(deps, options);
  const { answer, date } = await exchange(deps, server, request);
  const skew = explainClockSkew(date, deps.clock.nowMs());
  if (skew !== undefined) warnings.push(skew);
  const plain = server.protocol === "http:" && !LOOPBACK.test(server.hostname);
  const unencrypted = "The connection to the server is not encrypted: give it an https address.";
  return {
    ...answer,
    server: server.href.replace(/\/$/, ""),
    warnings: plain ? [unencrypted, ...warnings] : warnings,
  };
}

/** The server's address without user, query and fragment. Throws AgentError `enrol.invalid_server`. */
export function parseServer(server: string): URL {
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

async function buildRequest(
  deps: EnrolDeps,
  options: EnrolOptions,
): Promise<{ request: EnrolRequest; warnings: string[] }> {
  const { machine, clock, random, env, platform } = deps;
  const { workDir } = options;
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
    ...{ os: machine.os, arch: machine.arch, agent_version: productVersion },
    restic_version: "version" in restic ? restic.version : null,
  });
  const field = parsed.error?.issues[0]?.path.join(".") ?? "";
  if (!parsed.success)
    throw new AgentError("enrol.invalid_input", `The ${field} is not valid; see --hostname and --token.`);
  return { request: parsed.data, warnings: restic.kind === "ok" ? [] : [restic.message] };
}

async function exchange(deps: EnrolDeps, server: URL, request: EnrolRequest) {
  const url = new URL(`${server.pathname.replace(/\/+$/, "")}/api/agents/enroll`, server);
  let response: Response;
  let text: string;
  try {
    response = await deps.fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json", accept: "application/json" },
      body: JSON.stringify(request),
      redirect: "manual",
      signal: AbortSignal.timeout(ENROL_TIMEOUT_MS),
    });
    text = await response.text();
  } catch (cause) {
    throw explainError(cause, { target: url, proxy: undefined });
  }
  const body = parseJson(text);
  const answer = enrolResponse.safeParse(body);
  if (response.ok && answer.success) return { answer: answer.data, date: response.headers.get("date") };
  const refusal = apiError.safeParse(body);
  if (refusal.success) {
    const message = redact(refusal.data.message, [request.token]);
    throw new AgentError(refusal.data.code, `The server refused: ${message}`);
  }
  throw explainAnswer(answerOf(response, text), { target: url, proxy: undefined });
}

function answerOf(response: Response, body: string) {
  const { status, headers } = response;
  return { status, location: headers.get("location"), contentType: headers.get("content-type"), body };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
