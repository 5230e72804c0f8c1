/** The repository page through the whole server: verbs that reach the agent, forms that forgive, names that are typed. */
import type { RepoStats } from "@restic-manager/protocol";
import {
  ackOf,
  connectTestAgent,
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

const ours = "a".repeat(64);
const foreign = "b".repeat(64);

let server: TestServer;
let agent: TestAgent;
let seq: number;
beforeEach(async () => {
  server = await startTestServer();
  agent = await connectTestAgent(server, { name: "db-01", initialPaths: ["/srv/data"] });
  await agent.hello();
  seq = 0;
  const init = await agent.nextMessage("command.run");
  agent.send(ackOf(init));
  agent.send(startedOf(init, ++seq));
  agent.send(finishedOf(init, ++seq));
  await agent.acknowledged(seq);
});
afterEach(() => server.stop());

const host = (path = "") => `/hosts/${agent.hostId}${path}`;
const post = (path: string, fields: Record<string, string> = {}) => server.admin.form(host(path), fields);
async function tab(query = "") {
  const answer = await server.admin.get(host(`?tab=repository${query}`));
  expect(answer.status, answer.text).toBe(200);
  return parseHtml(answer.text);
}

async function tell(more: Partial<RepoStats>): Promise<void> {
  const figures = { raw_bytes: null, uncompressed_bytes: null, snapshot_count: null, locks: null };
  const stats = { type: "repo.stats" as const, seq: ++seq, job_id: null, repository_id: ours, ...figures };
  agent.send({ ...stats, at: new Date(server.clock.now()).toISOString(), ...more });
  await agent.acknowledged(seq);
}

describe("the repository page", () => {
  it("shows what the agent told, and its day in the history of every range", async () => {
    await tell({ raw_bytes: 4096, uncompressed_bytes: 8192, snapshot_count: 3 });
    for (const range of ["", "&days=90", "&days=365", "&days=7", "&days=x"]) {
      const root = await tab(range);
      expect(textOf(find(root, "#repository-figures"))).toContain("4.00 KiB");
      expect(root.querySelectorAll(".chart-plot title").map(textOf)).toHaveLength(1);
    }
    expect(find(await tab("&days=90"), '.spans [aria-current="true"]').text).toBe("90d");
    expect(find(parseHtml((await server.admin.get("/")).text), "#host-rows").text).toContain("4.00 KiB");
  });
});

describe("the verbs of a repository", () => {
  it.each<{ path: string; fields: Record<string, string>; spec: object }>([
    { path: "/check", fields: { depth: "structure" }, spec: { kind: "check" } },
    { path: "/check", fields: { depth: "10" }, spec: { kind: "check", read_data: { percent: 10 } } },
    { path: "/unlock", fields: {}, spec: { kind: "unlock", remove_all: false } },
    { path: "/repair", fields: { what: "index" }, spec: { kind: "repair", what: "index" } },
  ])("send $path $fields and lead to the live job", async ({ path, fields, spec }) => {
    const answer = await post(path, fields);
    const command = await agent.nextMessage("command.run");
    expect(command.spec).toEqual(spec);
    expect(answer.headers.get("location")).toBe(`/jobs/${command.job_id}`);
  });

  it.each([
    ["0", "more than 0 and up to 100 percent"],
    ["101", "more than 0 and up to 100 percent"],
    ["much", "more than 0 and up to 100 percent"],
    ["slice", "not checked in parts"],
  ])("refuse a check of %s with a sentence on the page", async (depth, says) => {
    const answer = await post("/check", { depth });
    expect([409, 422]).toContain(answer.status);
    expect(textOf(parseHtml(answer.text))).toContain(says);
  });

  it("read the next part of those that are read in turn", async () => {
    const form = { check_on: "on", check_cron: "0 5 1 * *", check_depth: "slices", check_slices: "7" };
    const saved = await post("/maintenance", { ...form, time_zone: "UTC", max_removed_percent: "50" });
    expect(saved.status, saved.text).toBe(303);
    await post("/check", { depth: "slice" });
    expect((await agent.nextMessage("command.run")).spec).toMatchObject({ read_data: { slice: 1, of: 7 } });
  });

  it("refuse a prune without admin credentials on the page itself", async () => {
    const answer = await post("/prune");
    expect(answer.status).toBe(409);
    expect(textOf(parseHtml(answer.text))).toContain("db-01 has no admin credentials");
  });

  it("remove all locks only for the typed name, and keep what was typed", async () => {
    const lock = { id: "c".repeat(64), hostname: "db-01", username: "root", pid: 7, exclusive: true };
    const created_at = new Date(server.clock.now() - 86_400_000).toISOString();
    await tell({ locks: [{ ...lock, created_at, alive: false }] });
    const wrong = await post("/unlock", { remove_all: "1", unlock_confirm_name: "db-02" });
    expect(wrong.status).toBe(422);
    const root = parseHtml(wrong.text);
    expect(find(root, "#field-unlock_confirm_name").getAttribute("value")).toBe("db-02");
    expect(textOf(find(root, "#field-unlock_confirm_name-error"))).toContain("Type exactly db-01");
    await post("/unlock", { remove_all: "1", unlock_confirm_name: "db-01" });
    expect((await agent.nextMessage("command.run")).spec).toEqual({ kind: "unlock", remove_all: true });
  });
});

describe("a repository that is made anew", () => {
  it("wants the host's name typed once one was seen, and is the right one afterwards", async () => {
    await tell({ snapshot_count: 3, raw_bytes: 4096 });
    expect(textOf(find(await tab(), "#repository-danger"))).toContain("3 snapshots");
    const wrong = await post("/init", { init_confirm_name: "db-02" });
    expect(wrong.status).toBe(422);
    const root = parseHtml(wrong.text);
    expect(find(root, "#field-init_confirm_name").getAttribute("value")).toBe("db-02");
    expect(textOf(find(root, "#field-init_confirm_name-error"))).toContain("Type exactly db-01");
    const unasked = await server.admin.post(`/api/hosts/${agent.hostId}/jobs`, { kind: "init" });
    expect(unasked.body).toMatchObject({ code: "jobs.needs_confirmation" });

    await post("/init", { init_confirm_name: "db-01" });
    const init = await agent.nextMessage("command.run");
    expect(init.spec).toEqual({ kind: "init", host_name: "db-01" });
    agent.send(ackOf(init));
    agent.send(startedOf(init, ++seq));
    agent.send(finishedOf(init, ++seq, { result: { kind: "init", created: true } }));
    await tell({ repository_id: foreign, snapshot_count: 0 });
    const after = await tab();
    expect(after.querySelector("#repository-swapped")).toBeNull();
    expect(textOf(find(after, "#repository-danger"))).toContain(foreign.slice(0, 8));
    const entries = (await server.admin.get("/api/audit?action=repository.made_anew")).body;
    expect(entries).toMatchObject({ entries: [{ payload: { before: ours } }] });
  });

  it("is not believed of a host that nobody asked for it", async () => {
    await tell({});
    const other = await connectTestAgent(server, { name: "db-02", initialPaths: ["/srv/data"] });
    await other.hello();
    const first = await other.nextMessage("command.run");
    expect(first.spec.kind).toBe("init");
    other.send(ackOf(first));
    other.send(startedOf(first, 1));
    other.send(finishedOf(first, 2, { result: { kind: "init", created: true } }));
    await other.acknowledged(2);
    expect(textOf(find(await tab(), "#repository-danger"))).toContain(ours.slice(0, 8));
  });

  it("stays the known one when it was there after all", async () => {
    await tell({});
    await post("/init", { init_confirm_name: "db-01" });
    const init = await agent.nextMessage("command.run");
    agent.send(ackOf(init));
    agent.send(startedOf(init, ++seq));
    agent.send(finishedOf(init, ++seq, { result: { kind: "init", created: false } }));
    await tell({ repository_id: foreign });
    expect(textOf(find(await tab(), "#repository-swapped"))).toContain("Another repository");
  });
});

describe("admin credentials", () => {
  it("are set, used for a prune, and removed; the page shows none of their secrets", async () => {
    const set = {
      admin_repo_url: "rest:https://x.example/db",
      admin_repo_username: "admin",
      admin_rest_password: "admin-secret",
    };
    const saved = await post("/admin-credentials", set);
    expect(saved.status, saved.text).toBe(303);
    const root = await tab();
    expect(root.toString()).not.toContain("admin-secret");
    expect(textOf(find(root, "#admin-credentials"))).toContain("rest:https://x.example/db");
    await post("/prune");
    const command = await agent.nextMessage("command.run");
    expect(command.access).toMatchObject({ rest_username: "admin", rest_password: "admin-secret" });
    expect((await post("/admin-credentials/remove")).status).toBe(303);
    expect(textOf(find(await tab(), "#admin-credentials h2"))).toContain("not set");
  });

  it("that are refused keep what was typed, but no secret", async () => {
    const answer = await post("/admin-credentials", {
      ...{
        admin_repo_url: "backup.example/db",
        admin_repo_username: "admin",
        admin_rest_password: "admin-secret",
      },
    });
    expect(answer.status).toBe(422);
    const root = parseHtml(answer.text);
    expect(find(root, "#field-admin_repo_url").getAttribute("value")).toBe("backup.example/db");
    expect(find(root, "#field-admin_repo_username").getAttribute("value")).toBe("admin");
    expect(root.querySelector("#field-admin_repo_url-error")).not.toBeNull();
    expect(answer.text).not.toContain("admin-secret");
  });
});

describe("a storage with settings of its own", () => {
  const s3 = {
    ...{ backend: "s3", s3_endpoint: "https://s3.example.org", s3_bucket: "backups", s3_folder: "db-01" },
    ...{ AWS_ACCESS_KEY_ID: "the-key", AWS_SECRET_ACCESS_KEY: "The-Secret-Key-1", "s3.retries": "3" },
  };
  // What the host was told when it connected.
  beforeEach(async () => void (await agent.nextMessage("config.update")));

  it("is chosen in the form, reaches the agent whole, and its secret no page", async () => {
    const saved = await post("/repository", s3);
    expect(saved.status, saved.text).toBe(303);
    const update = await agent.nextMessage("config.update");
    expect(update.repository).toMatchObject({
      location: "s3:https://s3.example.org/backups/db-01",
      environment: { AWS_ACCESS_KEY_ID: "the-key", AWS_SECRET_ACCESS_KEY: "The-Secret-Key-1" },
      options: { "s3.retries": "3" },
    });
    const root = await tab();
    expect(root.toString()).not.toContain("The-Secret-Key-1");
    expect(find(root, "[name=s3_bucket]").getAttribute("value")).toBe("backups");
    expect(find(root, "[name=backend][value=s3]").hasAttribute("checked")).toBe(true);
  });

  it("keeps its secret when that is left empty, and loses it with another key id", async () => {
    await post("/repository", s3);
    await agent.nextMessage("config.update");
    await post("/repository", { ...s3, AWS_SECRET_ACCESS_KEY: "", s3_folder: "other" });
    const kept = await agent.nextMessage("config.update");
    expect(kept.repository?.environment).toMatchObject({ AWS_SECRET_ACCESS_KEY: "The-Secret-Key-1" });
    const refused = await post("/repository", {
      ...s3,
      AWS_ACCESS_KEY_ID: "another",
      AWS_SECRET_ACCESS_KEY: "",
    });
    expect(refused.status).toBe(422);
    const root = parseHtml(refused.text);
    expect(textOf(find(root, "#field-AWS_SECRET_ACCESS_KEY-error"))).toContain("is needed");
    expect(find(root, "[name=AWS_ACCESS_KEY_ID]").getAttribute("value")).toBe("another");
  });

  it("names each field that is missing, and asks for typed secrets again", async () => {
    const refused = await post("/repository", { ...s3, s3_endpoint: "", s3_bucket: "" });
    const root = parseHtml(refused.text);
    expect(textOf(find(root, "#field-s3_endpoint-error"))).toBe("This is needed.");
    expect(textOf(find(root, "#field-s3_bucket-error"))).toBe("This is needed.");
    expect(textOf(find(root, "#field-AWS_SECRET_ACCESS_KEY-error"))).toContain("Type it again");
    expect(refused.text).not.toContain("The-Secret-Key-1");
  });
});

describe("a test of the connection", () => {
  it("asks the agent with what is typed, saves nothing, and says what came of it", async () => {
    await agent.connect({ backend_kinds: ["rest", "s3"] });
    const answer = post("/repository/test", {
      ...{ backend: "rest", repo_url: "https://backup.example/db-01", repo_username: "db-01" },
      rest_password: "Typed-Only-1",
    });
    const request = await agent.nextMessage("repository.test");
    expect(request.access).toMatchObject({
      location: "rest:https://backup.example/db-01",
      rest_password: "Typed-Only-1",
    });
    agent.send({
      ...{ type: "repository.tested", request_id: request.request_id, outcome: "failed", duration_ms: 5 },
      error: { code: "restic.unauthorised", message: "The storage refused.", last_lines: ["Fatal: 401"] },
    });
    const page = await answer;
    expect(page.status).toBe(200);
    const root = parseHtml(page.text);
    expect(textOf(find(root, "[aria-label=Credentials] [data-test-result]"))).toContain(
      "The storage refused.",
    );
    expect(find(root, "#field-repo_username").getAttribute("value")).toBe("db-01");
    expect(page.text).not.toContain("Typed-Only-1");
    const stored = await server.admin.get(`/api/hosts/${agent.hostId}/repo-credentials`);
    expect(stored.body).toMatchObject({ repo_url: "/srv/repo", version: 1 });
  });

  it("says in its fragment that the agent is too old, or what is wrong with the form", async () => {
    const fragment = (fields: Record<string, string>) =>
      server.admin.form(`/fragments/hosts/${agent.hostId}/repository/test`, fields);
    const old = await fragment({ backend: "local", local_path: "/srv/repo" });
    expect(old.text).toContain("agent is too old to test");
    const wrong = await fragment({ backend: "local", local_path: "relative" });
    expect(wrong.status).toBe(200);
    expect(wrong.text).toContain("Nothing was tested.");
    expect(wrong.text).toContain("Path: Write a restic location");
  });
});

describe("another repository under the same address", () => {
  it("stops the verbs, and is accepted by the typed name only", async () => {
    await tell({ raw_bytes: 4096 });
    await tell({ repository_id: foreign, raw_bytes: 9 });
    expect(textOf(find(await tab(), "#repository-swapped"))).toContain("is now bbbbbbbb");
    const refused = await post("/check");
    expect(refused.status).toBe(409);
    expect(textOf(parseHtml(refused.text))).toContain("Another repository (bbbbbbbb) answers");
    const wrong = await post("/accept-id", { accept_confirm_name: "DB-01" });
    expect(wrong.status).toBe(422);
    expect(textOf(find(parseHtml(wrong.text), "#field-accept_confirm_name-error"))).toContain("db-01");
    expect((await post("/accept-id", { accept_confirm_name: "db-01" })).status).toBe(303);
    expect((await tab()).querySelector("#repository-swapped")).toBeNull();
    const twice = await post("/accept-id", { accept_confirm_name: "db-01" });
    expect(twice.status).toBe(409);
    expect(textOf(parseHtml(twice.text))).toContain("nothing to accept");
  });
});
