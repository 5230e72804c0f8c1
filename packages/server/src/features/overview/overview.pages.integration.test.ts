/** The dashboard and a host's page through the whole server: real data in every tab, and forms that forgive. */
import {
  connectTestAgent,
  enrolTestAgent,
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
  agent = await connectTestAgent(server, { name: "db-01", tags: ["prod"], initialPaths: ["/srv/data"] });
  await agent.hello();
  const init = await agent.nextMessage("command.run");
  const snapshots = [
    snapshotOf("aaaaaaaa11", { paths: ["/srv/data"] }),
    snapshotOf("bbbbbbbb22", { tags: ["old"] }),
  ];
  agent.send(reportOf(1, snapshots));
  agent.send(finishedOf(init, 2));
  await agent.acknowledged(2);
});
afterEach(() => server.stop());

const host = () => `/hosts/${agent.hostId}`;
async function page(path: string) {
  const answer = await server.admin.get(path);
  expect(answer.status, JSON.stringify(server.log.filter((entry) => entry.level >= 50))).toBe(200);
  return parseHtml(answer.text);
}
const wordsOf = async (path: string) => textOf(find(await page(path), "main"));

describe("the dashboard", () => {
  it("lists the hosts with their figures, alike in page and fragment", async () => {
    await enrolTestAgent(server, { name: "web-02" });
    for (const path of ["/", "/fragments/dashboard"]) {
      const answer = await server.admin.get(path);
      expect(answer.text).toContain("db-01");
      expect(answer.text).toContain("web-02");
    }
    const fleet = (await server.admin.get("/api/fleet/summary")).body;
    expect(fleet).toMatchObject({ hosts: 2, online: 1, offline: 1, snapshots: 2, protected_bytes: 2000 });
  });

  it("takes its filters from the URL and leaves out what makes no sense", async () => {
    await enrolTestAgent(server, { name: "web-02" });
    const rows = async (query: string) => (await page(`/${query}`)).querySelectorAll("#host-rows tr").length;
    expect(await rows("?search=db")).toBe(1);
    expect(await rows("?state=offline")).toBe(1);
    expect(await rows("?tag=prod&sort=size&direction=desc")).toBe(1);
    expect(await rows("?state=nonsense&sort=x&direction=up")).toBe(2);
  });
});

describe("a host's page", () => {
  it.each([
    { tab: "snapshots", words: ["aaaaaaaa", "/srv/data"] },
    { tab: "jobs", words: ["init"] },
    { tab: "sources", words: ["default", "/srv/data"] },
    { tab: "schedules", words: ["Nothing runs by itself yet"] },
    { tab: "repository", words: ["/srv/repo", "set"] },
    { tab: "settings", words: ["1 job", "1 source group", "2 snapshots"] },
    { tab: "nonsense", words: ["aaaaaaaa"] },
  ])("shows real data in the tab $tab, alike in page and fragment", async ({ tab, words }) => {
    const shown = await wordsOf(`${host()}?tab=${tab}`);
    const fragment = (await server.admin.get(`/fragments${host()}?tab=${tab}`)).text;
    for (const word of words) {
      expect(shown).toContain(word);
      expect(textOf(parseHtml(fragment))).toContain(word);
    }
  });

  it("never shows a stored password", async () => {
    for (const tab of ["snapshots", "jobs", "sources", "repository", "settings"])
      expect((await server.admin.get(`${host()}?tab=${tab}`)).text).not.toContain("repository password");
  });

  it("beyond the last page is empty, not an error", async () => {
    expect((await server.admin.get(`${host()}?tab=jobs&page=99`)).status).toBe(200);
  });

  it("of a host that does not exist is a page that says so", async () => {
    const answer = await server.admin.get("/hosts/nobody");
    expect(answer.status).toBe(404);
    expect(answer.text).toContain("There is no such host");
  });
});

describe("running now from a page", () => {
  it("leads to the live job", async () => {
    const answer = await server.admin.form(`${host()}/run`);
    expect(answer.status).toBe(303);
    const run = await agent.nextMessage("command.run");
    expect(answer.headers.get("location")).toBe(`/jobs/${run.job_id}`);
    expect(await wordsOf(`/jobs/${run.job_id}`)).toContain("db-01");
  });

  it("of one source group works alike", async () => {
    const groups = (await server.admin.get(`/api/hosts/${agent.hostId}/source-groups`)).body.source_groups;
    const [group] = groups as { id: string }[];
    const answer = await server.admin.form(`${host()}/sources/${group?.id}/run`);
    expect(answer.headers.get("location")).toMatch(/^\/jobs\//);
    expect((await server.admin.form(`${host()}/sources/unknown/run`)).status).toBe(404);
  });

  it("a check of the repository leads to its live job", async () => {
    const answer = await server.admin.form(`${host()}/check`);
    expect(answer.headers.get("location")).toMatch(/^\/jobs\//);
    expect(await wordsOf(answer.headers.get("location") ?? "")).toContain("check");
    const away = await enrolTestAgent(server, { name: "away-02" });
    const refused = await server.admin.form(`/hosts/${away.hostId}/check`);
    expect(refused.status).toBe(409);
    expect(find(parseHtml(refused.text), ".tabs a[aria-current]").text).toBe("Repository");
  });

  it("on a host that is offline says so on its page and queues nothing", async () => {
    const away = await enrolTestAgent(server, { name: "away-01" });
    const answer = await server.admin.form(`/hosts/${away.hostId}/run`);
    expect(answer.status).toBe(409);
    expect(textOf(parseHtml(answer.text))).toContain("away-01 is offline");
    expect((await server.admin.get(`/api/hosts/${away.hostId}/jobs`)).body.total).toBe(0);
  });
});

describe("the form of the credentials", () => {
  const edit = { repo_url: "rest:https://backup.example/db-01", repo_username: "db-01" };

  it("stores what was typed, keeps passwords that were left empty, and tells the agent", async () => {
    const before = await agent.nextMessage("config.update");
    const answer = await server.admin.form(`${host()}/repository`, { ...edit, rest_password: "of the user" });
    expect(answer.status).toBe(303);
    expect(await wordsOf(answer.headers.get("location") ?? "")).toContain("Saved. A connected agent");
    const { repository, version } = await agent.nextMessage("config.update");
    expect(repository).toMatchObject({
      location: expect.stringContaining("rest:https://backup.example/db-01"),
      rest_username: "db-01",
      rest_password: "of the user",
      password: before.repository?.password,
    });
    expect(version).toBeGreaterThan(before.version);
    const shown = await page(`${host()}?tab=repository`);
    expect(find(shown, "input[name=repo_username]").getAttribute("value")).toBe("db-01");
  });

  it("keeps what was typed beside its error, and no password", async () => {
    const wrong = {
      repo_url: "backup.example/db-01",
      repo_username: "someone",
      repo_password: "typed secret",
    };
    const answer = await server.admin.form(`${host()}/repository`, wrong);
    expect(answer.status).toBe(422);
    const shown = parseHtml(answer.text);
    expect(find(shown, "input[name=repo_url]").getAttribute("value")).toBe("backup.example/db-01");
    expect(find(shown, "input[name=repo_username]").getAttribute("value")).toBe("someone");
    expect(find(shown, "input[name=repo_url]").getAttribute("aria-invalid")).toBe("true");
    expect(answer.text).not.toContain("typed secret");
    expect((await server.admin.get(`/api/hosts/${agent.hostId}/repo-credentials`)).body.repo_url).toBe(
      "/srv/repo",
    );
  });
});

describe("deleting a host", () => {
  it("with a wrong name keeps the host and what was typed, and says what would be lost", async () => {
    const answer = await server.admin.form(`${host()}/delete`, { confirm_name: "DB-01" });
    expect(answer.status).toBe(422);
    const shown = parseHtml(answer.text);
    expect(find(shown, "input[name=confirm_name]").getAttribute("value")).toBe("DB-01");
    expect(textOf(find(shown, "main"))).toContain("That is not the host's name");
    expect(textOf(find(shown, "main"))).toContain("1 job with logs, 1 source group");
    expect((await server.admin.get(host())).status).toBe(200);
  });

  it("with its name removes it with everything that hung on it, tells its agent and leaves a trace", async () => {
    const answer = await server.admin.form(`${host()}/delete`, { confirm_name: "db-01" });
    expect(answer.headers.get("location")).toBe("/");
    expect(await agent.nextMessage("goodbye")).toMatchObject({ code: "link.host_removed" });
    expect((await server.admin.get(host())).status).toBe(404);
    const entries = (await server.admin.get("/api/audit?action=host.delete")).body.entries as {
      payload: unknown;
    }[];
    expect(entries[0]?.payload).toMatchObject({ lost: { jobs: 1, snapshots: 2, source_groups: 1 } });
  });
});
