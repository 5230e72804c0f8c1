/**
 * The exchange of a one-time token for a bearer, which makes this machine a host of a server. Writes nothing:
 * start.ts does, after everything that can fail on this machine was tried without spending the token.
 */
import { dirname } from "node:path";
import { type EnrolRequest, type EnrolResponse, enrolRequest, enrolResponse } from "@restic-manager/protocol";
import { productVersion } from "@restic-manager/protocol/version";
import { explainClockSkew } from "./link/explain.ts";
import { callServer, explainUnencrypted, parseServer, writtenServer } from "./link/server-call.ts";
import type { Clock } from "./platform/clock.ts";
import { AgentError } from "./platform/errors.ts";
import type { Machine } from "./platform/machine.ts";
import type { Random } from "./platform/random.ts";
import { type BinaryOutcome, findRestic } from "./restic/binary.ts";

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

/** Exchanges the token. Throws AgentError with one sentence for everything that can go wrong. */
export async function enrol(deps: EnrolDeps, options: EnrolOptions): Promise<Enrolment> {
  const server = parseServer(options.server);
  const { request, warnings } = await buildRequest(deps, options);
  const { answer, date } = await callServer({
    ...{ fetch: deps.fetch, server, path: "/api/agents/enroll", body: request, answer: enrolResponse },
    secrets: [request.token],
  });
  return {
    ...answer,
    server: writtenServer(server),
    warnings: [...warningsAbout(server, date, deps.clock), ...warnings],
  };
}

/** What a person should know of the way to the server. @param date the server's clock */
export function warningsAbout(server: URL, date: string | null, clock: Clock): string[] {
  const found = [explainUnencrypted(server), explainClockSkew(date, clock.nowMs())];
  return found.filter((sentence) => sentence !== undefined);
}

async function buildRequest(
  deps: EnrolDeps,
  options: EnrolOptions,
): Promise<{ request: EnrolRequest; warnings: string[] }> {
  const { machine } = deps;
  const restic = await findResticHere(deps, options);
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

/** The restic that this machine would use. */
export function findResticHere(
  deps: Omit<EnrolDeps, "fetch">,
  options: Pick<EnrolOptions, "workDir" | "resticPath">,
): Promise<BinaryOutcome> {
  const { clock, random, env, platform, executablePath } = deps;
  return findRestic(
    { clock, random, workDir: options.workDir },
    {
      ...(options.resticPath === undefined ? {} : { explicitPath: options.resticPath }),
      ...{
        searchPath: env.PATH ?? "",
        executableDir: dirname(executablePath),
        inherited: env,
        platform,
      },
    },
  );
}
