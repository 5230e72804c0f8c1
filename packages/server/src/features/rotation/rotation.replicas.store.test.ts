/** A rotation over two replicas: one host's agent at each, and the steps made by whichever of the two leads. */
import type { JobFinished, ServerMessage } from "@restic-manager/protocol";
import {
  ackOf,
  enrolTestAgent,
  finishedOf,
  startedOf,
  startTestServer,
  type TestAgent,
  type TestServer,
} from "@restic-manager/testkit";
import { afterEach, beforeEach, expect, it } from "vitest";

type Command = Extract<ServerMessage, { type: "command.run" }>;

const [oldKey, newKey] = ["a".repeat(64), "b".repeat(64)];
let a: TestServer;
let b: TestServer;
let first: TestAgent;
let second: TestAgent;
/** What opens the repository, by password. */
let keys: Map<string, string>;
const sequences = new Map<TestAgent, number>();

beforeEach(async () => {
  a = await startTestServer({ engine: "postgres" });
  b = await startTestServer({ beside: a });
  keys = new Map([["repository password", oldKey]]);
  first = await arrive(a, "db-01");
  second = await arrive(b, "db-02");
});
afterEach(async () => {
  await b.stop();
  await a.stop();
});

async function arrive(server: TestServer, name: string): Promise<TestAgent> {
  await server.clock.advance(1000);
  const agent = await enrolTestAgent(server, { name });
  await agent.connect();
  await finish(agent, await agent.nextMessage("command.run"), {});
  return agent;
}

async function finish(agent: TestAgent, command: Command, more: Partial<JobFinished>): Promise<void> {
  const seq = (sequences.get(agent) ?? 0) + 2;
  sequences.set(agent, seq);
  agent.send(ackOf(command));
  agent.send(startedOf(command, seq - 1));
  agent.send(finishedOf(command, seq, more));
  await agent.acknowledged(seq);
}

/** Does the next step of an agent, as a real one would, with the password that it has at that moment. @returns its name */
async function step(agent: TestAgent): Promise<string> {
  const command = await agent.nextMessage("command.run");
  const { spec, access, new_password: next } = command;
  if (spec.kind !== "key") throw new Error(`no step: ${spec.kind}`);
  const before = agent.received.slice(0, agent.received.indexOf(command));
  const configured = before.findLast((message) => message.type === "config.update")?.repository?.password;
  if (spec.step === "add" && next) keys.set(next, newKey);
  const listed = [...keys.values()].map((id) => ({
    ...{ id, username: "root", hostname: "db-01", created_at: null },
  }));
  const current_key_id = keys.get(access?.password ?? configured ?? "") ?? null;
  const new_key_id = next ? (keys.get(next) ?? null) : null;
  await finish(agent, command, { result: { kind: "key", current_key_id, new_key_id, keys: listed } });
  return spec.step;
}

it.each(["a", "b"])("goes through when somebody at %s starts it", async (where) => {
  const server = where === "a" ? a : b;
  const url = `/api/hosts/${first.hostId}/repo-rotation`;
  expect((await server.admin.post(url, {})).status).toBe(201);
  const steps = [await step(first), await step(first), await step(first)];
  expect([...steps, await step(second), await step(second)]).toEqual([
    ...["add", "adopt", "verify", "adopt", "verify"],
  ]);
  // Verified with the new key, so each agent had its new configuration before the step.
  await a.until("all are switched", async () => (await b.admin.get(url)).body.state === "ready");
});
