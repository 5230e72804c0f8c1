/** The panel and the page of a machine that waits, as a browser without scripts uses them. */
import {
  AnnouncedMachine,
  find,
  findControl,
  parseHtml,
  startTestServer,
  TestAgent,
  type TestAnswer,
  type TestServer,
  textOf,
} from "@restic-manager/testkit";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

let server: TestServer;
let machine: AnnouncedMachine;
beforeEach(async () => {
  server = await startTestServer();
  machine = new AnnouncedMachine(server, "web-01");
});
afterEach(() => server.stop());

const html = (answer: TestAnswer) => parseHtml(answer.text);
const open = async (id: string) => html(await server.admin.get(`/pending-hosts/${id}`));
const panel = async (client = server.admin) =>
  html(await client.get("/fragments/dashboard")).querySelector("#pending-hosts");

const fields = {
  ...{ hostname: "web-01", tags: "prod, Web", initial_paths: "/etc\r\n/home", backend: "local" },
  ...{ local_path: "/srv/repo", repo_password: "Encrypts-Everything-1" },
};

/** Sends the form with everything that the page put into it. */
async function accept(id: string, more: Record<string, string> = {}): Promise<TestAnswer> {
  const form = find(await open(id), `form[action=/pending-hosts/${id}/accept]`);
  const hidden = form
    .querySelectorAll("input[type=hidden]")
    .map((input) => [input.getAttribute("name") ?? "", input.getAttribute("value") ?? ""]);
  return server.admin.form(`/pending-hosts/${id}/accept`, {
    ...Object.fromEntries(hidden.filter(([name]) => name !== "csrf_token")),
    ...fields,
    ...more,
  });
}

describe("the panel", () => {
  it("is not there while nobody waits, and comes by itself, on an empty dashboard too", async () => {
    const before = html(await server.admin.get("/"));
    expect(before.querySelector("#pending-hosts")).toBeNull();
    expect(find(before, "#dashboard-live").getAttribute("data-live-src")).toBe("/fragments/dashboard");
    const { pendingId } = await machine.wait({ note: "in the basement" });
    const shown = await panel();
    expect(shown && textOf(shown)).toContain("“in the basement”");
    expect(textOf(find(shown as never, `#fingerprint-${pendingId}`))).toBe(machine.fingerprint);
    const copy = findControl(shown as never, "Copy fingerprint of web-01");
    expect(copy.getAttribute("data-copy")).toBe(`fingerprint-${pendingId}`);
    expect(find(shown as never, ".row-link").getAttribute("href")).toBe(`/pending-hosts/${pendingId}`);
  });

  it("says that a machine is not connected now, as one that was stopped", async () => {
    const { socket } = await machine.wait();
    expect(textOf((await panel()) as never)).not.toContain("not connected now");
    await socket.drop();
    await server.until("it is seen as away", async () =>
      textOf((await panel()) as never).includes("not connected now"),
    );
  });

  it("says in words why a machine may not be what it seems", async () => {
    await machine.wait();
    await new AnnouncedMachine(server, "WEB-01").announce();
    const text = textOf((await panel()) as never);
    expect(text).toContain("Another machine that calls itself WEB-01 waits too");
    expect(text).toContain("It has not proved its key yet");
  });

  it("shows a viewer who waits, and no way to decide", async () => {
    const { pendingId } = await machine.wait();
    const viewer = await server.signIn("viewer");
    expect(textOf((await panel(viewer)) as never)).toContain(machine.fingerprint);
    const page = html(await viewer.get(`/pending-hosts/${pendingId}`));
    expect(textOf(find(page, "#fingerprint"))).toBe(machine.fingerprint);
    expect(page.querySelectorAll("main form[action^=/pending-hosts]")).toEqual([]);
  });
});

describe("accepting", () => {
  it("by the form makes the host, and the page then turns green when it connects", async () => {
    const { pendingId, socket } = await machine.wait();
    expect(find(await open(pendingId), "#field-hostname").getAttribute("value")).toBe("web-01");
    const answer = await accept(pendingId);
    expect([answer.status, answer.headers.get("location")]).toEqual([303, `/pending-hosts/${pendingId}`]);
    expect(textOf(await open(pendingId))).toContain("Accepted; waiting for its first connection");
    const { host_id: hostId, bearer } = await socket.next("pending.accepted");
    await new TestAgent(server, { name: "web-01", hostId, bearer }).connect();
    const status = html(await server.admin.get(`/pending-hosts/${pendingId}/status`));
    expect(find(status, "#enrolment-status").getAttribute("class")).toContain("ok");
    expect(findControl(status, "Open host").getAttribute("href")).toBe(`/hosts/${hostId}`);
    const host = (await server.admin.get(`/api/hosts/${hostId}`)).body;
    expect(host).toMatchObject({ name: "web-01", tags: ["prod", "web"] });
  });

  it("without a password makes one and shows it once", async () => {
    const { pendingId } = await machine.wait();
    const first = await accept(pendingId, { repo_password: "" });
    expect(first.status).toBe(200);
    expect(first.headers.get("cache-control")).toBe("no-store");
    const password = textOf(find(html(first), "#minted-password"));
    expect(password).toMatch(/^[A-Za-z2-9]{24}$/);
    const again = await server.admin.form(`/pending-hosts/${pendingId}/accept`, {
      ...{ ...fields, fingerprint: machine.fingerprint },
    });
    expect(again.status).toBe(422);
    expect(textOf(html(again))).toContain("Accepted; waiting for its first connection");
    expect(again.text).not.toContain(password);
  });

  it("comes back with every problem and what was typed, but no password", async () => {
    const { pendingId } = await machine.wait();
    const answer = await accept(pendingId, { hostname: "web 01", local_path: "srv/repo", tags: "x, -y" });
    expect(answer.status).toBe(422);
    const page = html(answer);
    expect(textOf(find(page, "#field-hostname-error"))).toContain("letters");
    expect(find(page, "#field-hostname").getAttribute("value")).toBe("web 01");
    expect(textOf(find(page, "#field-tags-error"))).toContain("-y");
    expect(answer.text).not.toContain(fields.repo_password);
    expect(find(page, "input[name=fingerprint]").getAttribute("value")).toBe(machine.fingerprint);
  });

  it("is refused for another fingerprint than the one that was shown", async () => {
    const { pendingId } = await machine.wait();
    const answer = await accept(pendingId, { fingerprint: new AnnouncedMachine(server, "x").fingerprint });
    expect(answer.status).toBe(422);
    expect(textOf(find(html(answer), "[role=alert]"))).toContain("not the fingerprint");
  });

  it("asks about an address that the machine dialled and the operator does not use", async () => {
    const { pendingId } = await machine.wait();
    expect((await open(pendingId)).querySelector("input[name=server_name]")).toBeNull();
    await sql`UPDATE pending_hosts SET server_name = 'backup.lan'`.execute(server.db);
    const refused = await accept(pendingId);
    expect(refused.status).toBe(422);
    expect(textOf(html(refused))).toContain("The machine dialled backup.lan");
    expect((await accept(pendingId, { server_name: "backup.lan" })).status).toBe(303);
  });

  it("is not offered before the key is proved", async () => {
    const { pendingId } = await machine.announce();
    const page = await open(pendingId);
    expect(textOf(page)).toContain("can't be accepted before");
    expect(page.querySelector(`form[action=/pending-hosts/${pendingId}/accept]`)).toBeNull();
    expect(page.querySelector(`form[action=/pending-hosts/${pendingId}/reject]`)).not.toBeNull();
  });
});

describe("rejecting", () => {
  it("takes a reason, tells the machine, and leads back to the dashboard", async () => {
    const { pendingId, socket } = await machine.wait();
    const form = (reason: string) => server.admin.form(`/pending-hosts/${pendingId}/reject`, { reason });
    const long = await form("x".repeat(201));
    expect(long.status).toBe(422);
    expect(textOf(find(html(long), "#field-reason-error"))).toContain("at most 200 characters");
    const answer = await form("not one of ours");
    expect([answer.status, answer.headers.get("location")]).toEqual([303, "/"]);
    expect((await socket.next("pending.refused")).message).toContain("not one of ours");
    expect(textOf(await open(pendingId))).toContain("not one of ours");
    expect(await panel()).toBeNull();
  });

  it("of what is not there is a page that says so", async () => {
    expect((await server.admin.get("/pending-hosts/01KAQ2XK3M5N7P9Q1R3S5T7V9W")).status).toBe(404);
  });
});

it("Add host says that a machine can announce itself, with the command", async () => {
  const page = html(await server.admin.get("/hosts/new"));
  expect(textOf(find(page, "#announce-command"))).toBe(
    `restic-manager-agent announce --server ${server.url} --run`,
  );
});

it("a name that is markup or endless stays text", async () => {
  const name = `${"a".repeat(59)}z`;
  await new AnnouncedMachine(server, name).wait({ note: "<script>alert(1)</script>", os: "<b>", arch: "x" });
  const answer = await server.admin.get("/");
  expect(answer.text).toContain(name);
  expect(answer.text).not.toContain("<script>alert");
  expect(answer.text).not.toContain("<b>");
});
