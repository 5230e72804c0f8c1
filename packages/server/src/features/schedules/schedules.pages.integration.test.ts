/** The pages of schedules over HTTP: forms that forgive, two people at one form, running, pausing. */
import {
  connectTestAgent,
  enrolTestAgent,
  find,
  finishedOf,
  parseHtml,
  startTestServer,
  type TestAgent,
  type TestServer,
  textOf,
} from "@restic-manager/testkit";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

let server: TestServer;
let agent: TestAgent;
let groupId: string;

beforeEach(async () => {
  server = await startTestServer();
  agent = await connectTestAgent(server, { name: "db-01", initialPaths: ["/srv/data"] });
  await agent.hello();
  agent.send(finishedOf(await agent.nextMessage("command.run"), 1));
  await agent.acknowledged(1);
  const { source_groups } = (await server.admin.get(`/api/hosts/${agent.hostId}/source-groups`)).body;
  groupId = (source_groups as { id: string }[])[0]?.id ?? "";
});
afterEach(() => server.stop());

const host = () => `/hosts/${agent.hostId}`;
const nightly = () => ({
  cron: "0 3 * * *",
  time_zone: "Europe/Berlin",
  jitter_minutes: "2.5",
  enabled: "on",
  source_group_ids: groupId,
});
interface Wire {
  id: string;
  version: number;
  cron: string;
  enabled: boolean;
  jitter_seconds: number;
}
const stored = async () =>
  (await server.admin.get(`/api/hosts/${agent.hostId}/schedules`)).body.schedules as Wire[];
async function addSchedule(fields: Record<string, string> = {}): Promise<Wire> {
  const answer = await server.admin.form(`${host()}/schedules/new`, { ...nightly(), ...fields });
  expect(answer.status, answer.text).toBe(303);
  const [made] = await stored();
  if (!made) throw new Error("no schedule was made");
  return made;
}
const fieldValue = (root: ReturnType<typeof parseHtml>, name: string) =>
  find(root, `[name="${name}"]`).getAttribute("value");

describe("the form of a schedule", () => {
  it("begins with every night and all groups, and makes what was typed", async () => {
    const form = parseHtml((await server.admin.get(`${host()}/schedules/new`)).text);
    expect(fieldValue(form, "cron")).toBe("0 3 * * *");
    expect(find(form, `input[value="${groupId}"]`).hasAttribute("checked")).toBe(true);
    expect(await addSchedule()).toMatchObject({ cron: "0 3 * * *", jitter_seconds: 150, enabled: true });
    const tab = textOf(parseHtml((await server.admin.get(`${host()}?tab=schedules`)).text));
    expect(tab).toContain("At 03:00 · Europe/Berlin");
    expect(tab).toContain("default");
  });

  it("keeps all that was typed, boxes both ways, beside what is wrong with it", async () => {
    const wrong = { cron: "0 3 * *", time_zone: "Mars/Base", jitter_minutes: "soon" };
    const answer = await server.admin.form(`${host()}/schedules/new`, wrong);
    expect(answer.status).toBe(422);
    const root = parseHtml(answer.text);
    for (const [name, value] of Object.entries(wrong)) expect(fieldValue(root, name)).toBe(value);
    expect(find(root, "[name=enabled]").hasAttribute("checked")).toBe(false);
    expect(find(root, `input[value="${groupId}"]`).hasAttribute("checked")).toBe(false);
    expect(textOf(find(root, "#field-cron-error"))).toContain("five fields");
    expect(textOf(find(root, "#field-jitter_minutes-error"))).toContain("minutes");
    expect(textOf(find(root, "#field-source_group_ids-error"))).toContain("Choose at least one");
    expect(await stored()).toEqual([]);
  });

  it("edits, pauses by its box, and deletes", async () => {
    const { id, version } = await addSchedule();
    const edit = { ...nightly(), version: String(version), cron: "0 4 * * *" };
    const { enabled: _enabled, ...paused } = edit;
    expect((await server.admin.form(`${host()}/schedules/${id}`, paused)).status).toBe(303);
    expect(await stored()).toMatchObject([{ cron: "0 4 * * *", enabled: false }]);
    expect((await server.admin.form(`${host()}/schedules/${id}/delete`)).status).toBe(303);
    expect(await stored()).toEqual([]);
    expect((await server.admin.get(`${host()}/schedules/${id}`)).status).toBe(404);
  });

  it("tells the second of two people what the first changed, keeps the input, and saves it anyway", async () => {
    const { id, version } = await addSchedule();
    const opened = parseHtml((await server.admin.get(`${host()}/schedules/${id}`)).text);
    const form = { version: String(version), seen: fieldValue(opened, "seen") ?? "" };
    const first = { ...nightly(), ...form, cron: "0 5 * * *" };
    expect((await server.admin.form(`${host()}/schedules/${id}`, first)).status).toBe(303);
    const second = { ...nightly(), ...form, jitter_minutes: "30" };
    const answer = await server.admin.form(`${host()}/schedules/${id}`, second);
    expect(answer.status).toBe(409);
    const root = parseHtml(answer.text);
    expect(root.querySelectorAll("#edit-conflict li").map(textOf)).toEqual([
      "The cron expression is now 0 5 * * *.",
    ]);
    expect(fieldValue(root, "cron")).toBe("0 3 * * *");
    expect(fieldValue(root, "jitter_minutes")).toBe("30");
    expect(await stored()).toMatchObject([{ cron: "0 5 * * *" }]);
    const again = {
      ...second,
      version: fieldValue(root, "version") ?? "",
      seen: fieldValue(root, "seen") ?? "",
    };
    expect((await server.admin.form(`${host()}/schedules/${id}`, again)).status).toBe(303);
    expect(await stored()).toMatchObject([{ cron: "0 3 * * *", jitter_seconds: 1800 }]);
  });
});

describe("the verbs of a schedule", () => {
  it("run it now: one group leads to its live job", async () => {
    const { id } = await addSchedule();
    const answer = await server.admin.form(`${host()}/schedules/${id}/run`);
    const run = await agent.nextMessage("command.run");
    expect(answer.headers.get("location")).toBe(`/jobs/${run.job_id}`);
  });

  it("pause and resume it; a paused one is run after a question, and stays paused", async () => {
    const { id } = await addSchedule();
    expect((await server.admin.form(`${host()}/schedules/${id}/pause`)).status).toBe(303);
    const asked = await server.admin.form(`${host()}/schedules/${id}/run`);
    expect(asked.headers.get("location")).toBe(`${host()}/schedules/${id}/run`);
    const question = await server.admin.get(`${host()}/schedules/${id}/run`);
    expect(textOf(parseHtml(question.text))).toContain("Run a paused schedule?");
    const run = await server.admin.form(`${host()}/schedules/${id}/run`, { confirmed: "1" });
    expect(run.headers.get("location")).toMatch(/^\/jobs\//);
    expect(await stored()).toMatchObject([{ enabled: false }]);
    expect((await server.admin.form(`${host()}/schedules/${id}/resume`)).status).toBe(303);
    expect(await stored()).toMatchObject([{ enabled: true }]);
    const moot = await server.admin.get(`${host()}/schedules/${id}/run`);
    expect(moot.headers.get("location")).toBe(`${host()}?tab=schedules`);
  });

  it("say on the host's page that it is offline, and queue nothing", async () => {
    const away = await enrolTestAgent(server, { name: "away-01" });
    const groups = (await server.admin.get(`/api/hosts/${away.hostId}/source-groups`)).body.source_groups;
    const [group] = groups as { id: string }[];
    const fields = { ...nightly(), source_group_ids: group?.id ?? "" };
    await server.admin.form(`/hosts/${away.hostId}/schedules/new`, fields);
    const { schedules } = (await server.admin.get(`/api/hosts/${away.hostId}/schedules`)).body;
    const [made] = schedules as Wire[];
    const answer = await server.admin.form(`/hosts/${away.hostId}/schedules/${made?.id}/run`);
    expect(answer.status).toBe(409);
    const root = parseHtml(answer.text);
    expect(textOf(root)).toContain("away-01 is offline");
    expect(find(root, ".tabs a[aria-current]").text).toBe("Schedules");
  });

  it("run all groups of a host from the dashboard, when one schedule covers them", async () => {
    const runOf = async () =>
      find(parseHtml((await server.admin.get("/")).text), `#host-${agent.hostId} .btn`);
    expect((await runOf()).getAttribute("href")).toBe(`${host()}?tab=sources`);
    const { id } = await addSchedule();
    expect((await runOf()).getAttribute("formaction")).toBe(`${host()}/schedules/${id}/run`);
    expect(textOf(find(parseHtml((await server.admin.get("/")).text), "#tile-next"))).toContain("db-01");
  });
});

describe("the next runs while one types", () => {
  it("come as a part of a page, or as the sentence that says what is wrong", async () => {
    const ask = (cron: string) =>
      server.admin.get(`/fragments/cron?${new URLSearchParams({ cron, time_zone: "Europe/Berlin" })}`);
    const good = await ask("0 3 * * *");
    expect(good.status).toBe(200);
    expect(parseHtml(good.text).querySelectorAll("li")).toHaveLength(5);
    expect((await ask("0 0 31 2 *")).text).toContain("This never happens");
    expect((await ask("x".repeat(5000))).status).toBe(200);
  });
});
