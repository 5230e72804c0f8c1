/** Updates through the whole server: API, pages, real sockets, and agents that answer as real ones would. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { type Hello, type JobFinished, jobKinds, type ServerMessage } from "@restic-manager/protocol";
import {
  ackOf,
  enrolTestAgent,
  find,
  finishedOf,
  parseHtml,
  releaseContent,
  startedOf,
  startTestServer,
  type TestAgent,
  type TestServer,
  textOf,
  writeRelease,
} from "@restic-manager/testkit";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

type Command = Extract<ServerMessage, { type: "command.run" }>;

let server: TestServer;
/** Their hosts are called as they are. */
let agents: TestAgent[];
const sequences = new Map<TestAgent, number>();

beforeEach(async () => {
  server = await startTestServer();
  await writeRelease(join(server.dataDir, "release"), releaseContent("0.2.0"));
  await server.clock.advance(6000);
  agents = [];
});
afterEach(() => server.stop());

async function arrive(
  name: string,
  hello: Partial<Hello> = { job_kinds: [...jobKinds] },
): Promise<TestAgent> {
  const agent = await enrolTestAgent(server, { name });
  await agent.connect(hello);
  agents.push(agent);
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

/** Takes the order, goes away, and comes back as what it was told to become. */
async function update(agent: TestAgent): Promise<Command> {
  const command = await agent.nextMessage("command.run");
  if (command.spec.kind !== "update") throw new Error(`not an update: ${command.spec.kind}`);
  const seq = (sequences.get(agent) ?? 0) + 1;
  agent.send(ackOf(command));
  agent.send(startedOf(command, seq));
  await agent.acknowledged(seq);
  await agent.drop();
  const { version } = command.spec;
  const known = { job_id: command.job_id, attempt: command.attempt, state: "running" as const };
  await agent.connect({ agent_version: version, job_kinds: [...jobKinds], jobs: [known] });
  sequences.set(agent, seq + 1);
  const result = { kind: "update" as const, program: "agent" as const, from: "0.1.0-test", to: version };
  agent.send(finishedOf(command, seq + 1, { result, summary: null }));
  await agent.acknowledged(seq + 1);
  return command;
}

/** Which agents have an order that they have not answered. */
const ordered = () =>
  agents.filter((agent) => {
    const last = agent.all("command.run").at(-1);
    return last?.spec.kind === "update";
  });

async function runOf(id: string) {
  return (await server.admin.get(`/api/updates/${id}`)).body as {
    state: string;
    wave: number;
    counts: Record<string, number>;
    pause: { host_name: string; code: string } | null;
    hosts: { name: string; state: string; from_version: string | null }[];
  };
}

const page = async () => parseHtml((await server.admin.get("/settings/agents")).text);

describe("an update of the fleet", () => {
  it("takes one host, then the rest; each order has the signed list as it is served", async () => {
    for (const name of ["a", "b", "c"]) await arrive(name);
    expect(textOf(find(await page(), "#program-agent"))).toContain("Update 3 hosts");
    expect((await server.admin.get("/api/fleet/summary")).body).toMatchObject({ agents_behind: 3 });
    expect(textOf(find(parseHtml((await server.admin.get("/?agent=behind")).text), "#host-rows"))).toContain(
      "agent behind",
    );
    const started = await server.admin.post("/api/updates", {});
    expect(started.status).toBe(201);
    const id = String(started.body.id);
    expect(started.body).toMatchObject({ program: "agent", version: "0.2.0", started_by: "admin" });
    const [first, second, third] = agents as [TestAgent, TestAgent, TestAgent];
    const command = await update(first);
    const sums = await server.anonymous().get("/install/SHA256SUMS");
    const signature = await server.anonymous().get("/install/SHA256SUMS.sig");
    expect(command.spec).toEqual({
      ...{ kind: "update", program: "agent", version: "0.2.0" },
      ...{ sums: sums.text, signature: signature.text.trim() },
    });
    // What it needs in order to go back is nowhere but in the order: a page and a job show no signature.
    expect((await server.admin.get(`/api/jobs/${command.job_id}`)).text).not.toContain(signature.text.trim());
    await server.until("the second wave", () => ordered().includes(second));
    expect(await runOf(id)).toMatchObject({ state: "running", wave: 2, counts: { done: 1, updating: 1 } });
    await update(second);
    await update(third);
    await server.until("the end", async () => (await runOf(id)).state === "done");
    expect((await server.admin.get("/api/fleet/summary")).body).toMatchObject({ agents_behind: 0 });
    const list = await server.admin.get("/api/updates");
    expect(list.body.updates).toMatchObject([{ id, state: "done", counts: { done: 3 } }]);
    const again = await server.admin.post("/api/updates", {});
    expect(again.body).toMatchObject({ code: "updates.none_behind" });
  });

  it("goes on where it was when the server was restarted in the middle of it", async () => {
    for (const name of ["a", "b"]) await arrive(name);
    const id = String((await server.admin.post("/api/updates", {})).body.id);
    const [first, second] = agents as [TestAgent, TestAgent];
    const command = await first.nextMessage("command.run");
    first.send(ackOf(command));
    const seq = (sequences.get(first) ?? 0) + 1;
    first.send(startedOf(command, seq));
    await first.acknowledged(seq);
    await server.restart();
    const known = { job_id: command.job_id, attempt: command.attempt, state: "running" as const };
    await first.connect({ agent_version: "0.2.0", job_kinds: [...jobKinds], jobs: [known] });
    await second.connect({ job_kinds: [...jobKinds] });
    expect((await runOf(id)).counts).toMatchObject({ updating: 1, waiting: 1 });
    first.send(finishedOf(command, seq + 1, { summary: null }));
    await first.acknowledged(seq + 1);
    await update(second);
    await server.until("the end", async () => (await runOf(id)).state === "done");
  });

  it("stands still after a failure and goes on by the page's button", async () => {
    for (const name of ["a", "b"]) await arrive(name);
    const posted = await server.admin.form("/settings/agents/updates", { program: "agent" });
    expect(posted.status).toBe(303);
    const [first, second] = agents as [TestAgent, TestAgent];
    const error = { code: "update.rolled_back", message: "It could <b>not</b> say hello.", last_lines: [] };
    const command = await first.nextMessage("command.run");
    await finish(first, command, { status: "failed", error, summary: null });
    const isPaused = async () => (await page()).querySelector("#update-pause") !== null;
    await server.until("the pause", isPaused);
    const shown = await page();
    expect(textOf(find(shown, "#update-pause"))).toContain("a: It could <b>not</b> say hello.");
    expect(find(shown, "#update-pause").querySelector("b")).toBeNull();
    const resume = find(shown, 'form[action$="/resume"]').getAttribute("action") ?? "";
    expect((await server.admin.form(resume)).status).toBe(303);
    await update(second);
    await server.until("the end", async () => /done/.test(textOf(find(await page(), "#update-run"))));
    // A second press of a button that is no longer there says why instead of doing something.
    const again = await server.admin.form(resume);
    expect(again.status).toBe(422);
    expect(again.text).toContain("This update is not paused.");
  });

  it("is an administrator's business: others see it and find no button", async () => {
    await arrive("a");
    for (const role of ["operator", "viewer"] as const) {
      const client = await server.signIn(role);
      const shown = parseHtml((await client.get("/settings/agents")).text);
      expect(textOf(find(shown, "#program-agent"))).toContain("1 host behind");
      expect(shown.querySelectorAll("#agents-live form")).toHaveLength(0);
      expect((await client.post("/api/updates", {})).status).toBe(403);
      const host = parseHtml((await client.get(`/hosts/${agents[0]?.hostId}`)).text);
      expect(textOf(find(host, "#host-aside"))).toContain("0.2.0 is served");
      expect(host.querySelector('form[action$="/update"]')).toBeNull();
    }
  });

  it("is refused while the files for hosts are broken, and the page says what is wrong with them", async () => {
    await arrive("a");
    await writeRelease(join(server.dataDir, "release"), { ...releaseContent("0.3.0"), "install.sh": "x" });
    await writeRelease(join(server.dataDir, "other"), { "install.sh": "y" });
    const { rename } = await import("node:fs/promises");
    await rename(join(server.dataDir, "other", "install.sh"), join(server.dataDir, "release", "install.sh"));
    await server.clock.advance(6000);
    expect((await server.admin.post("/api/updates", {})).body).toMatchObject({ code: "artefacts.broken" });
    expect(textOf(find(await page(), "#release-broken"))).toContain("install.sh has another digest");
    const said = server.log.find(({ msg }) => msg === "the files for hosts are not served");
    expect(said?.problem).toContain("install.sh has another digest");
  });
});

describe("an update of one host", () => {
  it("is ordered on its page and leads to the job", async () => {
    const agent = await arrive("a");
    const host = parseHtml((await server.admin.get(`/hosts/${agent.hostId}`)).text);
    const action = find(host, 'form[action$="/update"]').getAttribute("action") ?? "";
    const posted = await server.admin.form(action, { program: "agent" });
    expect(posted.status).toBe(303);
    const command = await update(agent);
    expect(posted.headers.get("location")).toBe(`/jobs/${command.job_id}`);
    const job = parseHtml((await server.admin.get(`/jobs/${command.job_id}`)).text);
    expect(textOf(find(job, "main"))).toContain("0.1.0-test");
    expect(job.querySelector('form[action$="/again"]')).toBeNull();
  });

  it("is refused for an agent that is too old, with the way to do it by hand", async () => {
    const old = await arrive("old", {});
    const refused = await server.admin.post(`/api/hosts/${old.hostId}/update`, { program: "agent" });
    expect(refused.status).toBe(409);
    expect(refused.body).toMatchObject({ code: "agent.too_old" });
    const started = await server.admin.post("/api/updates", {});
    expect((started.body.hosts as { state: string }[]).map(({ state }) => state)).toEqual(["skipped"]);
    const shown = await page();
    expect(textOf(find(shown, "#by-hand-linux"))).toContain("/install/install.sh | sudo sh");
    await server.until("it ends, as there is nothing to wait for", async () => {
      const { state } = await runOf(String(started.body.id));
      return state === "done";
    });
  });
});

describe("a job of a kind that the connected agent does not know", () => {
  it("ends at once instead of waiting until it expires", async () => {
    const agent = await arrive("a", { job_kinds: ["init", "backup"] });
    const asked = await server.admin.post(`/api/hosts/${agent.hostId}/jobs`, { kind: "check" });
    expect(asked.status).toBe(202);
    const job = async () => (await server.admin.get(`/api/jobs/${asked.body.job_id}`)).body;
    await server.until("it has ended", async () => (await job()).status === "failed");
    expect(await job()).toMatchObject({ error: { code: "agent.too_old" } });
    expect(agent.all("command.run").map(({ spec }) => spec.kind)).toEqual(["init"]);
  });
});

describe("the files for hosts", () => {
  it("are on the page, each with its version and its digest", async () => {
    const shown = find(await page(), "#release-files");
    const rows = shown.querySelectorAll("tbody tr").map((row) => row.querySelectorAll("td").map(textOf));
    for (const [name, system, version] of [
      ["restic-manager-agent-0.2.0-linux-x64", "linux/x64", "0.2.0"],
      ["restic-0.19.1-windows-x64.exe", "windows/x64", "0.19.1"],
    ] as const) {
      const content = releaseContent("0.2.0")[name] ?? "";
      const digest = createHash("sha256").update(content).digest("hex");
      const size = `${content.length} B`;
      expect(rows).toContainEqual([name, system, version, size, expect.stringContaining(digest)]);
    }
  });
});

describe("the dashboard's filter of hosts that are behind", () => {
  it("shows those and hides the ones that are current, and counts alike", async () => {
    await arrive("old", { job_kinds: [...jobKinds], agent_version: "0.1.0", restic_version: "0.19.1" });
    await arrive("new", { job_kinds: [...jobKinds], agent_version: "0.2.0", restic_version: "0.18.0" });
    const shown = async (query: string) => {
      const html = parseHtml((await server.admin.get(`/${query}`)).text);
      return html.querySelectorAll("#host-rows tr").map((row) => textOf(find(row, "a")));
    };
    expect(await shown("")).toEqual(["new", "old"]);
    expect(await shown("?agent=behind")).toEqual(["old"]);
    expect(await shown("?restic=behind")).toEqual(["new"]);
    expect(await shown("?agent=behind&restic=behind")).toEqual([]);
    const line = textOf(find(parseHtml((await server.admin.get("/")).text), "#fleet-behind"));
    expect(line).toMatch(/1 agent behind.*restic behind on 1 host/);
  });
});
