/** Lanes across hosts: what needs a repository alone never overlaps anything else on it. */
import {
  ackOf,
  enrolTestAgent,
  finishedOf,
  startedOf,
  startTestServer,
  type TestAgent,
  type TestServer,
} from "@restic-manager/testkit";
import { parse } from "node-html-parser";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { getJob } from "./jobs.ts";

let server: TestServer;
let first: TestAgent;
let second: TestAgent;
const sequences = new Map<TestAgent, number>();

beforeEach(async () => {
  server = await startTestServer();
  // Both share one repository, as testkit's agents do by default.
  first = await arrive("host-a");
  second = await arrive("host-b");
});
afterEach(() => server.stop());

/** Connects and finishes the init that the first connection brings. */
async function arrive(name: string): Promise<TestAgent> {
  const agent = await enrolTestAgent(server, { name });
  await agent.connect();
  await finish(agent, await begin(agent));
  return agent;
}

async function begin(agent: TestAgent) {
  const run = await agent.nextMessage("command.run");
  const seq = (sequences.get(agent) ?? 0) + 1;
  sequences.set(agent, seq);
  agent.send(ackOf(run));
  agent.send(startedOf(run, seq));
  await agent.acknowledged(seq);
  return run;
}

async function finish(agent: TestAgent, run: { job_id: string; attempt: number }): Promise<void> {
  const seq = (sequences.get(agent) ?? 0) + 1;
  sequences.set(agent, seq);
  agent.send(finishedOf(run, seq));
  await agent.acknowledged(seq);
}

async function ask(agent: TestAgent, kind: "backup" | "check"): Promise<string> {
  const { body } = await server.admin.post(`/api/hosts/${agent.hostId}/jobs`, { kind });
  return (body as { job_id: string }).job_id;
}

const statusOf = async (jobId: string) => (await getJob(server.db, jobId)).status;
const reaches = (jobId: string, status: string) =>
  server.until(`${jobId} is ${status}`, async () => (await statusOf(jobId)) === status);

/** The sentence on the job's page that says what it waits for. */
async function waitSentence(jobId: string): Promise<string> {
  const { text } = await server.admin.get(`/jobs/${jobId}`);
  return parse(text).querySelector("#job-progress .progress-line")?.text ?? "";
}

describe("on a repository that two hosts share", () => {
  it("two backups run at the same time", async () => {
    await ask(first, "backup");
    await ask(second, "backup");
    expect((await begin(first)).spec.kind).toBe("backup");
    expect((await begin(second)).spec.kind).toBe("backup");
  });

  it("a check waits for the other host's backup, says so, and starts when that ends", async () => {
    await ask(first, "backup");
    const backup = await begin(first);
    const check = await ask(second, "check");
    await reaches(check, "queued");
    expect(await waitSentence(check)).toContain("the backup of default on host-a");
    await finish(first, backup);
    expect((await begin(second)).job_id).toBe(check);
  });

  it("a backup waits for the other host's check", async () => {
    await ask(second, "check");
    const check = await begin(second);
    const backup = await ask(first, "backup");
    expect(await waitSentence(backup)).toContain("the check on host-b");
    await finish(second, check);
    expect((await begin(first)).job_id).toBe(backup);
  });

  it("a check that waits is not overtaken by later backups for ever", async () => {
    await ask(first, "backup");
    const backup = await begin(first);
    const check = await ask(second, "check");
    await finish(first, backup);
    const run = await begin(second);
    const later = await ask(first, "backup");
    expect(run.job_id).toBe(check);
    expect(await statusOf(later)).toBe("queued");
    await finish(second, run);
    expect((await begin(first)).job_id).toBe(later);
  });

  it("a check of a host that is away blocks nobody", async () => {
    await ask(first, "backup");
    const backup = await begin(first);
    const check = await ask(second, "check");
    await reaches(check, "queued");
    await second.drop();
    await server.until("the server has noticed", () =>
      server.log.some((line) => line.msg === "agent disconnected"),
    );
    await finish(first, backup);
    const later = await ask(first, "backup");
    expect((await begin(first)).job_id).toBe(later);
  });
});

describe("a queued job on one host", () => {
  it("waits for the one before it and says which", async () => {
    await ask(first, "backup");
    await begin(first);
    const check = await ask(first, "check");
    expect(await waitSentence(check)).toContain("the backup of default before it on this host");
  });
});
