/** A rotation through the whole server: API, page, and two agents that answer each step as real ones would. */
import type { JobFinished, ServerMessage } from "@restic-manager/protocol";
import {
  ackOf,
  enrolTestAgent,
  find,
  finishedOf,
  parseHtml,
  startedOf,
  startTestServer,
  type TestAgent,
  type TestServer,
  textOf,
} from "@restic-manager/testkit";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

type Command = Extract<ServerMessage, { type: "command.run" }>;

const OLD = "repository password";
const oldKey = "a".repeat(64);
const newKey = "b".repeat(64);

let server: TestServer;
let first: TestAgent;
let second: TestAgent;
/** What opens the repository, by password. */
let keys: Map<string, string>;
const sequences = new Map<TestAgent, number>();

beforeEach(async () => {
  server = await startTestServer();
  keys = new Map([[OLD, oldKey]]);
  first = await arrive("db-01");
  second = await arrive("db-02");
});
afterEach(() => server.stop());

async function arrive(name: string): Promise<TestAgent> {
  // The one that was added first adds and removes keys.
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

/** The password that the agent was told last. */
const configured = (agent: TestAgent) => agent.all("config.update").at(-1)?.repository?.password ?? "";

/** Does the next step of an agent, as a real one would. @returns its name */
async function step(agent: TestAgent): Promise<Command> {
  const command = await agent.nextMessage("command.run");
  const { spec, access, new_password: next } = command;
  if (spec.kind !== "key") throw new Error(`no step: ${spec.kind}`);
  const current = keys.get(access?.password ?? configured(agent)) ?? null;
  if (spec.step === "add" && next) keys.set(next, newKey);
  if (spec.step === "remove")
    for (const [password, id] of keys) if (spec.key_ids?.includes(id)) keys.delete(password);
  const listed = [...keys.values()].map((id) => ({
    id,
    username: "root",
    hostname: "db-01",
    created_at: null,
  }));
  const found = { current_key_id: current, new_key_id: next ? (keys.get(next) ?? null) : null, keys: listed };
  await finish(agent, command, { result: { kind: "key", ...found } });
  return command;
}

async function switchAll(): Promise<void> {
  await step(first);
  for (const agent of [first, second]) {
    await step(agent);
    await step(agent);
  }
}

const url = (path = "") => `/api/hosts/${first.hostId}/repo-rotation${path}`;
const rotation = async () => (await server.admin.get(url())).body;
const page = (path = "") => `/hosts/${first.hostId}/rotation${path}`;
const reaches = (state: string) =>
  server.until(`the rotation is ${state}`, async () => (await rotation()).state === state);

describe("the API of a rotation", () => {
  it("keeps the repository from being made anew meanwhile", async () => {
    await server.admin.post(url(), {});
    const init = await server.admin.post(`/api/hosts/${second.hostId}/jobs`, {
      kind: "init",
      confirm_name: "db-02",
    });
    expect(init.body).toMatchObject({ code: "rotation.running" });
  });

  it("tells the password that it made once, sends it with its steps, and repeats it nowhere", async () => {
    expect((await server.admin.get(url())).body).toMatchObject({ code: "rotation.not_found" });
    const started = await server.admin.post(url(), {});
    expect(started.status, started.text).toBe(201);
    expect(started.body).toMatchObject({ state: "adding", started_by: "admin", error: null });
    const password = String(started.body.password);
    expect(password).toMatch(/^\w{24}$/);
    const add = await step(first);
    expect(add).toMatchObject({ spec: { kind: "key", step: "add" }, new_password: password });
    const adopt = await step(first);
    expect(adopt).toMatchObject({
      spec: { step: "adopt" },
      new_password: password,
      access: { password: OLD },
    });
    const verify = await step(first);
    expect(verify.spec).toMatchObject({ step: "verify" });
    expect([verify.access, verify.new_password]).toEqual([undefined, undefined]);
    // Its configuration comes before the step that proves it.
    expect(configured(first)).toBe(password);
    await step(second);
    await step(second);
    await reaches("ready");
    await server.admin.post(url("/remove"), { confirmed: true });
    const removal = await step(first);
    expect(removal).toMatchObject({ spec: { step: "remove", key_ids: [oldKey] }, access: { password } });
    await reaches("done");
    expect((await rotation()).keys).toMatchObject([
      { id: oldKey, role: "old", removed_at: expect.any(String) },
      { id: newKey, role: "new", removed_at: null },
    ]);
    const jobs = await server.admin.get(`/api/hosts/${first.hostId}/jobs?kind=key`);
    const texts = [await server.admin.get(url()), await server.admin.get(page()), jobs];
    for (const path of ["/audit", `/jobs/${removal.job_id}`, `/hosts/${first.hostId}?tab=repository`])
      texts.push(await server.admin.get(path));
    for (const { text } of texts) expect(text).not.toContain(password);
    expect(JSON.stringify(server.log)).not.toContain(password);
  });

  it.each<{ path: string; body: object; status: number; code: string }>([
    { path: "", body: { password: "" }, status: 400, code: "rotation.invalid" },
    { path: "", body: { password: " blank" }, status: 400, code: "rotation.invalid" },
    { path: "", body: { password: OLD }, status: 400, code: "rotation.invalid" },
    { path: "", body: { password: 5 }, status: 400, code: "request.invalid" },
    { path: "/remove", body: { confirmed: true }, status: 409, code: "rotation.not_running" },
    { path: "/remove", body: { confirmed: "yes" }, status: 400, code: "request.invalid" },
    { path: "/stop", body: {}, status: 409, code: "rotation.not_running" },
    { path: "/retry", body: {}, status: 409, code: "rotation.not_running" },
  ])("refuses $path $body with $code", async ({ path, body, status, code }) => {
    const refused = await server.admin.post(url(path), body);
    expect([refused.status, refused.body.code]).toEqual([status, code]);
  });

  it("refuses a second one, and to remove before every host is switched or without a confirmation", async () => {
    await server.admin.post(url(), { password: "the new password" });
    expect((await server.admin.post(url(), {})).body.code).toBe("rotation.running");
    expect((await server.admin.post(url("/remove"), { confirmed: true })).body.code).toBe(
      "rotation.not_ready",
    );
    await switchAll();
    await reaches("ready");
    expect((await server.admin.post(url("/remove"), {})).body).toMatchObject({
      code: "rotation.not_confirmed",
      details: [{ path: "confirmed" }],
    });
  });

  it("waits for a host that is away, over a restart of the server", async () => {
    await second.drop();
    await server.admin.post(url(), { password: "the new password" });
    await step(first);
    await server.restart();
    await first.connect();
    await step(first);
    await step(first);
    await server.until("the first host is switched", async () =>
      JSON.stringify((await rotation()).hosts).includes('"verified"'),
    );
    expect(await rotation()).toMatchObject({ state: "switching" });
    await second.connect();
    await step(second);
    await step(second);
    await reaches("ready");
  });

  it("removes keys alone: the removal waits for a backup of the other host", async () => {
    await server.admin.post(url(), { password: "the new password" });
    await switchAll();
    await reaches("ready");
    const backup = await server.admin.post(`/api/hosts/${second.hostId}/jobs`, { kind: "backup" });
    const command = await second.nextMessage("command.run");
    await server.admin.post(url("/remove"), { confirmed: true });
    const queued = () => server.admin.get(`/api/hosts/${first.hostId}/jobs?kind=key&status=queued`);
    await server.until("the removal is queued", async () => (await queued()).body.total === 1);
    const job = ((await queued()).body.jobs as { id: string }[])[0];
    expect((await server.admin.get(`/jobs/${job?.id}`)).text).toContain("needs the repository alone");
    expect(
      first.all("command.run").filter(({ spec }) => spec.kind === "key" && spec.step === "remove"),
    ).toEqual([]);
    const edit = { repo_password: OLD };
    const refused = await server.admin.put(`/api/hosts/${second.hostId}/repo-credentials`, edit);
    expect([refused.status, refused.body.code]).toEqual([409, "rotation.removing"]);
    expect(backup.status).toBe(202);
    await finish(second, command, {});
    await step(first);
    await reaches("done");
  });
});

describe("the page of a rotation", () => {
  const root = async () => parseHtml((await server.admin.get(page())).text);

  it("is reached from the repository's tab, says what it does not do, and starts with a made password", async () => {
    const tab = parseHtml((await server.admin.get(`/hosts/${first.hostId}?tab=repository`)).text);
    expect(tab.querySelectorAll("a").some((link) => link.getAttribute("href") === page())).toBe(true);
    expect(textOf(await root())).toContain("What it does not do: the master key stays.");
    const started = await server.admin.form(page(), { password: "" });
    expect(started.status).toBe(200);
    expect(started.headers.get("cache-control")).toBe("no-store");
    const password = find(parseHtml(started.text), "#minted-password").text;
    expect(password).toMatch(/^\w{24}$/);
    // The same post once more, as a reload sends it, starts and shows nothing.
    const again = await server.admin.form(page(), { password: "" });
    expect([again.status, again.headers.get("location")]).toEqual([303, page()]);
    expect((await server.admin.get(page())).text).not.toContain(password);
    expect(textOf(find(await root(), "#rotation-steps"))).toContain("Add the new key");
    const now = parseHtml((await server.admin.get(`/hosts/${second.hostId}?tab=repository`)).text);
    expect(textOf(find(now, "#repository-rotation"))).toContain("is being rotated");
  });

  it("goes to its end by forms alone, and asks for the check box", async () => {
    expect((await server.admin.form(page(), { password: "the new password" })).status).toBe(303);
    await switchAll();
    await reaches("ready");
    const unconfirmed = await server.admin.form(page("/remove"), {});
    expect(unconfirmed.status).toBe(422);
    expect(textOf(find(parseHtml(unconfirmed.text), "#rotation-confirm"))).toContain("Confirm that the new");
    await server.admin.form(page("/remove"), { confirmed: "on" });
    await step(first);
    await reaches("done");
    expect(textOf(find(await root(), "#rotation-end"))).toContain("1 old key was removed");
    expect((await server.admin.get(`/fragments${page()}`)).text).toContain("data-live-end");
  });

  it("shows why a host can't go on, tries again when told, and can be stopped", async () => {
    await server.admin.form(page(), { password: "the new password" });
    await step(first);
    const message = "The storage refused the credentials.";
    const error = { code: "restic.unauthorised", message, last_lines: [] };
    await finish(second, await second.nextMessage("command.run"), { status: "failed", error });
    await server.until("it is said", async () => textOf(await root()).includes(message));
    expect(textOf(find(await root(), "#rotation-problem"))).toContain("can’t go on by itself");
    await server.admin.form(page("/retry"));
    expect((await step(second)).spec).toMatchObject({ step: "adopt" });
    expect((await server.admin.form(page("/stop"))).status).toBe(303);
    expect(textOf(find(await root(), "#rotation-end"))).toContain("was stopped");
  });

  it("keeps what is wrong beside the field, and shows a viewer no form", async () => {
    const refused = await server.admin.form(page(), { password: " blank" });
    expect(refused.status).toBe(422);
    expect(textOf(find(parseHtml(refused.text), "#field-password-error"))).toContain(
      "begin or end with a blank",
    );
    const viewer = await server.signIn("viewer");
    expect(parseHtml((await viewer.get(page())).text).querySelector("#rotation form")).toBeNull();
    expect((await viewer.form(page(), {})).status).toBe(403);
  });
});
