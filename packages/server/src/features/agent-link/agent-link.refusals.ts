/**
 * The words with which a connection is refused or sent away, what a hello says of its host, and what makes two
 * machines different. No state.
 */
import type { WebSocket } from "@fastify/websocket";
import { encodeMessage, type Hello, protocolRange } from "@restic-manager/protocol";
import { productVersion } from "@restic-manager/protocol/version";
import { fromInstant } from "../../platform/clock.ts";
import { AppError } from "../../platform/errors.ts";
import type { HelloFacts, HostIdentity } from "../hosts/hosts.ts";
import type { Machine } from "./agent-link.session.ts";

export const stoppingGoodbye = {
  type: "goodbye",
  code: "link.server_stopping",
  message: "The server stops.",
  retry: true,
} as const;

export const unhealthyGoodbye = {
  type: "goodbye",
  code: "link.database_away",
  message: "The server's database does not answer. Another server may reach it: dial again.",
  retry: true,
} as const;

export const replacedGoodbye = {
  type: "goodbye",
  code: "link.replaced",
  message: "Another connection with this host's credentials took over.",
  retry: true,
} as const;

/** For an agent that dials while it can't be served. */
export function goAway(socket: WebSocket, why: typeof stoppingGoodbye | typeof unhealthyGoodbye): void {
  socket.send(encodeMessage(why));
  socket.close(1001, "not served now");
}

export const machineOf = (hello: Hello): Machine => ({
  machineId: hello.machine_id ?? null,
  bootId: hello.boot_id ?? null,
});

/** What a hello says about its host. @param now when it came, epoch milliseconds */
export const factsOf = (hello: Hello, now: number): HelloFacts => ({
  agentVersion: hello.agent_version,
  resticVersion: hello.restic_version,
  resticProblem: hello.restic_problem ?? null,
  os: hello.os,
  arch: hello.arch,
  ...machineOf(hello),
  clockSkewMs: fromInstant(hello.sent_at) - now,
  appliedScheduleVersion: hello.schedule_version ?? null,
  hooksAllowed: hello.hooks_allowed ?? null,
  backendKinds: hello.backend_kinds ?? null,
  jobKinds: hello.job_kinds ?? null,
  at: now,
});

/** A machine that could tell its ids still can: who does not is another one. */
export const differ = (a: Machine, b: Machine): boolean =>
  a.machineId !== b.machineId || a.bootId !== b.bootId;

export const explainTwin = (host: HostIdentity): string =>
  `Another machine is connected as ${host.name}, so one is a copy of the other. On the copy, delete the agent's state and enrol it as a host of its own.`;

/** The refusal to try a repository, of agents that don't know how. */
export const tooOldToTest = (): AppError =>
  new AppError(
    "conflict",
    "agent.too_old",
    "This host's agent is too old to test a connection. Update the agent; until then a check shows whether the repository opens.",
  );

/** Says why and closes; the agent does not dial again as it is. */
export function refuse(socket: WebSocket, code: string, message: string): void {
  socket.send(encodeMessage({ type: "reject", code, message }));
  socket.close(4400, code);
}

export function explainVersion(code: string, hello: Hello): string {
  const ours = `this server ${productVersion} speaks protocol ${protocolRange.min} to ${protocolRange.max}`;
  const theirs = `agent ${hello.agent_version} speaks ${hello.protocol.min} to ${hello.protocol.max}`;
  return code === "link.protocol_too_old"
    ? `The agent is too old: ${theirs}, ${ours}. Update the agent.`
    : `The agent is too new: ${theirs}, ${ours}. Update the server.`;
}
