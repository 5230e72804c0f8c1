/** The wizard's page through the whole server, without scripts: what it shows, what it refuses, what it starts. */
import {
  ackOf,
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

const snapshotId = "ab".repeat(32);
const hostile = '/srv/<script>alert("x")</script>';
let server: TestServer;
let agent: TestAgent;
let url: string;

beforeEach(async () => {
  server = await startTestServer();
  agent = await initialised("web-01");
  agent.send(reportOf(2, [snapshotOf(snapshotId, { tags: ["www"], paths: [hostile] })]));
  await agent.acknowledged(2);
  url = `/hosts/${agent.hostId}/restore`;
});
afterEach(() => server.stop());

/** A host whose repository has been made. */
async function initialised(name: string): Promise<TestAgent> {
  const made = await connectTestAgent(server, { name });
  await made.hello();
  const first = await made.nextMessage("command.run");
  made.send(ackOf(first));
  made.send(finishedOf(first, 1));
  await made.acknowledged(1);
  return made;
}

const open = async (query = "") => parseHtml((await server.admin.get(url + query)).text);
/** A form as a browser without scripts posts it. */
const typed = (change: Record<string, string> = {}) => ({
  ...{ snapshot: snapshotId, lines: "/srv/www\n/etc/hosts", to: "", target: "directory", directory: "" },
  ...{ overwrite: "always", includes: "", excludes: "", path_map: "", confirm_name: "" },
  ...change,
});
const post = (change: Record<string, string> = {}) => server.admin.form(url, typed(change));

describe("the page", () => {
  it("lists the host's snapshots, with every text of a host as text", async () => {
    const page = await open();
    expect(textOf(find(page, ".snapshot-choice"))).toContain("www");
    expect(textOf(find(page, ".snapshot-choice"))).toContain(hostile);
    expect(page.querySelectorAll("main script")).toHaveLength(0);
    expect(page.querySelector("input[name=snapshot][checked]")).toBeNull();
  });

  it("has chosen what its address says", async () => {
    const page = await open(`?snapshot=${snapshotId}&path=/etc/nginx&path=base64:L2Ev/w==`);
    expect(find(page, "input[name=snapshot][checked]").getAttribute("value")).toBe(snapshotId);
    const paths = page.querySelectorAll("input[name=path]").map((input) => input.getAttribute("value"));
    expect(paths).toEqual(["/etc/nginx", "base64:L2Ev/w=="]);
  });

  it("of a host without snapshots says what makes one", async () => {
    const other = await enrolTestAgent(server);
    const page = parseHtml((await server.admin.get(`/hosts/${other.hostId}/restore`)).text);
    expect(textOf(find(page, ".empty"))).toContain("After the first backup");
    expect(page.querySelector("#restore-form")).toBeNull();
  });

  it("says at once that the host is away", async () => {
    await agent.drop();
    await server.clock.advance(120_000);
    expect(textOf(find(await open(), ".notice"))).toContain("web-01 is offline.");
  });

  it("is for operators", async () => {
    expect((await (await server.signIn("viewer")).get(url)).status).toBe(403);
  });
});

describe("the form", () => {
  it("starts the restore of the typed lines and leads to its job", async () => {
    const answer = await post();
    expect(answer.status).toBe(303);
    const { job_id, spec } = await agent.nextMessage("command.run");
    expect(answer.headers.get("location")).toBe(`/jobs/${job_id}`);
    expect(spec).toMatchObject({
      ...{ kind: "restore", snapshot_id: snapshotId, paths: ["/srv/www", "/etc/hosts"], dry_run: false },
      target: { kind: "directory" },
    });
  });

  it("makes a dry run with the other button, in place with the name", async () => {
    await post({ target: "in_place", overwrite: "never", confirm_name: "web-01", dry_run: "1" });
    const { spec } = await agent.nextMessage("command.run");
    expect(spec).toMatchObject({ dry_run: true, target: { kind: "in_place", overwrite: "never" } });
  });

  it("comes back with everything that was typed, and each problem at its field", async () => {
    const answer = await post({
      ...{
        target: "in_place",
        confirm_name: "web-02",
        lines: "/etc/../root\nsrv",
        includes: "/x",
        verify: "on",
      },
      overwrite: "if-newer",
    });
    expect(answer.status).toBe(422);
    const page = parseHtml(answer.text);
    expect(textOf(find(page, "#field-lines-error"))).toContain("leads upward");
    expect(textOf(find(page, "#field-confirm_name-error"))).toContain("web-01");
    expect(textOf(find(page, "#field-includes-error"))).toContain("begins at the root");
    expect(find(page, "#field-lines").textContent).toBe("/etc/../root\nsrv");
    expect(find(page, "#field-confirm_name").getAttribute("value")).toBe("web-02");
    expect(find(page, "[name=verify]").hasAttribute("checked")).toBe(true);
    expect(find(page, "[name=target][value=in_place]").hasAttribute("checked")).toBe(true);
    expect(find(page, "#field-overwrite option[selected]").getAttribute("value")).toBe("if-newer");
    expect(agent.all("command.run")).toHaveLength(1);
  });

  it("restores onto the host that is named, in any case, and says when nobody is called that", async () => {
    const other = await initialised("web-02");
    const unknown = await post({ to: "web-20", lines: "" });
    expect(unknown.status).toBe(422);
    const page = parseHtml(unknown.text);
    expect(textOf(find(page, "#field-to-error"))).toContain("There is no host called web-20.");
    expect(find(page, "#field-to").getAttribute("value")).toBe("web-20");
    expect(unknown.text).toContain("Choose at least one file or folder.");
    expect((await post({ to: "WEB-02 ", confirm_name: "web-02" })).status).toBe(303);
    expect((await other.nextMessage("command.run")).spec).toMatchObject({ kind: "restore" });
    expect((await post({ to: "web-01" })).status).toBe(303);
    expect((await agent.nextMessage("command.run")).spec).toMatchObject({ kind: "restore" });
  });

  it("asks for a snapshot and for files", async () => {
    const answer = await post({ snapshot: "", lines: "" });
    expect(answer.status).toBe(422);
    expect(answer.text).toContain("Choose a snapshot.");
    expect(answer.text).toContain("Choose at least one file or folder.");
  });

  it("says that a snapshot was forgotten meanwhile, and keeps what was typed", async () => {
    const answer = await post({ snapshot: "cd".repeat(32) });
    expect([answer.status, answer.text.includes("/etc/hosts")]).toEqual([422, true]);
    expect(answer.text).toContain("no such snapshot");
  });

  it("is not queued for a host that is away", async () => {
    await agent.drop();
    await server.clock.advance(120_000);
    const answer = await post();
    expect(answer.status).toBe(422);
    expect(textOf(find(parseHtml(answer.text), ".form-message"))).toContain("web-01 is offline");
    const jobs = await server.admin.get(`/api/hosts/${agent.hostId}/jobs?kind=restore`);
    expect(jobs.body).toMatchObject({ jobs: [] });
  });

  it("whose session has ended leads back to its page after signing in", async () => {
    const stranger = server.anonymous();
    const answer = await stranger.fetch(url, {
      method: "POST",
      headers: {
        ...{ origin: server.url, "content-type": "application/x-www-form-urlencoded" },
        referer: `${server.url}${url}?snapshot=${snapshotId}`,
      },
      body: new URLSearchParams(typed()).toString(),
    });
    const next = new URL(answer.headers.get("location") ?? "", server.url).searchParams.get("next");
    expect([answer.status, next]).toEqual([303, `${url}?snapshot=${snapshotId}`]);
  });

  it("of another site leads nowhere else after signing in", async () => {
    const answer = await server.anonymous().fetch(url, {
      method: "POST",
      headers: {
        ...{ origin: server.url, "content-type": "application/x-www-form-urlencoded" },
        referer: "https://elsewhere.example/path",
      },
      body: "",
    });
    expect(answer.headers.get("location")).toBe("/login");
  });
});
