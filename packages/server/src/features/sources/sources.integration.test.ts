/** Source groups through the whole server: what reaches the agent, what never leaves, and folders over the link. */
import {
  ackOf,
  connectTestAgent,
  finishedOf,
  startedOf,
  startTestServer,
  type TestAgent,
  type TestServer,
} from "@restic-manager/testkit";
import { sql } from "kysely";
import { afterEach, beforeEach, expect, it } from "vitest";
import { getJob } from "../jobs/jobs.ts";
import type { WireGroup } from "./sources.wire.ts";

const hook = { script: "pg_dumpall # pw=in-a-hook", timeout_seconds: 30 };
let server: TestServer;
let agent: TestAgent;
let url: string;

beforeEach(async () => {
  server = await startTestServer();
  agent = await connectTestAgent(server);
  await agent.hello();
  url = `/api/hosts/${agent.hostId}`;
  const first = await agent.nextMessage("command.run");
  agent.send(ackOf(first));
  agent.send(startedOf(first, 1));
  agent.send(finishedOf(first, 2));
  await agent.acknowledged(2);
});
afterEach(() => server.stop());

async function addGroup(): Promise<WireGroup> {
  const body = { name: "db", includes: ["/srv"], min_size_bytes: 1, pre_hook: hook };
  return (await server.admin.post(`${url}/source-groups`, body)).body as unknown as WireGroup;
}
const run = async (group: WireGroup): Promise<string> => {
  const answer = await server.admin.post(`${url}/source-groups/${group.id}/run`, {});
  return String(answer.body.job_id);
};

it("sends a backup with its hooks and the host's caps, and keeps neither with the job nor in the log", async () => {
  const group = await addGroup();
  await server.admin.put(`${url}/bandwidth`, { upload_kib: 512, download_kib: null });
  await server.admin.put(`${url}/hooks`, { post_hook: { script: "true" } });
  const jobId = await run(group);
  const { spec } = await agent.nextMessage("command.run");
  expect(spec).toMatchObject({
    source_group: "db",
    min_size_bytes: 1,
    pre_hook: hook,
    post_hook: { script: "true", timeout_seconds: 600 },
    limits: { upload_kib: 512 },
  });
  const stored = JSON.stringify([
    await getJob(server.db, jobId),
    (await sql`SELECT * FROM jobs`.execute(server.db)).rows,
    (await sql`SELECT * FROM audit_entries`.execute(server.db)).rows,
    (await server.admin.get(`/api/jobs/${jobId}`)).body,
    server.log,
  ]);
  expect(stored).not.toContain("in-a-hook");
});

it("ends a backup whose hook can't be opened, and says why", async () => {
  const group = await addGroup();
  await sql`UPDATE hooks SET slot = 'post_hook'`.execute(server.db);
  const jobId = await run(group);
  await server.until("the job has failed", async () => (await getJob(server.db, jobId)).status === "failed");
  expect((await getJob(server.db, jobId)).error).toMatchObject({ code: "secrets.unreadable" });
  expect(agent.all("command.run")).toHaveLength(1);
});

it("asks the host's agent for a folder", async () => {
  const asked = server.admin.get(`${url}/files?path=/srv`);
  const question = await agent.nextMessage("fs.list");
  expect(question).toMatchObject({ path: "/srv", after: null });
  const entries = [{ name: "www", kind: "folder" as const, size_bytes: null }];
  const { request_id } = question;
  agent.send({ type: "fs.entries", request_id, entries, more: false, error: null });
  expect((await asked).body).toEqual({ entries, more: false });
});

it("has no folder of a host that is away", async () => {
  agent.socket.close();
  await server.until("the host is away", async () => {
    const answer = await server.admin.get(`${url}/files`);
    return answer.status === 409 && answer.body.code === "hosts.offline";
  });
});
