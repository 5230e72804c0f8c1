/** Looking into snapshots with real restic: every odd name, every refusal, and an index that spares restic. */

import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { chmod, cp, link, lstat, mkdir, readdir, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import {
  joinSnapshotPath,
  type RepositoryAccess,
  toSnapshotName,
  toSnapshotPath,
} from "@restic-manager/protocol";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type AgentLab, createAgentLab, JOB, startInProgram } from "../../fixtures/agent/lab.ts";
import {
  answerTo,
  beginList,
  countTree,
  createNotingRestic,
  isRunning,
  listTree,
  makeSnapshot,
  named,
  readPids,
  searchTree,
  untilIndexed,
} from "../../fixtures/agent/tree-lab.ts";
import { createLab, createRepository, type Lab, runRestic, until } from "../../fixtures/restic/lab.ts";

let template: Lab;
beforeAll(async () => {
  template = await createLab();
  await createRepository(template);
});
afterAll(() => template.remove());

let lab: AgentLab;
beforeEach(async () => {
  lab = await createAgentLab();
  await cp(template.repository.url, lab.repository.url, { recursive: true });
});
afterEach(() => lab.remove());

const inSource = (...names: string[]) => join(lab.source, ...names);
const bytes = (latin1: string) => Buffer.from(latin1, "latin1");
const nameOf = (latin1: string) => toSnapshotName(bytes(latin1));
/** A path of bytes in the source. */
const rawPath = (latin1: string) => Buffer.concat([Buffer.from(`${lab.source}/`), bytes(latin1)]);
const asRoot = process.getuid?.() === 0;

const oddNames = [
  ...["new\nline", "quote\"and'", "<script>alert(1)<", "emoji 😀", "trailing ", " leading", "tab\tesc\u001b"],
  ...[
    "a".repeat(255),
    "back\\slash",
    "*glob[x]?",
    "base64:L2V0Yw==",
    "-dash",
    "$HOME",
    "\ufeffmark",
    "real \ufffd",
  ],
];

async function fillWithOddNames(): Promise<void> {
  for (const name of oddNames) await writeFile(inSource(name), name);
  await writeFile(rawPath("bad\xff"), "x");
  await mkdir(rawPath("dir\xfe"));
  await writeFile(rawPath("dir\xfe/in"), "y");
  await mkdir(rawPath("dir\xfe/deep\xfd"));
  await writeFile(rawPath("dir\xfe/deep\xfd/last"), "z");
  await mkdir(inSource("folder "));
  await mkdir(inSource("Another"));
  await symlink("loop", inSource("loop"));
  await symlink(bytes("to\xff"), inSource("bad link"));
  await writeFile(inSource("first"), "hard");
  await link(inSource("first"), inSource("second"));
  await chmod(inSource("first"), 0o4755);
  await utimes(inSource("first"), 1_600_000_000, 1_600_000_000);
  await promisify(execFile)("mkfifo", [inSource("fifo")]);
  if (asRoot) await promisify(execFile)("mknod", [inSource("null"), "c", "1", "3"]);
}

describe("a folder of a snapshot", () => {
  test("is told with everything that restic knows, whatever its names, also from the index", async () => {
    await fillWithOddNames();
    const snapshot = await makeSnapshot(lab);
    const restic = await createNotingRestic(lab);
    await startInProgram(lab, { ...lab.config, restic_path: restic.path });
    const direct = await listTree(lab, snapshot);
    expect(direct).toMatchObject({ error: null, more: false });
    const names = direct.entries.map(({ name }) => name);
    for (const name of oddNames) expect(names).toContain(toSnapshotName(Buffer.from(name)));
    expect(names.slice(0, 3)).toEqual(["Another", nameOf("dir\xfe"), "folder "]);
    expect(names).toContain(nameOf("bad\xff"));
    const { uid, gid } = await stat(inSource("first"));
    const first = {
      kind: "file",
      size_bytes: 4,
      mode: 0o4755,
      uid,
      gid,
      modified_at: "2020-09-13T12:26:40.000Z",
    };
    expect(named(direct.entries, "first")).toMatchObject(first);
    expect(named(direct.entries, "second")).toMatchObject(first);
    if (asRoot) expect(named(direct.entries, "first")).toMatchObject({ user: "root", group: "root" });
    expect(named(direct.entries, "loop")).toMatchObject({ kind: "link", target: "loop", size_bytes: null });
    expect(named(direct.entries, "bad link")).toMatchObject({ kind: "link", target: "to\ufffd" });
    expect(named(direct.entries, "fifo")).toMatchObject({ kind: "fifo", target: null });
    if (asRoot) expect(named(direct.entries, "null")).toMatchObject({ kind: "device" });

    expect(await untilIndexed(lab, snapshot)).toMatchObject({ index: { state: "ready", problem: null } });
    const before = restic.calls().length;
    const again = await listTree(lab, snapshot);
    expect(again.entries).toEqual(direct.entries);
    const inDir = joinSnapshotPath(lab.source, nameOf("dir\xfe"));
    expect((await listTree(lab, snapshot, { path: inDir })).entries.map(({ name }) => name)).toEqual([
      nameOf("deep\xfd"),
      "in",
    ]);
    const deep = joinSnapshotPath(inDir, nameOf("deep\xfd"));
    expect((await listTree(lab, snapshot, { path: deep })).entries).toMatchObject([
      { name: "last", size_bytes: 1 },
    ]);
    expect(restic.calls()).toHaveLength(before);
    const found = await searchTree(lab, snapshot, "last");
    expect(found.matches).toMatchObject([{ name: "last", folder: deep }]);
    expect((await searchTree(lab, snapshot, "bad")).matches.map(({ name }) => name).sort()).toEqual([
      "bad link",
      nameOf("bad\xff"),
    ]);
    expect(lab.logLines.join("")).not.toContain("emoji");
  });

  test("whose path is not UTF-8 is opened without an index, each folder on the way once", async () => {
    await fillWithOddNames();
    const snapshot = await makeSnapshot(lab);
    const restic = await createNotingRestic(lab, 'if [ "$1" = ls ]; then exit 1; fi');
    await startInProgram(lab, { ...lab.config, restic_path: restic.path });
    const deep = joinSnapshotPath(joinSnapshotPath(lab.source, nameOf("dir\xfe")), nameOf("deep\xfd"));
    const page = await listTree(lab, snapshot, { path: deep });
    expect(page.entries).toMatchObject([{ name: "last" }]);
    expect(restic.calls().filter((call) => call !== "ls")).toEqual(["cat tree", "cat blob", "cat blob"]);
    const gone = await listTree(lab, snapshot, { path: joinSnapshotPath(lab.source, nameOf("none\xff")) });
    expect(gone.error).toMatchObject({ code: "tree.not_found" });
  });

  test("is cut into pages, folders first and then by name in any case", async () => {
    for (const name of ["b", "A", "c"]) await mkdir(inSource(name));
    for (const name of ["z", "Y", "x", "y"]) await writeFile(inSource(name), "");
    const snapshot = await makeSnapshot(lab);
    await startInProgram(lab);
    const names: string[] = [];
    for (let after: string | undefined, more = true; more; after = names.at(-1)) {
      const page = await listTree(lab, snapshot, { limit: 2, ...(after === undefined ? {} : { after }) });
      names.push(...page.entries.map(({ name }) => name));
      more = page.more;
    }
    expect(names).toEqual(["A", "b", "c", "x", "Y", "y", "z"]);
  });

  test("is told as far as it fits into a frame", async () => {
    const deep = Array.from({ length: 12 }, () => "\u0001".repeat(250));
    await mkdir(inSource(...deep), { recursive: true });
    for (let n = 100; n < 600; n += 1) await writeFile(inSource(`${"\u0001".repeat(240)}${n}`), "");
    for (let n = 100; n < 300; n += 1) await symlink("\u0001".repeat(4000), inSource(`link${n}`));
    const snapshot = await makeSnapshot(lab);
    await startInProgram(lab);
    const first = await listTree(lab, snapshot);
    expect(first).toMatchObject({ error: null, more: true });
    const after = first.entries.at(-1)?.name ?? "";
    const second = await listTree(lab, snapshot, { after });
    expect(first.entries.length + second.entries.length).toBeGreaterThan(500);
    expect(second.entries[0]?.name).not.toBe(after);
  });

  test("is refused with what is wrong: not there, no folder, another or no snapshot", async () => {
    await writeFile(inSource("file"), "");
    await symlink("/", inSource("link"));
    const snapshot = await makeSnapshot(lab);
    await startInProgram(lab);
    const codeOf = async (path: string, id = snapshot) => (await listTree(lab, id, { path })).error?.code;
    expect(await codeOf(inSource("nope"))).toBe("tree.not_found");
    expect(await codeOf(`/${"long name ".repeat(250)}`)).toBe("tree.not_found");
    expect(await codeOf(inSource("file"))).toBe("tree.not_a_folder");
    expect(await codeOf(inSource("link"))).toBe("tree.not_a_folder");
    expect(await codeOf(inSource("file", "below"))).toBe("tree.not_a_folder");
    expect(await codeOf(lab.source, "0".repeat(64))).toBe("tree.snapshot_gone");
    await until("the index", async () => (await untilIndexed(lab, snapshot)).index.state === "ready");
    expect(await codeOf(inSource("nope"))).toBe("tree.not_found");
    await runRestic(["forget", snapshot], lab.envFor());
    // What is known of it can still be looked at.
    expect((await listTree(lab, snapshot)).error).toBeNull();
  });

  test("of the root is there", async () => {
    const snapshot = await makeSnapshot(lab);
    await startInProgram(lab);
    const root = await listTree(lab, snapshot, { path: "/" });
    expect(root.entries).toMatchObject([{ name: lab.source.split("/")[1], kind: "folder" }]);
    expect((await listTree(lab, snapshot)).entries).toEqual([]);
  });

  test("that nobody waits for any more is given up, and its restic ends", async () => {
    const snapshot = await makeSnapshot(lab);
    const pids = join(lab.dir, "pids");
    const hang = `if [ "$1 $2" = "cat tree" ]; then echo $$ >> ${pids}; while true; do sleep 0.05; done; fi`;
    const restic = await createNotingRestic(lab, hang);
    const agent = await startInProgram(lab, { ...lab.config, restic_path: restic.path });
    const requestId = await beginList(lab, snapshot);
    await until("restic runs", async () => (await readPids(pids)).length === 1);
    lab.server.send({ type: "tree.cancel", request_id: requestId });
    expect((await answerTo(lab, "tree.page", requestId)).error).toMatchObject({ code: "tree.cancelled" });
    await until("it is gone", async () => !isRunning((await readPids(pids))[0]));
    await beginList(lab, snapshot);
    await until("another one runs", async () => (await readPids(pids)).length === 2);
    await agent.stop();
    expect(isRunning((await readPids(pids))[1])).toBe(false);
  });
});

describe("the index of a snapshot", () => {
  async function makeTree(): Promise<string> {
    await mkdir(inSource("sub", "deep"), { recursive: true });
    await mkdir(inSource("linked"));
    for (const name of ["a.conf", "b.CONF", "c.txt"]) await writeFile(inSource("sub", name), name);
    await writeFile(inSource("sub", "deep", "hosts.conf"), "");
    await symlink("../sub", inSource("linked", "way"));
    return makeSnapshot(lab);
  }
  const trees = () => readdir(join(lab.config.data_dir, "trees"));

  test("answers without restic, but for folders of which `ls` does not tell all", async () => {
    const snapshot = await makeTree();
    const restic = await createNotingRestic(lab);
    await startInProgram(lab, { ...lab.config, restic_path: restic.path });
    await listTree(lab, snapshot);
    const ready = await untilIndexed(lab, snapshot);
    expect(ready.index.entries).toBeGreaterThan(6);
    expect(restic.calls().toSorted()).toEqual(["cat tree", "ls"]);
    const sub = await listTree(lab, snapshot, { path: inSource("sub") });
    expect(sub.entries.map(({ name }) => name)).toEqual(["deep", "a.conf", "b.CONF", "c.txt"]);
    expect(sub.index).toMatchObject({ state: "ready" });
    expect((await listTree(lab, snapshot, { path: inSource("sub", "deep") })).entries).toHaveLength(1);
    expect(restic.calls()).toHaveLength(2);
    for (let times = 0; times < 2; times += 1) {
      const linked = await listTree(lab, snapshot, { path: inSource("linked") });
      expect(linked.entries).toMatchObject([{ name: "way", kind: "link", target: "../sub" }]);
    }
    expect(restic.calls()).toHaveLength(3);
  });

  test("is searched by part of a name and by glob, page by page", async () => {
    const snapshot = await makeTree();
    await startInProgram(lab);
    await untilIndexed(lab, snapshot);
    const find = async (pattern: string, wishes = {}) =>
      (await searchTree(lab, snapshot, pattern, wishes)).matches.map(({ folder, name }) =>
        joinSnapshotPath(folder, name),
      );
    const configs = [
      inSource("sub", "a.conf"),
      inSource("sub", "b.CONF"),
      inSource("sub", "deep", "hosts.conf"),
    ];
    expect((await find("*.conf")).toSorted()).toEqual(configs.toSorted());
    expect(await find("HOSTS")).toEqual([configs[2]]);
    expect((await find(`${lab.source}/sub/*.conf`)).toSorted()).toEqual(configs.slice(0, 2));
    expect(await find("deep/ho")).toEqual([configs[2]]);
    const first = await searchTree(lab, snapshot, ".conf", { limit: 2 });
    expect(first.more).toBe(true);
    const [, last] = first.matches;
    const after = joinSnapshotPath(last?.folder ?? "/", last?.name ?? "");
    const second = await searchTree(lab, snapshot, ".conf", { limit: 2, after });
    expect(second).toMatchObject({ more: false, matches: [{ kind: "file" }] });
    expect((await find("*")).length).toBeGreaterThan(6);
  });

  test("counts what selections hold, whatever their names are, once it is there", async () => {
    const snapshot = await (async () => {
      await mkdir(rawPath("bad\xff"));
      await writeFile(Buffer.concat([rawPath("bad\xff"), bytes("/inside")]), "12345");
      return makeTree();
    })();
    await startInProgram(lab);
    expect(await countTree(lab, snapshot, ["/"])).toMatchObject({
      ...{ files: null, folders: null, size_bytes: null, error: null },
    });
    await untilIndexed(lab, snapshot);
    const figuresOf = async (...paths: string[]) => {
      const { files, folders, size_bytes, error } = await countTree(lab, snapshot, paths);
      return error === null ? [files, folders, size_bytes] : error.code;
    };
    expect(await figuresOf(inSource("sub"))).toEqual([4, 2, 17]);
    expect(await figuresOf(inSource("sub", "deep"), inSource("sub", "a.conf"))).toEqual([2, 1, 6]);
    const bad = toSnapshotPath(rawPath("bad\xff"));
    expect(await figuresOf(bad)).toEqual([1, 1, 5]);
    // sub, deep, linked, the bad one and the source itself.
    expect(await figuresOf(lab.source)).toEqual([6, 5, 22]);
    const [files, folders] = (await figuresOf("/")) as number[];
    expect([files, (folders ?? 0) >= 5]).toEqual([6, true]);
    expect(await figuresOf(inSource("sub"), inSource("nope"))).toBe("tree.not_found");
    expect(await figuresOf(inSource("su"))).toBe("tree.not_found");
  });

  test("is private, survives the agent, and what was left unfinished does not", async () => {
    const snapshot = await makeTree();
    const restic = await createNotingRestic(lab);
    lab.config.restic_path = restic.path;
    const agent = await startInProgram(lab);
    await listTree(lab, snapshot);
    await untilIndexed(lab, snapshot);
    await agent.stop();
    const file = join(lab.config.data_dir, "trees", `${snapshot}.sqlite`);
    expect((await lstat(file)).mode & 0o777).toBe(0o600);
    await writeFile(join(lab.config.data_dir, "trees", `${"1".repeat(64)}.sqlite`), "not a database");
    await writeFile(join(lab.config.data_dir, "trees", `${"2".repeat(64)}.sqlite`), "");
    lab.server.hellos.length = 0;
    await startInProgram(lab);
    expect((await listTree(lab, snapshot, { path: inSource("sub") })).entries).toHaveLength(4);
    expect(restic.calls()).toHaveLength(2);
    expect(await trees()).toEqual([`${snapshot}.sqlite`]);
  });

  test("that is broken is thrown away and read again", async () => {
    const snapshot = await makeTree();
    const agent = await startInProgram(lab);
    await listTree(lab, snapshot);
    await untilIndexed(lab, snapshot);
    await agent.stop();
    lab.server.hellos.length = 0;
    await startInProgram(lab);
    // Only now, so that the start does not find it.
    await writeFile(join(lab.config.data_dir, "trees", `${snapshot}.sqlite`), "x".repeat(8192));
    const page = await listTree(lab, snapshot, { path: inSource("sub") });
    expect(page).toMatchObject({ error: null, entries: { length: 4 } });
    expect((await untilIndexed(lab, snapshot)).index.state).toBe("ready");
  });

  test("is dropped when there are too many, the one used longest ago first", async () => {
    const [first, second] = [await makeTree(), await makeSnapshot(lab, "2026-01-02 00:00:00")];
    await startInProgram(lab, lab.config, undefined, { indexLimits: { maxBytes: 50_000 } });
    await listTree(lab, first);
    await untilIndexed(lab, first);
    await listTree(lab, second);
    await untilIndexed(lab, second);
    await until("the first is dropped", async () => (await trees()).join() === `${second}.sqlite`);
    expect((await listTree(lab, first)).error).toBeNull();
  });

  test("is not begun without room on the disk: folders open all the same, and a search says why not", async () => {
    const snapshot = await makeTree();
    await startInProgram(lab, lab.config, undefined, { indexLimits: { freeBytes: async () => 1024 } });
    for (let times = 0; times < 2; times += 1) {
      const page = await listTree(lab, snapshot, { path: inSource("sub") });
      expect(page).toMatchObject({
        error: null,
        index: { state: "none", problem: { code: "tree.no_room" } },
      });
      expect(page.entries).toHaveLength(4);
    }
    const search = await searchTree(lab, snapshot, "conf");
    expect(search).toMatchObject({
      matches: [],
      index: { state: "none", problem: { code: "tree.no_room" } },
    });
    expect(await trees()).toEqual([]);
  });

  test("that grows beyond the room is given up", async () => {
    const snapshot = await makeTree();
    let free = 10 ** 12;
    await startInProgram(lab, lab.config, undefined, {
      indexLimits: { freeBytes: async () => (free /= 1e5) },
    });
    await listTree(lab, snapshot);
    const answer = await untilIndexed(lab, snapshot);
    expect(answer.index).toMatchObject({ state: "none", problem: { code: "tree.no_room" } });
    expect((await listTree(lab, snapshot)).error).toBeNull();
  });

  test("gives way to a job and is made after it", async () => {
    const snapshot = await makeTree();
    const [pid, gate] = [join(lab.dir, "pid"), join(lab.dir, "gate")];
    const slow = `if [ "$1" = ls ] && [ ! -e ${pid} ]; then echo $$ > ${pid}; while true; do sleep 0.05; done; fi
if [ "$1" = backup ]; then while [ ! -e ${gate} ]; do sleep 0.05; done; fi`;
    const restic = await createNotingRestic(lab, slow);
    await startInProgram(lab, { ...lab.config, restic_path: restic.path });
    await listTree(lab, snapshot);
    await until("the walk has begun", async () => (await readPids(pid)).length === 1);
    lab.server.send({
      ...{ type: "command.run", job_id: JOB, attempt: 1 },
      spec: {
        ...{ kind: "backup", host_name: "test-host", source_group: "default" },
        ...{ includes: [lab.source], excludes: [] },
      },
    });
    await until("the walk is gone", async () => !isRunning((await readPids(pid))[0]));
    expect((await searchTree(lab, snapshot, "conf")).index.state).toBe("waiting");
    await writeFile(gate, "");
    expect((await untilIndexed(lab, snapshot)).index.state).toBe("ready");
  });

  test("is not built on while somebody waits for a folder", async () => {
    for (let n = 0; n < 3000; n += 1)
      await writeFile(inSource(`file ${n} of the many that make some pages`), "");
    const snapshot = await makeTree();
    const [walking, held, gate] = ["walking", "held", "gate"].map((name) => join(lab.dir, name));
    // The walk begins only when a folder is being read, which waits for the gate.
    const slow = `if [ "$1" = ls ]; then touch ${walking}; while [ ! -e ${held} ]; do sleep 0.02; done; fi
if [ "$1 $2" = "cat tree" ] && [ -e ${walking} ]; then touch ${held}; while [ ! -e ${gate} ]; do sleep 0.02; done; fi`;
    const restic = await createNotingRestic(lab, slow);
    await startInProgram(lab, { ...lab.config, restic_path: restic.path });
    await listTree(lab, snapshot, { path: inSource("sub") });
    await until("the walk has begun", () => existsSync(walking ?? ""));
    const requestId = await beginList(lab, snapshot);
    await until("the folder is being read", () => existsSync(held ?? ""));
    for (let looks = 0; looks < 60; looks += 1) {
      const { index } = await searchTree(lab, snapshot, "file");
      expect(index.state).toBe("building");
      // One piece of the pipe at most.
      expect(index.entries).toBeLessThan(1000);
    }
    await writeFile(gate ?? "", "");
    expect((await answerTo(lab, "tree.page", requestId)).entries).toHaveLength(500);
    expect((await untilIndexed(lab, snapshot)).index.entries).toBeGreaterThan(3000);
  });

  test("of another host's snapshot is read with its access and does not outlive the agent", async () => {
    const snapshot = await makeTree();
    const { repository } = lab;
    const access: RepositoryAccess = {
      ...{ location: repository.url, password: repository.password },
      ...{ rest_username: null, rest_password: null },
    };
    if (lab.server.config) lab.server.config.repository = null;
    const agent = await startInProgram(lab);
    expect((await listTree(lab, snapshot)).error).toMatchObject({ code: "agent.no_repository" });
    expect((await listTree(lab, snapshot, { access })).entries).toHaveLength(2);
    expect(await trees()).toEqual([`${snapshot}.foreign.sqlite`]);
    expect(JSON.stringify(lab.server.received) + lab.logLines.join("")).not.toContain(repository.password);
    await agent.stop();
    lab.server.hellos.length = 0;
    await startInProgram(lab);
    await lab.server.until(() => lab.server.hellos.length > 0, "hello");
    expect(await trees()).toEqual([]);
  });
});
