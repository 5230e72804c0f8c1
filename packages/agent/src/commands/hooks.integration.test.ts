/** Hooks around a backup, with real shells and real restic: their order, what they see, and how they end. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { cp, readFile, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { BackupSpec, ServerMessage } from "@restic-manager/protocol";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  type AgentLab,
  createAgentLab,
  createGatedRestic,
  JOB,
  killProgram,
  startInProgram,
  startProgram,
} from "../../fixtures/agent/lab.ts";
import {
  createLab,
  createRepository,
  fillSource,
  getResticPath,
  LAB_PASSWORD,
  type Lab,
  readCommandLine,
  until,
} from "../../fixtures/restic/lab.ts";

let template: Lab;
beforeAll(async () => {
  template = await createLab();
  await createRepository(template);
});
afterAll(() => template.remove());

let lab: AgentLab;
let notes: string;
beforeEach(async () => {
  lab = await createAgentLab();
  notes = join(lab.dir, "notes");
  await cp(template.repository.url, lab.repository.url, { recursive: true });
  await fillSource(lab, 1);
});
afterEach(() => lab.remove());

type Scripts = {
  pre?: string;
  post?: string;
  /** For that hook only: a slow machine takes a while until a hook runs, and its time counts from before. */
  timeout?: { pre?: number; post?: number };
  change?: Partial<BackupSpec>;
};

function backupWith({ pre, post, timeout = {}, change = {} }: Scripts) {
  const toHook = (script: string | undefined, timeout_seconds = 60) =>
    script === undefined ? null : { script, timeout_seconds };
  const message: Extract<ServerMessage, { type: "command.run" }> = {
    ...{ type: "command.run", job_id: JOB, attempt: 1 },
    spec: {
      ...{ kind: "backup", host_name: "test-host", source_group: "my group" },
      ...{ includes: [lab.source], excludes: [] },
      ...{ pre_hook: toHook(pre, timeout.pre), post_hook: toHook(post, timeout.post) },
      ...change,
    },
  };
  return message;
}

const cancel = () => lab.server.send({ type: "command.cancel", job_id: JOB });
const logged = () =>
  lab.server.committed.flatMap((event) => (event.type === "log.stream" ? event.lines : []));
const texts = () => logged().map(({ text }) => text);
const untilNoted = (word: string) => until(`"${word}" is noted`, () => noted().includes(word));
const noted = () => (existsSync(notes) ? readFileSync(notes, "utf8") : "").split("\n").slice(0, -1);
const note = (words: string) => `echo "${words}" >> ${notes}`;
/** Goes on when the file `gate-<name>` is there. */
const waitFor = (name: string) => `while [ ! -e ${join(lab.dir, `gate-${name}`)} ]; do sleep 0.05; done`;
const open = (name: string) => writeFile(join(lab.dir, `gate-${name}`), "");

async function untilFinished() {
  const ends = () => lab.server.committed.filter((event) => event.type === "job.finished");
  await lab.server.until(() => ends().length > 0, "the end");
  expect(ends()).toHaveLength(1);
  const numbers = logged().map(({ n }) => n);
  expect(numbers).toEqual(numbers.map((_, index) => index + 1));
  expect(ends()[0]?.log_lines).toBe(numbers.length);
  return ends()[0];
}

async function runToEnd(scripts: Scripts) {
  lab.server.commands = [backupWith(scripts)];
  await startInProgram(lab);
  return untilFinished();
}

describe("the scripts of a backup", () => {
  const words = '"$RM_JOB_ID|$RM_JOB_STATUS|$RM_HOST|$RM_SOURCE_GROUP|$RM_SNAPSHOT_ID"';

  test("run before and after it, and are told which job, group and snapshot it is", async () => {
    const end = await runToEnd({
      pre: `echo pre ${words} >> ${notes}; echo from-pre > ${join(lab.source, "dump")}`,
      post: `echo post ${words} >> ${notes}`,
    });
    const id = end?.summary?.snapshot_id;
    expect(end).toMatchObject({ status: "succeeded", error: null, summary: { total_files: 2 } });
    expect(noted()).toEqual([
      `pre ${JOB}||test-host|my group|`,
      `post ${JOB}|succeeded|test-host|my group|${id}`,
    ]);
  });

  test("have their lines in the log, before and after those of the backup", async () => {
    await runToEnd({ pre: "echo one; echo two >&2", post: "printf 'three\\n\\nfour'" });
    const told = texts().filter((text) => !text.startsWith("restic "));
    expect(told.slice(0, 2).sort()).toEqual(["hook(pre): one", "hook(pre): two"]);
    expect(told.slice(2, 4).map((text) => text.split(" ")[0])).toEqual(["Files:", "Snapshot"]);
    expect(told.slice(4)).toEqual(["hook(post): three", "hook(post): four"]);
    expect(logged().find(({ text }) => text.endsWith("two"))).toMatchObject({ level: "warning" });
  });

  test("see nothing of restic's secrets, and what they print of them is masked", async () => {
    await writeFile(join(lab.dir, "password"), LAB_PASSWORD);
    await runToEnd({ pre: `env | grep -c RESTIC >> ${notes}; cat ${join(lab.dir, "password")}` });
    expect(noted()).toEqual(["0"]);
    expect(texts()).toContain("hook(pre): ***");
    expect(JSON.stringify(lab.server.received) + lab.logLines.join("")).not.toContain(LAB_PASSWORD);
  });

  test("are a private file while they run, never an argument, and gone afterwards", async () => {
    lab.server.commands = [
      backupWith({ pre: `secret=hush; ${note("$$")}; ${waitFor("pre")}`, post: waitFor("post") }),
    ];
    await startInProgram(lab);
    await until("the hook runs", () => noted().length > 0);
    const jobDir = join(lab.config.data_dir, "jobs", JOB);
    const script = join(jobDir, "hook-pre", "script");
    expect(await readCommandLine(Number(noted()[0]))).toBe(`/bin/sh\0${script}\0`);
    const entries = readdirSync(jobDir, { recursive: true, withFileTypes: true });
    // A write that is under way is renamed at any moment; its file is looked at under its name.
    const files = entries.filter((entry) => entry.isFile() && !entry.name.endsWith(".tmp"));
    for (const { parentPath, name } of files) {
      const path = join(parentPath, name);
      expect((await stat(path)).mode & 0o077).toBe(0);
      const isSecret = path === script || name === "state.json";
      expect([name, (await readFile(path, "utf8")).includes("hush")]).toEqual([name, isSecret]);
    }
    await open("pre");
    await until("the post hook runs", () => existsSync(join(jobDir, "hook-post", "script")));
    expect(existsSync(script)).toBe(false);
    await open("post");
    await untilFinished();
    expect(JSON.stringify(lab.server.received) + lab.logLines.join("")).not.toContain("hush");
  });

  test("may come from a browser, with line ends of another system", async () => {
    await runToEnd({ pre: `if true; then\r\n${note("works")}\r\nfi\r\n` });
    expect(noted()).toEqual(["works"]);
  });

  test("that print without end are cut short in the log, with a word", async () => {
    const end = await runToEnd({ pre: "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo $i; done" });
    expect(end).toMatchObject({ status: "succeeded" });
    const told = texts().filter((text) => text.startsWith("hook(pre)"));
    expect(told).toHaveLength(2_001);
    expect(told.at(-1)).toBe("hook(pre): more than 2000 lines: the rest is left out.");
  });
});

describe("a pre hook that fails", () => {
  test("by printing faster than a disk can take is stopped", async () => {
    const end = await runToEnd({ pre: `yes "$(printf "%01000d" 0)"` });
    expect(end).toMatchObject({ status: "failed", error: { code: "hook.pre_failed" } });
    expect(end?.error?.message).toContain("16 MiB");
  });

  test("keeps the backup from running, says its last words, and the post hook runs all the same", async () => {
    const end = await runToEnd({
      pre: "echo dumping; echo no such database >&2; exit 3",
      post: note("post $RM_JOB_STATUS:$RM_SNAPSHOT_ID"),
    });
    expect(end).toMatchObject({
      ...{ status: "failed", summary: null, exit_code: null },
      error: { code: "hook.pre_failed", message: expect.stringContaining("exit code 3") },
    });
    expect(end?.error?.last_lines.toSorted()).toEqual(["dumping", "no such database"]);
    expect(noted()).toEqual(["post failed:"]);
    expect(lab.server.all("snapshots.added")).toEqual([]);
  });

  test("by its time-out is stopped with everything that it started", async () => {
    const child = `sh -c 'trap "" TERM HUP; ${note("child $$")}; while true; do sleep 0.05; done' &`;
    const end = await runToEnd({
      pre: `${child}\n${waitFor("never")}`,
      post: note("post"),
      timeout: { pre: 1 },
    });
    expect(end).toMatchObject({ status: "failed", error: { code: "hook.pre_timeout" } });
    const pid = Number(noted()[0]?.split(" ")[1]);
    await until("the child is gone", () => !existsSync(`/proc/${pid}`));
    expect(noted().at(-1)).toBe("post");
  });
});

describe("a post hook that fails", () => {
  test("makes a good backup a warning", async () => {
    const end = await runToEnd({ post: "echo no >&2; exit 1" });
    expect(end).toMatchObject({ status: "warning", error: { code: "hook.post_failed", last_lines: ["no"] } });
    expect(end?.summary?.snapshot_id).toBeDefined();
    expect(lab.server.all("snapshots.added")).toHaveLength(1);
  });

  test("by its time-out does so too", async () => {
    const end = await runToEnd({ post: waitFor("never"), timeout: { post: 1 } });
    expect(end).toMatchObject({ status: "warning", error: { code: "hook.post_timeout" } });
  });

  test("does not hide why the backup failed", async () => {
    const end = await runToEnd({ post: "exit 1", change: { includes: [join(lab.dir, "gone")] } });
    expect(end).toMatchObject({ status: "failed", error: { code: "restic.source_missing" } });
    expect(texts().at(-1)).toContain("The post hook failed");
  });
});

describe("cancelling", () => {
  test("during the pre hook ends it and the job, and the post hook runs", async () => {
    lab.server.commands = [
      backupWith({ pre: `${note("begun")}; ${waitFor("never")}`, post: note("post $RM_JOB_STATUS") }),
    ];
    await startInProgram(lab);
    await untilNoted("begun");
    cancel();
    expect(await untilFinished()).toMatchObject({ status: "cancelled", error: null, summary: null });
    expect(noted()).toEqual(["begun", "post cancelled"]);
  });

  test("during the backup has the post hook run", async () => {
    const gate = await createGatedRestic(lab, 1);
    lab.server.commands = [backupWith({ pre: note("pre"), post: note("post $RM_JOB_STATUS") })];
    await startInProgram(lab, { ...lab.config, restic_path: gate.path });
    await until("restic runs", () => existsSync(gate.reached));
    cancel();
    expect(await untilFinished()).toMatchObject({ status: "cancelled" });
    expect(noted()).toEqual(["pre", "post cancelled"]);
  });

  test("during the post hook interrupts nothing", async () => {
    lab.server.commands = [backupWith({ post: `${note("begun")}; ${waitFor("post")}; ${note("done")}` })];
    await startInProgram(lab);
    await untilNoted("begun");
    cancel();
    const state = join(lab.config.data_dir, "jobs", JOB, "state.json");
    await until("the wish is written down", async () =>
      (await readFile(state, "utf8")).includes('"cancel_requested":true'),
    );
    await open("post");
    expect(await untilFinished()).toMatchObject({ status: "succeeded", error: null });
    expect(noted()).toEqual(["begun", "done"]);
  });
});

describe("an agent that is killed", () => {
  const numbered = (word: string) => `echo ${word}-1; ${note(word)}; ${waitFor(word)}; echo ${word}-2`;

  test("in the middle of the pre hook finds it again, and goes on from there", async () => {
    lab.server.commands = [backupWith({ pre: numbered("pre"), post: note("post $RM_JOB_STATUS") })];
    const first = await startProgram(lab);
    await lab.server.until(() => texts().includes("hook(pre): pre-1"), "its first line");
    await killProgram(first);
    await startInProgram(lab);
    await open("pre");
    expect(await untilFinished()).toMatchObject({ status: "succeeded" });
    expect(noted()).toEqual(["pre", "post succeeded"]);
    expect(texts().filter((text) => text.startsWith("hook"))).toEqual([
      "hook(pre): pre-1",
      "hook(pre): pre-2",
    ]);
  });

  test("in the middle of the post hook finds it again, and backs up once", async () => {
    lab.server.commands = [backupWith({ pre: "echo pre", post: numbered("post") })];
    const first = await startProgram(lab);
    await lab.server.until(() => texts().includes("hook(post): post-1"), "its first line");
    await killProgram(first);
    await startInProgram(lab);
    await open("post");
    const end = await untilFinished();
    expect(end).toMatchObject({ status: "succeeded", summary: { total_files: 1 } });
    expect(lab.server.all("snapshots.added")[0]?.snapshot.id).toBe(end?.summary?.snapshot_id);
    const told = texts().map((text) => text.split(" ").slice(0, 2).join(" "));
    expect(told.slice(2).map((text) => text.split(" ")[0])).toEqual([
      ...["Files:", "Snapshot", "hook(post):", "hook(post):"],
    ]);
    await lab.server.until(() => lab.server.all("snapshots.report").length > 0, "the list");
    expect(lab.server.all("snapshots.report").at(-1)?.snapshots).toHaveLength(1);
  });

  test("after the backup failed does not run it after all, when its reason is gone", async () => {
    lab.config.restic_path = join(lab.dir, "late-restic");
    lab.server.commands = [backupWith({ post: numbered("post") })];
    const first = await startProgram(lab);
    await untilNoted("post");
    await killProgram(first);
    await symlink(getResticPath(), lab.config.restic_path);
    await startInProgram(lab);
    await open("post");
    expect(await untilFinished()).toMatchObject({ status: "failed", error: { code: "restic.missing" } });
    expect(lab.server.all("snapshots.added")).toEqual([]);
  });

  test("while a time-out passes has the next one end the hook at once", async () => {
    lab.server.commands = [
      backupWith({ pre: `${note("begun")}; ${waitFor("never")}`, timeout: { pre: 600 } }),
    ];
    const first = await startProgram(lab);
    await untilNoted("begun");
    await killProgram(first);
    const longAgo = new Date("2020-01-01");
    await utimes(join(lab.config.data_dir, "jobs", JOB, "hook-pre", "spec.json"), longAgo, longAgo);
    await startInProgram(lab);
    expect(await untilFinished()).toMatchObject({ status: "failed", error: { code: "hook.pre_timeout" } });
  });
});

describe("a host that refuses hooks", () => {
  test("says so in hello, and fails a job with hooks before anything runs", async () => {
    lab.server.commands = [backupWith({ pre: note("pre"), post: note("post") })];
    await startInProgram(lab, { ...lab.config, allow_hooks: false });
    expect(await untilFinished()).toMatchObject({
      status: "failed",
      error: { code: "hook.not_allowed", message: expect.stringContaining("allow_hooks") },
    });
    expect(lab.server.hellos[0]).toMatchObject({ hooks_allowed: false });
    expect(noted()).toEqual([]);
    expect(lab.server.all("snapshots.added")).toEqual([]);
  });

  test("runs a job without hooks", async () => {
    lab.server.commands = [backupWith({})];
    await startInProgram(lab, { ...lab.config, allow_hooks: false });
    expect(await untilFinished()).toMatchObject({ status: "succeeded" });
  });
});
