/** Every command against a real server with an agent that the test plays: text for eyes, JSON as it is, exit codes. */
import { join } from "node:path";
import { jobKinds } from "@restic-manager/protocol";
import {
  ackOf,
  CliWorld,
  connectTestAgent,
  finishedOf,
  linesOf,
  logOf,
  progressOf,
  releaseContent,
  reportOf,
  snapshotOf,
  startedOf,
  type TestAgent,
  TestServer,
  writeRelease,
} from "@restic-manager/testkit";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { run } from "./rmctl.ts";

let server: TestServer;
let agent: TestAgent;
let world: CliWorld;
let seq = 0;
const tokens: Record<string, string> = {};
const [older, newer] = ["ab12".padEnd(64, "0"), "ab34".padEnd(64, "0")];

beforeAll(async () => {
  server = new TestServer({});
  await writeRelease(join(server.dataDir, "release"), releaseContent("0.2.0"));
  await server.start();
  for (const role of ["admin", "operator", "viewer"]) {
    const made = await server.admin.post("/api/auth/tokens", { name: role, role });
    tokens[role] = String(made.body.token);
  }
  agent = await connectTestAgent(server, { name: "web-01", tags: ["prod"] });
  await agent.hello({ backend_kinds: ["local"], job_kinds: [...jobKinds] });
  await finish(await agent.nextMessage("command.run"));
  const snapshots = [snapshotOf(older, { time: "2026-11-20T03:00:00.000Z" }), snapshotOf(newer)];
  agent.send(reportOf(++seq, snapshots));
  await agent.acknowledged(seq);
});
afterAll(() => server?.stop());
beforeEach(() => {
  world = new CliWorld({ RM_SERVER: server.url, RM_API_TOKEN: tokens.admin });
  world.at = server.clock.now();
});
afterEach(() => world.remove());

/** Runs one command line. */
async function rmctl(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  const code = await run(argv, world);
  return { code, ...world.take() };
}
const json = async (...argv: string[]) => JSON.parse((await rmctl(...argv, "--json")).out);
const as = (role: string) => {
  world.env = { ...world.env, RM_API_TOKEN: tokens[role] };
};

type Run = { job_id: string; attempt: number };
type Finish = Parameters<typeof finishedOf>[2];

/** Plays a job's whole life. */
async function finish(command: Run, more: Finish = {}, texts: readonly string[] = []): Promise<void> {
  agent.send(ackOf(command));
  agent.send(startedOf(command, ++seq));
  if (texts.length > 0)
    agent.send(
      logOf(
        command,
        ++seq,
        linesOf(1, texts.length, (n) => texts[n - 1] ?? ""),
      ),
    );
  agent.send(finishedOf(command, ++seq, { log_lines: texts.length, ...more }));
  await agent.acknowledged(seq);
}

/** Runs a command line whose job the agent plays as told. */
async function followed(argv: string[], more: Finish = {}, texts: readonly string[] = []) {
  const ended = rmctl(...argv, "--follow");
  const command = await agent.nextMessage("command.run");
  await finish(command, more, texts);
  return { ...(await ended), command };
}

describe("hosts", () => {
  it("are listed for eyes, and with --json as the API has them", async () => {
    const { code, out } = await rmctl("hosts", "list");
    expect(code).toBe(0);
    expect(out.split("\n")[0]).toMatch(/^NAME +STATE +SEEN +SYSTEM +AGENT +RESTIC +TAGS$/);
    expect(out).toMatch(/^web-01 +online +\S.* linux\/x64 +0\.1\.0-test +0\.19\.1 +prod$/m);
    const found = await json("hosts", "list");
    expect(found.hosts[0]).toMatchObject({ id: agent.hostId, schedule_version: expect.any(Number) });
    expect((await json("hosts", "list", "--state", "offline")).hosts).toEqual([]);
  });

  it("are shown by name in any case, or by id", async () => {
    expect((await rmctl("hosts", "show", "WEB-01")).out).toMatch(
      /^Name +web-01\nId +[0-9A-Z]{26}\nState +online/,
    );
    expect(await json("hosts", "show", agent.hostId)).toMatchObject({ name: "web-01" });
    const missing = await rmctl("hosts", "show", "web");
    expect(missing).toMatchObject({ code: 13, out: "" });
    expect(missing.err).toMatch(/^rmctl: There is no host "web"\. .*\n\(cli\.no_such_host\)\n$/);
  });

  it("go only when their name is typed", async () => {
    const gone = await connectTestAgent(server, { name: "old-01" });
    expect((await rmctl("hosts", "delete", gone.name)).code).toBe(2);
    const wrong = await rmctl("hosts", "delete", gone.name, "--confirm", "old-02");
    expect(wrong.code).toBe(10);
    expect(wrong.err).toMatch(/request 01/);
    expect((await rmctl("hosts", "delete", gone.name, "--confirm", "old-01")).out).toMatch(/is removed/);
    expect((await rmctl("hosts", "show", gone.name)).code).toBe(13);
  });

  it("are enrolled by a token whose secrets come from the environment", async () => {
    world.env = { ...world.env, RM_REPO_PASSWORD: "a password from the environment" };
    const made = await rmctl(
      "enrol",
      "create",
      "new-01",
      "--repository",
      "/srv/repo",
      "--tag",
      "a",
      "--tag",
      "b",
    );
    expect(made.out).toMatch(/^Id +\S+\nToken +\S+\nEnds .* UTC\nOn the host /);
    expect(made.out).not.toContain("a password");
    const [, id = ""] = /^Id +(\S+)$/m.exec(made.out) ?? [];
    expect((await rmctl("enrol", "show", id)).out).toMatch(/State +waiting/);
  });

  it("are summed up", async () => {
    expect((await rmctl("status")).out).toMatch(/^Hosts online +1 of \d+$/m);
  });
});

describe("updates", () => {
  it("of the fleet are started for some hosts, shown, and decided about", async () => {
    const started = await rmctl("updates", "start", "--host", "web-01");
    expect(started, started.err).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^To +agent 0\.2\.0$/m),
    });
    const [, id = ""] = /^Update +(\S+)$/m.exec(started.out) ?? [];
    // The run is told as it was made; its first host is begun a moment later.
    const command = await agent.nextMessage("command.run");
    expect((await rmctl("updates", "show", id)).out).toMatch(/^web-01 +1 +updating/m);
    expect((await rmctl("updates", "list")).out).toMatch(new RegExp(`^${id} +agent 0\\.2\\.0 +running`, "m"));
    expect((await rmctl("updates", "pause", id)).out).toMatch(/^State +paused$/m);
    expect((await rmctl("updates", "cancel", id)).out).toMatch(/^State +cancel/m);
    // What is under way comes to its end.
    await finish(command);
    await server.until("the update ends", async () =>
      /^Ended /m.test((await rmctl("updates", "show", id)).out),
    );
    as("operator");
    expect((await rmctl("updates", "start")).code).toBe(12);
  });

  it("of one host are a job", async () => {
    expect((await rmctl("updates", "host", "web-01", "--program", "restic")).code).toBe(14);
    const { code, command } = await followed(["updates", "host", "web-01"]);
    expect(code).toBe(0);
    expect(command.spec).toMatchObject({ kind: "update", program: "agent", version: "0.2.0" });
    expect((await rmctl("updates", "show", "nothing")).code).toBe(13);
  });
});

describe("a job", () => {
  it("that is followed shows its log, ends with what it did, and its end is the exit code", async () => {
    const summary = {
      ...{ snapshot_id: newer, files_new: 1, files_changed: 0, files_unmodified: 9, total_files: 10 },
      ...{ total_bytes: 2048, added_bytes: 1024, added_bytes_packed: null, duration_ms: 8000 },
    };
    const { code, out, command } = await followed(["jobs", "run", "web-01", "backup"], { summary }, [
      "one",
      "two",
    ]);
    expect(code).toBe(0);
    expect(out).toBe(
      `backup on web-01: job ${command.job_id}\n04:00:01 one\n04:00:01 two\n` +
        "backup succeeded in 8s: 10 files, 2.0 KiB, 1.0 KiB added, snapshot ab340000\n",
    );
  });

  it.each([
    { status: "warning" as const, code: 3 },
    { status: "failed" as const, code: 1 },
  ])("that ends as $status gives $code and says why", async ({ status, code }) => {
    const error = { code: "restic.some", message: "Some of it went wrong.", last_lines: [] };
    const ended = await followed(["groups", "run", "web-01", "default"], { status, error, exit_code: 3 });
    expect(ended.code).toBe(code);
    expect(ended.out).toContain(`backup ${status} in 8s\nSome of it went wrong. (restic.some)\n`);
  });

  it("is followed with --json as one document a line", async () => {
    const ended = rmctl("repository", "check", "web-01", "--percent", "5", "--follow", "--json");
    const command = await agent.nextMessage("command.run");
    expect(command.spec).toMatchObject({ kind: "check", read_data: { percent: 5 } });
    agent.send(progressOf(command));
    await finish(command, {}, ["checked"]);
    const documents = (await ended).out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(documents[0]).toEqual({ job_id: command.job_id, job_ids: [command.job_id] });
    expect(documents.filter(({ type }) => type === "log")).toMatchObject([
      { lines: [{ n: 1, text: "checked" }] },
    ]);
    expect(documents.at(-1)).toEqual({ type: "end" });
  });

  it("can't make the terminal obey by its log, its names or its errors", async () => {
    const evil = "\x1b]0;owned\x07\x9b31m\u202e\rgone";
    const error = { code: "restic.some", message: evil, last_lines: [evil] };
    const ended = await followed(["repository", "check", "web-01"], { status: "failed", error }, [evil]);
    const { out, command } = ended;
    const shown = [
      out,
      (await rmctl("jobs", "show", command.job_id)).out,
      (await rmctl("jobs", "log", command.job_id)).out,
      (await rmctl("jobs", "log", command.job_id, "--json")).out,
      (await rmctl("jobs", "show", command.job_id, "--json")).out,
    ];
    for (const text of shown) {
      expect(text).toContain("owned");
      expect(text.replaceAll("\n", "")).not.toMatch(/[\p{Cc}\u202e]/u);
    }
    const stored = JSON.parse(shown[4] ?? "");
    expect(stored.error.last_lines).toEqual([evil]);
  });

  it("is listed, shown, and cancelled while it runs", async () => {
    const { job_id: jobId } = await json("jobs", "run", "web-01", "backup", "--group", "default");
    const command = await agent.nextMessage("command.run");
    agent.send(ackOf(command));
    agent.send(startedOf(command, ++seq));
    await agent.acknowledged(seq);
    const list = await rmctl("jobs", "list", "--host", "web-01", "--status", "running");
    expect(list.out).toMatch(new RegExp(`^${jobId} +web-01 +backup +default +running +\\S.* admin$`, "m"));
    expect((await rmctl("jobs", "show", jobId)).out).toMatch(/^Status +running$/m);
    const following = rmctl("jobs", "follow", jobId);
    expect((await rmctl("jobs", "cancel", jobId)).out).toBe("The job's agent is asked to stop it.\n");
    await agent.nextMessage("command.cancel");
    agent.send(finishedOf(command, ++seq, { status: "cancelled" }));
    expect(await following).toMatchObject({ code: 4, out: "backup cancelled in 8s\n" });
    expect((await rmctl("jobs", "cancel", jobId)).out).toMatch(/had ended already/);
  });

  it("goes on when Ctrl+C ends the following", async () => {
    const { job_id: jobId } = await json("jobs", "run", "web-01", "check");
    const command = await agent.nextMessage("command.run");
    agent.send(ackOf(command));
    agent.send(startedOf(command, ++seq));
    agent.send(logOf(command, ++seq, linesOf(1, 1)));
    await agent.acknowledged(seq);
    const following = rmctl("jobs", "follow", jobId);
    await server.until("its line came", () => world.out.text.includes("line 1"));
    world.interrupt();
    expect(await following).toMatchObject({ code: 130 });
    expect((await server.admin.get(`/api/jobs/${jobId}`)).body).toMatchObject({
      status: "running",
      cancel_requested_at: null,
    });
    agent.send(finishedOf(command, ++seq, { log_lines: 1 }));
    await agent.acknowledged(seq);
  });

  it("is refused to a viewer, with the server's code and the exit code of a refusal", async () => {
    as("viewer");
    const refused = await rmctl("jobs", "run", "web-01", "backup");
    expect(refused).toMatchObject({ code: 12, out: "" });
    expect(refused.err).toMatch(
      /^rmctl: This needs the role operator; .*\n\(auth\.role_too_low, request 01\S+\)\n$/,
    );
    const document = JSON.parse((await rmctl("jobs", "run", "web-01", "backup", "--json")).err);
    expect(document).toMatchObject({ code: "auth.role_too_low", request_id: expect.any(String) });
    expect((await rmctl("jobs", "list")).code).toBe(0);
  });

  it("of a kind, group or id that there is not is refused before anything runs", async () => {
    expect((await rmctl("jobs", "run", "web-01", "explode")).code).toBe(2);
    expect((await rmctl("jobs", "run", "web-01", "backup", "--group", "none")).err).toMatch(/but: default/);
    expect((await rmctl("jobs", "show", "../hosts")).code).toBe(2);
    expect((await rmctl("jobs", "follow", "01KAQ2XK3M5N7P9Q1R3S5T7V9W")).code).toBe(13);
    expect((await rmctl("jobs", "run", "web-01", "repair")).code).toBe(2);
  });

  it("that can't run gives the server's reason", async () => {
    const refused = await rmctl("repository", "prune", "web-01");
    expect(refused.code).toBeGreaterThanOrEqual(10);
    expect(refused.err).toMatch(/\((\w+\.\w+), request /);
  });
});

describe("snapshots", () => {
  it("are listed newest first", async () => {
    const { out } = await rmctl("snapshots", "list", "web-01");
    expect(out.split("\n").map((line) => line.slice(0, 8))).toEqual(["SNAPSHOT", "ab340000", "ab120000", ""]);
    expect((await rmctl("snapshots", "list", "web-01", "--limit", "1")).out).toContain("1 of 2 snapshots\n");
  });

  const entry = {
    ...{ kind: "file" as const, size_bytes: 2048, mode: 0o640, uid: 0, gid: 0, user: "root", group: "adm" },
    ...{ modified_at: "2026-01-01T10:20:30.000Z", target: null },
  };
  const index = { state: "ready" as const, entries: 2, problem: null };

  it("are looked into like with ls, by the beginning of their id or as the latest", async () => {
    const asked = rmctl("snapshots", "tree", "web-01", "ab34", "/etc");
    const { request_id, ...question } = await agent.nextMessage("tree.list");
    expect(question).toMatchObject({ snapshot_id: newer, path: "/etc" });
    const entries = [
      { ...entry, name: "ssh", kind: "folder" as const, size_bytes: null },
      { ...entry, name: "a\nb" },
    ];
    agent.send({ type: "tree.page", request_id, entries, more: false, index, error: null });
    expect((await asked).out).toBe(
      "MODE        OWNER        SIZE  MODIFIED          NAME\n" +
        "drw-r-----  root:adm        -  2026-01-01 10:20  ssh/\n" +
        "-rw-r-----  root:adm  2.0 KiB  2026-01-01 10:20  a\\nb\n",
    );
    const unclear = await rmctl("snapshots", "tree", "web-01", "ab", "/");
    expect(unclear.code).toBe(2);
    expect((await rmctl("snapshots", "tree", "web-01", "ffff")).err).toMatch(/no snapshot "ffff"/);
  });

  it("are searched, waiting for the index", async () => {
    const asked = rmctl("snapshots", "search", "web-01", "latest", "*.conf");
    const first = await agent.nextMessage("tree.search");
    const indexing = { state: "building" as const, entries: 1, problem: null };
    agent.send({
      type: "tree.matches",
      request_id: first.request_id,
      matches: [],
      more: false,
      index: indexing,
      error: null,
    });
    const second = await agent.nextMessage("tree.search");
    expect(second).toMatchObject({ snapshot_id: newer, pattern: "*.conf" });
    const matches = [{ ...entry, name: "a.conf", folder: "/etc" }];
    agent.send({
      type: "tree.matches",
      request_id: second.request_id,
      matches,
      more: false,
      index,
      error: null,
    });
    expect((await asked).out).toContain(" /etc/a.conf\n");
  });

  it("are compared: the job is waited for, then its changes are shown", async () => {
    const asked = rmctl("snapshots", "diff", "web-01", "ab12", "latest");
    const command = await agent.nextMessage("command.run");
    expect(command.spec).toMatchObject({ kind: "diff", from: older, to: newer });
    const result = {
      ...{ kind: "diff" as const, added: { count: 1, bytes: 3 }, removed: { count: 0, bytes: 0 } },
      ...{ changed: { count: 0, bytes: 0 }, metadata: 0, sized: true },
    };
    await finish(command, { result });
    const { code, out } = await asked;
    expect(code).toBe(0);
    expect(out).toContain("1 added, 0 removed, 0 changed, 0 only in mode, owner or time\n");
  });
});

describe("a restore", () => {
  it("goes into a new folder, or only tells what it would write", async () => {
    const { command } = await followed(
      ["restore", "run", "web-01", "latest", "/etc/hosts", "/srv", "--target", "/tmp/x", "--dry-run"],
      {},
    );
    expect(command.spec).toMatchObject({
      ...{ kind: "restore", snapshot_id: newer, paths: ["/etc/hosts", "/srv"], dry_run: true },
      target: { kind: "directory", path: "/tmp/x" },
    });
  });

  it("in place wants the host's name, the right one", async () => {
    const inPlace = ["restore", "run", "web-01", "latest", "/etc", "--in-place"];
    expect((await rmctl(...inPlace)).code).toBe(2);
    expect((await rmctl(...inPlace, "--confirm", "web-02")).code).toBeGreaterThanOrEqual(10);
    const { command } = await followed([...inPlace, "--confirm", "web-01", "--overwrite", "if-newer"]);
    expect(command.spec).toMatchObject({ target: { kind: "in_place", overwrite: "if-newer" } });
  });

  it("of a path that can't be is refused with every problem", async () => {
    const refused = await rmctl("restore", "run", "web-01", "latest", "etc", "/a/../b");
    expect(refused.code).toBe(15);
    expect(refused.err).toMatch(/“etc” is not absolute.*\n {2}paths\.1: “\/a\/\.\.\/b” leads upward/);
  });
});

describe("plans", () => {
  it("list source groups and schedules, and a schedule is run by the end of its id", async () => {
    expect((await rmctl("groups", "list", "web-01")).out).toMatch(/^default +everything +\/etc +-$/m);
    const groups = (await server.admin.get(`/api/hosts/${agent.hostId}/source-groups`)).body.source_groups;
    const made = await server.admin.post(`/api/hosts/${agent.hostId}/schedules`, {
      ...{ cron: "0 3 * * *", time_zone: "UTC", source_group_ids: [(groups as { id: string }[])[0]?.id] },
      enabled: false,
    });
    const short = String(made.body.id).slice(-6);
    expect((await rmctl("schedules", "list", "web-01")).out).toMatch(
      new RegExp(`^${short} +0 3 \\* \\* \\* +UTC +default +paused +-$`, "m"),
    );
    expect((await rmctl("schedules", "run", "web-01", short)).code).toBe(14);
    const { code } = await followed(["schedules", "run", "web-01", short, "--confirm-paused"]);
    expect(code).toBe(0);
    expect((await rmctl("schedules", "run", "web-01", "ZZZZ")).code).toBe(13);
  });

  it("show the repository, its maintenance, and whether the host can open it", async () => {
    const { out } = await rmctl("repository", "show", "web-01");
    expect(out).toMatch(/^Location +\/srv\/repo$/m);
    expect(out).toMatch(/^prune +- +- +in /m);
    const asked = rmctl("repository", "test", "web-01");
    const { request_id } = await agent.nextMessage("repository.test");
    const error = { code: "restic.wrong_password", message: "The password is wrong.", last_lines: ["Fatal"] };
    agent.send({ type: "repository.tested", request_id, outcome: "failed", error, duration_ms: 900 });
    expect(await asked).toMatchObject({ code: 1, out: expect.stringMatching(/^The password is wrong\. /) });
  });
});
