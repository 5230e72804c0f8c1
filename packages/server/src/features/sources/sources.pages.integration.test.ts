/** The pages of source groups over HTTP: forms that forgive, two people at one form, hooks, copies, the end of one. */
import {
  connectTestAgent,
  enrolTestAgent,
  find,
  parseHtml,
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
});
afterEach(() => server.stop());

const host = () => `/hosts/${agent.hostId}`;
const www = {
  name: "www",
  includes: "/var/www\r\n/etc/nginx",
  excludes: "*.tmp",
  keep_daily: "7",
  keep_within: "30 d",
  exclude_larger_than: "1.5",
  exclude_larger_than_unit: "GiB",
  one_file_system: "on",
  retry_max: "2",
  retry_backoff_seconds: "120",
  pre_hook: "set -e\r\nmount /mnt/x",
  pre_hook_timeout_seconds: "30",
};
type Wire = Record<string, unknown> & { id: string; name: string; version: number };
const stored = async () =>
  (await server.admin.get(`/api/hosts/${agent.hostId}/source-groups`)).body.source_groups as Wire[];
async function addGroup(fields: Partial<typeof www> = {}): Promise<Wire> {
  const answer = await server.admin.form(`${host()}/sources/new`, { ...www, ...fields });
  expect(answer.status, answer.text).toBe(303);
  const made = (await stored()).find(({ name }) => name === (fields.name ?? "www"));
  if (!made) throw new Error("no group was made");
  return made;
}
const fieldValue = (root: ReturnType<typeof parseHtml>, name: string) => {
  const field = find(root, `[name="${name}"]`);
  return field.tagName === "TEXTAREA" ? field.text : field.getAttribute("value");
};

describe("the form of a source group", () => {
  it("makes what was typed, and shows it again", async () => {
    const made = await addGroup();
    expect(made).toMatchObject({
      includes: ["/var/www", "/etc/nginx"],
      exclude_larger_than_bytes: 1.5 * 1024 ** 3,
      one_file_system: true,
      exclude_caches: false,
      retention: { keep_daily: 7, keep_within: "30d" },
      retry_max: 2,
      pre_hook: { timeout_seconds: 30 },
    });
    const page = parseHtml((await server.admin.get(`${host()}/sources/${made.id}`)).text);
    expect(fieldValue(page, "includes")).toBe("/var/www\n/etc/nginx");
    expect(fieldValue(page, "exclude_larger_than")).toBe("1536");
    expect(fieldValue(page, "pre_hook")).toBe("set -e\nmount /mnt/x");
    const tab = textOf(parseHtml((await server.admin.get(`${host()}?tab=sources`)).text));
    expect(tab).toContain("7 daily, all of 30d");
  });

  it("keeps all that was typed, boxes both ways, beside what is wrong with it", async () => {
    const wrong = {
      ...www,
      includes: "var/www",
      keep_daily: "seven",
      keep_within: "3 weeks",
      pre_hook: "a\u0001b",
    };
    const answer = await server.admin.form(`${host()}/sources/new`, wrong);
    expect(answer.status).toBe(422);
    const root = parseHtml(answer.text);
    for (const name of ["name", "includes", "keep_daily", "keep_within"] as const)
      expect(fieldValue(root, name)).toBe(wrong[name]);
    expect(find(root, "[name=one_file_system]").hasAttribute("checked")).toBe(true);
    expect(find(root, "[name=exclude_caches]").hasAttribute("checked")).toBe(false);
    expect(find(root, "[name=exclude_larger_than_unit] option[selected]").text).toBe("GiB");
    for (const name of ["includes", "keep_daily", "keep_within", "pre_hook"])
      expect(find(root, `#field-${name}-error`)).toBeDefined();
    expect(await stored()).toHaveLength(1);
  });

  it("refuses a name that is taken in another case, beside the name", async () => {
    await addGroup();
    const answer = await server.admin.form(`${host()}/sources/new`, { ...www, name: "WWW" });
    expect(answer.status).toBe(422);
    expect(textOf(find(parseHtml(answer.text), "#field-name-error"))).toContain("already has a source group");
  });

  it("edits; a box that is not posted is off, and an emptied hook is gone", async () => {
    const { id, version } = await addGroup();
    const { one_file_system: _box, ...rest } = www;
    const edit = { ...rest, version: String(version), pre_hook: "" };
    expect((await server.admin.form(`${host()}/sources/${id}`, edit)).status).toBe(303);
    const group = (await stored()).find((one) => one.id === id);
    expect(group).toMatchObject({ one_file_system: false, pre_hook: null, version: version + 1 });
  });

  it("tells the second of two people what the first changed, keeps the input, and saves it anyway", async () => {
    const { id, version } = await addGroup();
    const opened = parseHtml((await server.admin.get(`${host()}/sources/${id}`)).text);
    const form = { version: String(version), seen: fieldValue(opened, "seen") ?? "" };
    const first = { ...www, ...form, keep_daily: "14", pre_hook: "another secret" };
    expect((await server.admin.form(`${host()}/sources/${id}`, first)).status).toBe(303);
    const second = { ...www, ...form, includes: "/var/www" };
    const answer = await server.admin.form(`${host()}/sources/${id}`, second);
    expect(answer.status).toBe(409);
    const root = parseHtml(answer.text);
    expect(root.querySelectorAll("#edit-conflict dt").map(textOf)).toEqual(["Daily", "Before the backup"]);
    expect(root.querySelectorAll("#edit-conflict dd").map(textOf)).toEqual(["14", "changed"]);
    expect(fieldValue(root, "includes")).toBe("/var/www");
    expect(fieldValue(root, "keep_daily")).toBe("7");
    const again = {
      ...second,
      version: fieldValue(root, "version") ?? "",
      seen: fieldValue(root, "seen") ?? "",
    };
    expect((await server.admin.form(`${host()}/sources/${id}`, again)).status).toBe(303);
    const saved = (await stored()).find((one) => one.id === id);
    expect(saved).toMatchObject({ includes: ["/var/www"], retention: { keep_daily: 7 } });
  });

  it("refused for another reason still counts as made on what it showed", async () => {
    const { id, version } = await addGroup();
    await server.admin.form(`${host()}/sources/${id}`, { ...www, version: String(version), keep_daily: "9" });
    const stale = { ...www, version: String(version), includes: "" };
    const answer = await server.admin.form(`${host()}/sources/${id}`, stale);
    expect(answer.status).toBe(409);
  });
});

describe("what else a group's page does", () => {
  it("copies it to another host with its hooks, and says when the name is taken there", async () => {
    const other = await enrolTestAgent(server, { name: "web-02" });
    const { id } = await addGroup();
    const answer = await server.admin.form(`${host()}/sources/${id}/clone`, { host: " WEB-02" });
    expect(answer.headers.get("location")).toContain(`/hosts/${other.hostId}/sources/`);
    expect(answer.status).toBe(303);
    const copy = parseHtml((await server.admin.get(answer.headers.get("location") ?? "")).text);
    expect(textOf(copy)).toContain("Copied. No schedule of this host runs it yet.");
    expect(fieldValue(copy, "pre_hook")).toBe("set -e\nmount /mnt/x");
    const again = await server.admin.form(`${host()}/sources/${id}/clone`, { host: "web-02" });
    expect(again.status).toBe(422);
    expect(textOf(parseHtml(again.text))).toContain("web-02 already has a source group called www");
  });

  it("copies it to nobody whose name is wrong, and keeps what was typed", async () => {
    await enrolTestAgent(server, { name: "web-02" });
    const { id } = await addGroup();
    const copy = async (name: string) => {
      const answer = await server.admin.form(`${host()}/sources/${id}/clone`, { host: name });
      expect(answer.status).toBe(422);
      return parseHtml(answer.text);
    };
    const page = await copy("web-20");
    expect(textOf(find(page, "#field-host-error"))).toContain("There is no host called web-20.");
    expect(fieldValue(page, "host")).toBe("web-20");
    expect(textOf(find(await copy(" "), "#field-host-error"))).toContain("Name the host.");
  });

  it("deletes it, but not the last one and not one in use", async () => {
    const [only] = await stored();
    const last = await server.admin.form(`${host()}/sources/${only?.id}/delete`);
    expect(last.status).toBe(422);
    expect(textOf(parseHtml(last.text))).toContain("last source group");
    const { id } = await addGroup();
    const schedule = { cron: "0 3 * * *", time_zone: "UTC", enabled: "on", source_group_ids: id };
    await server.admin.form(`${host()}/schedules/new`, schedule);
    const used = await server.admin.form(`${host()}/sources/${id}/delete`);
    expect(used.status).toBe(422);
    expect(textOf(parseHtml(used.text))).toContain("www is run by 0 3 * * *");
    expect((await server.admin.form(`${host()}/sources/${only?.id}/delete`)).status).toBe(303);
    expect(await stored()).toMatchObject([{ name: "www" }]);
  });

  it("warns of retention that is finer than any schedule, in the list and in the form", async () => {
    const { id } = await addGroup();
    const edit = { ...www, version: "1", keep_hourly: "24" };
    await server.admin.form(`${host()}/sources/${id}`, edit);
    const schedule = { cron: "0 3 * * *", time_zone: "UTC", enabled: "on", source_group_ids: id };
    await server.admin.form(`${host()}/schedules/new`, schedule);
    const page = parseHtml((await server.admin.get(`${host()}/sources/${id}`)).text);
    expect(textOf(find(page, ".notice.warn"))).toContain("keeps hourly snapshots, but no schedule");
    const tab = parseHtml((await server.admin.get(`${host()}?tab=sources`)).text);
    expect(textOf(find(tab, `#source-${id}`))).toContain("finer than it runs");
  });

  it("is not there for a group of another host", async () => {
    const other = await enrolTestAgent(server, { name: "web-02" });
    const { id } = await addGroup();
    for (const path of ["", "/clone", "/delete"])
      expect((await server.admin.form(`/hosts/${other.hostId}/sources/${id}${path}`, www)).status).toBe(404);
  });
});

describe("the settings of a host", () => {
  it("store presence, caps and default hooks", async () => {
    const saved = `${host()}?tab=settings&saved=1`;
    const mode = await server.admin.form(`${host()}/mode`, { mode: "intermittent" });
    expect(mode.headers.get("location")).toBe(saved);
    const caps = await server.admin.form(`${host()}/bandwidth`, { upload_kib: "1,024", download_kib: "" });
    expect(caps.headers.get("location")).toBe(saved);
    const hooks = { pre_hook: "mount /mnt/y", pre_hook_timeout_seconds: "", post_hook: "" };
    expect((await server.admin.form(`${host()}/hooks`, hooks)).headers.get("location")).toBe(saved);
    const page = parseHtml((await server.admin.get(saved)).text);
    expect(find(page, 'input[name="mode"][checked]').getAttribute("value")).toBe("intermittent");
    expect(fieldValue(page, "upload_kib")).toBe("1024");
    expect(fieldValue(page, "pre_hook")).toBe("mount /mnt/y");
    expect(fieldValue(page, "pre_hook_timeout_seconds")).toBe("600");
    expect(textOf(find(page, ".head-line"))).toContain("intermittent");
  });

  it("keep what was typed beside what is wrong with it", async () => {
    const answer = await server.admin.form(`${host()}/bandwidth`, { upload_kib: "fast", download_kib: "0" });
    expect(answer.status).toBe(422);
    const root = parseHtml(answer.text);
    expect(fieldValue(root, "upload_kib")).toBe("fast");
    expect(textOf(find(root, "#field-download_kib-error"))).toContain("whole number");
    const hooks = await server.admin.form(`${host()}/hooks`, {
      pre_hook: "x",
      pre_hook_timeout_seconds: "soon",
    });
    expect(hooks.status).toBe(422);
    expect(fieldValue(parseHtml(hooks.text), "pre_hook")).toBe("x");
    expect(textOf(find(parseHtml(hooks.text), "#field-pre_hook_timeout_seconds-error"))).toContain("seconds");
  });
});
