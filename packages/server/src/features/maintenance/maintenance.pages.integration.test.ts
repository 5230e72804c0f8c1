/** The form of maintenance and the question before a forget, through the whole server. */
import {
  connectTestAgent,
  find,
  finishedOf,
  parseHtml,
  reportOf,
  snapshotOf,
  startTestServer,
  type TestAgent,
  type TestServer,
  textOf,
} from "@restic-manager/testkit";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

let server: TestServer;
let agent: TestAgent;
beforeEach(async () => {
  server = await startTestServer();
  agent = await connectTestAgent(server, { name: "db-01", initialPaths: ["/srv/data"] });
  await agent.hello();
  const init = await agent.nextMessage("command.run");
  // One an hour, back from now: seven days of them are far more than any daily retention keeps.
  const snapshots = Array.from({ length: 40 }, (_, index) =>
    snapshotOf(`aa${String(index).padStart(8, "0")}`, {
      time: new Date(server.clock.now() - index * 3_600_000).toISOString(),
      hostname: "db-01",
      tags: ["default"],
    }),
  );
  agent.send(reportOf(1, snapshots));
  agent.send(finishedOf(init, 2));
  await agent.acknowledged(2);
});
afterEach(() => server.stop());

const host = (path = "") => `/hosts/${agent.hostId}${path}`;
const form = {
  ...{ forget_on: "on", forget_cron: "0 2 * * *", prune_cron: "0 4 * * 0", check_on: "on" },
  ...{ check_cron: "0 5 1 * *", check_depth: "percent", check_percent: "10", check_slices: "" },
  ...{ time_zone: "Europe/Berlin", max_removed_percent: "50", owner_host_id: "", version: "0", seen: "" },
};
const stored = async () => (await server.admin.get(`/api/hosts/${agent.hostId}/repo-maintenance`)).body;

describe("the form of maintenance", () => {
  it("shows the defaults, and stores what is typed; what is off stays off", async () => {
    const opened = parseHtml((await server.admin.get(host("/maintenance"))).text);
    expect(find(opened, "[name=forget_cron]").getAttribute("value")).toBe("0 3 * * *");
    expect(textOf(find(opened, "#field-prune_cron-hint"))).toContain("At 04:00, only on Sunday");
    const saved = await server.admin.form(host("/maintenance"), form);
    expect(saved.headers.get("location")).toBe(host("?tab=repository&saved=1"));
    expect(await stored()).toMatchObject({
      ...{ forget_cron: "0 2 * * *", prune_cron: null, check_percent: 10, check_slices: null },
      ...{ time_zone: "Europe/Berlin", version: 1 },
    });
    const tab = parseHtml((await server.admin.get(host("?tab=repository"))).text);
    expect(textOf(find(tab, "#cadence-prune"))).toContain("off");
    expect(textOf(find(tab, "#cadence-check"))).toContain("reads 10");
  });

  it.each([
    ["forget_cron", "every night", "#field-forget_cron-error"],
    ["forget_cron", "", "#field-forget_cron-error"],
    ["check_percent", "0", "#field-check_percent-error"],
    ["check_percent", "101", "#field-check_percent-error"],
    ["check_percent", "some", "#field-check_percent-error"],
    ["time_zone", "Mars/Base", "#field-time_zone-error"],
    ["max_removed_percent", "x", "#field-max_removed_percent-error"],
  ])("keeps all that was typed when %s is “%s”", async (field, value, error) => {
    const answer = await server.admin.form(host("/maintenance"), { ...form, [field]: value });
    expect(answer.status).toBe(422);
    const root = parseHtml(answer.text);
    expect(find(root, `[name=${field}]`).getAttribute("value")).toBe(value);
    expect(textOf(find(root, error))).not.toBe("");
    expect(find(root, "[name=prune_on]").hasAttribute("checked")).toBe(false);
    expect(await stored()).toMatchObject({ version: 0 });
  });

  it("tells the second of two people what the first changed, keeps the input, and saves it anyway", async () => {
    const opened = parseHtml((await server.admin.get(host("/maintenance"))).text);
    const seen = find(opened, "[name=seen]").getAttribute("value") ?? "";
    expect((await server.admin.form(host("/maintenance"), { ...form, seen })).status).toBe(303);
    const mine = { ...form, seen, forget_cron: "0 3 * * *", time_zone: "UTC", check_percent: "20" };
    const answer = await server.admin.form(host("/maintenance"), mine);
    expect(answer.status).toBe(409);
    const root = parseHtml(answer.text);
    expect(root.querySelectorAll("#edit-conflict li").map(textOf)).toEqual([
      "Forget is now 0 2 * * *.",
      "Prune is off now.",
      "A check now reads 10 % of the data.",
      "The time zone is now Europe/Berlin.",
    ]);
    expect(find(root, "[name=check_percent]").getAttribute("value")).toBe("20");
    const value = (name: string) => find(root, `[name=${name}]`).getAttribute("value") ?? "";
    const again = { ...mine, version: value("version"), seen: value("seen") };
    expect((await server.admin.form(host("/maintenance"), again)).status).toBe(303);
    expect(await stored()).toMatchObject({ check_percent: 20, time_zone: "UTC", version: 2 });
  });
});

describe("the question before a forget", () => {
  async function keepDaily(count: number): Promise<void> {
    const groups = `/api/hosts/${agent.hostId}/source-groups`;
    const [group] = (await server.admin.get(groups)).body.source_groups as { id: string }[];
    const url = `${groups}/${group?.id}`;
    const {
      id: _id,
      host_id: _host,
      hooks: _hooks,
      created_at: _made,
      updated_at: _edited,
      ...edit
    } = (await server.admin.get(url)).body;
    const put = await server.admin.put(url, { ...edit, retention: { keep_daily: count } });
    expect(put.status, put.text).toBe(200);
  }
  const ask = async () => parseHtml((await server.admin.get(host("/forget"))).text);

  it("can't be answered while every group keeps for ever", async () => {
    const root = await ask();
    expect(textOf(root)).toContain("left out");
    expect(find(root, `form[action="${host("/forget")}"] button`).hasAttribute("disabled")).toBe(true);
    const refused = await server.admin.form(host("/forget"));
    expect(textOf(parseHtml(refused.text))).toContain("Set a retention first");
  });

  it("says how many of how many would go, and removes that much only when it was confirmed", async () => {
    await keepDaily(2);
    const root = await ask();
    expect(textOf(find(root, "#forget-limit"))).toContain("default would lose 38 snapshots of 40");
    const unasked = await server.admin.form(host("/forget"));
    expect(unasked.headers.get("location")).toBe(host("/forget"));
    const answer = await server.admin.form(host("/forget"), { confirmed: "1" });
    const command = await agent.nextMessage("command.run");
    expect(command.spec).toMatchObject({ kind: "forget", confirmed: true });
    expect(answer.headers.get("location")).toBe(`/jobs/${command.job_id}`);
  });

  it("goes ahead without more words when little would go", async () => {
    const quiet = { ...form, max_removed_percent: "100" };
    expect((await server.admin.form(host("/maintenance"), quiet)).status).toBe(303);
    await keepDaily(2);
    expect((await ask()).querySelector("#forget-limit")).toBeNull();
    await server.admin.form(host("/forget"));
    expect((await agent.nextMessage("command.run")).spec).toMatchObject({ kind: "forget", confirmed: false });
  });
});

describe("a group's form", () => {
  it("has room for what its retention would do, and a page of it without scripts", async () => {
    const groups = (await server.admin.get(`/api/hosts/${agent.hostId}/source-groups`)).body.source_groups;
    const [group] = groups as { id: string }[];
    const answer = await server.admin.get(host(`/sources/${group?.id}`));
    expect(answer.status, answer.text).toBe(200);
    const root = parseHtml(answer.text);
    const box = find(root, "[data-retention-src]");
    const fragment = box.getAttribute("data-retention-src") ?? "";
    expect((await server.admin.get(`${fragment}?keep_daily=2`)).text).toContain("38 snapshots");
    expect((await server.admin.get(find(box, "a").getAttribute("href") ?? "")).status).toBe(200);
    const fresh = parseHtml((await server.admin.get(host("/sources/new"))).text);
    expect(fresh.querySelector("[data-retention-src]")).toBeNull();
  });
});
