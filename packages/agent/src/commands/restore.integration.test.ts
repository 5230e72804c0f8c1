/** Getting files back with real restic: what comes back, where to, whose it is, and what is said when it does not. */
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { cp } from "node:fs/promises";
import { join } from "node:path";
import type { RestoreSpec } from "@restic-manager/protocol";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  type AgentLab,
  createAgentLab,
  homeOf,
  JOB,
  runJob,
  startInProgram,
} from "../../fixtures/agent/lab.ts";
import {
  createLab,
  createRepository,
  type Lab,
  listIds,
  makeSnapshots,
  runRestic,
} from "../../fixtures/restic/lab.ts";

const HOST = "web-1";
const isRoot = process.getuid?.() === 0;
/** What a shell, JSON, HTML, a glob or restic's files of patterns could take for something else. */
const ODD_NAMES = [
  "new\nline",
  `quote"and'apostrophe`,
  "<script>alert(1)",
  "emoji-😀",
  "x".repeat(255),
  "trailing space ",
  "nbsp\u00a0",
  "*glob[x]?.txt",
  "back\\slash",
  "$HOME",
  "${PATH}",
  "#hash",
  "-dash",
  "à",
  "tab\t",
];
const INVALID = Buffer.from("bad-\xff\xa0", "latin1");

let template: Lab;
let snapshotId: string;

/** Whether the file system of temporary files has extended attributes. */
let hasAttributes = false;

const src = (name: string) => join(template.source, name);

/** Neither Node nor a bare Debian has a way to extended attributes; Perl has the system's own calls. */
const CALLS = process.arch === "arm64" ? { set: "5", get: "8" } : { set: "188", get: "191" };

function perl(code: string, ...args: string[]): string {
  return execFileSync("/bin/sh", ["-c", 'exec perl -e "$0" "$@"', code, ...args], { encoding: "utf8" });
}

function trySetAttribute(path: string): boolean {
  const code =
    'my ($n, $v) = ("user.rm", "kept"); exit(syscall($ARGV[0] + 0, $ARGV[1], $n, $v, 4, 0) == 0 ? 0 : 1)';
  try {
    perl(code, CALLS.set, path);
    return true;
  } catch {
    return false;
  }
}

function readAttribute(path: string): string {
  const code =
    'my ($n, $v) = ("user.rm", "-" x 9); print substr($v, 0, syscall($ARGV[0] + 0, $ARGV[1], $n, $v, 9))';
  return perl(code, CALLS.get, path);
}

/** One of everything. */
function fillTemplate(): void {
  mkdirSync(src("tree/sub"), { recursive: true });
  writeFileSync(src("tree/plain"), "plain content");
  writeFileSync(src("tree/sub/deep"), randomBytes(3000));
  writeFileSync(src("tree/mode"), "m");
  chmodSync(src("tree/mode"), 0o640);
  mkdirSync(src("odd"));
  for (const name of ODD_NAMES) writeFileSync(src(`odd/${name}`), `content of ${name}`);
  writeFileSync(Buffer.concat([Buffer.from(`${src("odd")}/`), INVALID]), "bytes");
  mkdirSync(Buffer.concat([Buffer.from(`${template.source}/dir-`), INVALID]));
  writeFileSync(
    Buffer.concat([Buffer.from(`${template.source}/dir-`), INVALID, Buffer.from("/inside")]),
    "in",
  );
  mkdirSync(src("special"));
  symlinkSync("loop", src("special/loop"));
  symlinkSync("/nowhere/at/all", src("special/dangling"));
  writeFileSync(src("special/one"), "linked");
  linkSync(src("special/one"), src("special/two"));
  writeFileSync(src("special/sparse"), "end");
  truncateSync(src("special/sparse"), 20 * 1024 * 1024);
  execFileSync("mkfifo", [src("special/fifo")]);
  hasAttributes = trySetAttribute(src("special/one"));
  if (isRoot) {
    execFileSync("mknod", [src("special/device"), "c", "1", "3"]);
    chownSync(src("tree/plain"), 12_345, 12_346);
    chownSync(src("tree/sub"), 12_345, 12_346);
  }
  utimesSync(src("tree/plain"), 1_500_000_000, 1_500_000_000);
  utimesSync(src("tree/sub"), 1_500_000_001, 1_500_000_001);
  utimesSync(src("tree"), 1_500_000_002, 1_500_000_002);
}

beforeAll(async () => {
  template = await createLab();
  await createRepository(template);
  fillTemplate();
  await makeSnapshots(template, [{ host: HOST, tag: "all", time: "2026-01-01 10:00:00" }]);
  snapshotId = (await listIds(HOST, "all", template.envFor()))[0] ?? "";
});
afterAll(() => template.remove());

let lab: AgentLab;
beforeEach(async () => {
  lab = await createAgentLab();
  await cp(template.repository.url, lab.repository.url, { recursive: true });
});
afterEach(() => lab.remove());

const restore = (paths: string[], change: Partial<RestoreSpec> = {}): RestoreSpec => ({
  ...{ kind: "restore", snapshot_id: snapshotId, paths, target: { kind: "directory" } },
  ...{ keep_ownership: false, includes: [], excludes: [], dry_run: false, verify: false, path_map: [] },
  ...change,
});

async function run(spec: RestoreSpec) {
  await startInProgram(lab);
  return runJob(lab, JOB, spec);
}

const target = () => join(homeOf(lab), "rm-restore", JOB);
/** A path of the source as it lies in a folder. */
const inside = (folder: string, name: string) => join(folder, src(name));
const base64 = (path: Buffer) => `base64:${path.toString("base64")}`;
const logText = () =>
  lab.server
    .all("log.stream")
    .flatMap(({ lines }) => lines.map(({ text }) => text))
    .join("\n");

describe("into a new folder", () => {
  test("comes back what was selected, with content, mode and time, and belongs to the agent's user", async () => {
    const ended = await run(restore([src("tree/plain"), src("tree/sub"), src("tree/mode")]));
    expect(ended).toMatchObject({ status: "succeeded", error: null, exit_code: 0 });
    expect(ended?.result).toMatchObject({
      ...{ kind: "restore", complete: true, in_place: false, dry_run: false, target: target() },
      ...{ failed: 0, failed_items: [], ownership: "agent", problem: null },
    });
    expect(statSync(target()).mode & 0o777).toBe(0o700);
    const plain = statSync(inside(target(), "tree/plain"));
    expect(readFileSync(inside(target(), "tree/plain"), "utf8")).toBe("plain content");
    expect([plain.mtimeMs, plain.uid, plain.gid]).toEqual([
      1_500_000_000_000,
      process.getuid?.(),
      process.getgid?.(),
    ]);
    expect(statSync(inside(target(), "tree/mode")).mode & 0o777).toBe(0o640);
    expect(readFileSync(inside(target(), "tree/sub/deep"))).toEqual(readFileSync(src("tree/sub/deep")));
    expect(statSync(inside(target(), "tree/sub")).uid).toBe(process.getuid?.());
    expect(readdirSync(inside(target(), "tree"))).toEqual(["mode", "plain", "sub"]);
  });

  test.runIf(isRoot)("keeps the owners when that is wished", async () => {
    const ended = await run(restore([src("tree")], { keep_ownership: true }));
    expect(ended).toMatchObject({ status: "succeeded", result: { ownership: "kept" } });
    const plain = statSync(inside(target(), "tree/plain"));
    expect([plain.uid, plain.gid]).toEqual([12_345, 12_346]);
  });

  test("comes back each odd name, selected by itself, and no other", async () => {
    const odd = ODD_NAMES.map((name) => src(`odd/${name}`));
    const raw = [base64(Buffer.concat([Buffer.from(`${src("odd")}/`), INVALID]))];
    const ended = await run(restore([...odd, ...raw]));
    expect(ended).toMatchObject({ status: "succeeded", result: { failed: 0 } });
    for (const name of ODD_NAMES)
      expect(readFileSync(inside(target(), `odd/${name}`), "utf8"), name).toBe(`content of ${name}`);
    const names = readdirSync(inside(target(), "odd"), { encoding: "buffer" }).map((name) =>
      name.toString("latin1"),
    );
    expect(names).toHaveLength(ODD_NAMES.length + 1);
    expect(names).toContain(INVALID.toString("latin1"));
  });

  test("comes back a folder whose name is not UTF-8, and a file in it", async () => {
    const dir = Buffer.concat([Buffer.from(`${template.source}/dir-`), INVALID]);
    const ended = await run(restore([base64(Buffer.concat([dir, Buffer.from("/inside")]))]));
    expect(ended).toMatchObject({ status: "succeeded" });
    expect(readFileSync(Buffer.concat([Buffer.from(target()), dir, Buffer.from("/inside")]), "utf8")).toBe(
      "in",
    );
  });

  test("come back links, hard links, holes, attributes, pipes and devices as what they are", async () => {
    const ended = await run(restore([src("special")]));
    expect(ended).toMatchObject({ status: "succeeded" });
    const special = (name: string) => inside(target(), `special/${name}`);
    expect(readlinkSync(special("loop"))).toBe("loop");
    expect(readlinkSync(special("dangling"))).toBe("/nowhere/at/all");
    expect(statSync(special("one")).ino).toBe(statSync(special("two")).ino);
    expect(statSync(special("sparse")).size).toBe(20 * 1024 * 1024);
    expect(statSync(special("sparse")).blocks).toBeLessThan(4000);
    expect(lstatSync(special("fifo")).isFIFO()).toBe(true);
    if (hasAttributes) expect(readAttribute(special("two"))).toBe("kept");
    if (isRoot) expect(lstatSync(special("device")).isCharacterDevice()).toBe(true);
  });

  test("only the files that fit a pattern come back, or all but those", async () => {
    const ended = await run(restore([src("tree"), src("odd/#hash")], { excludes: ["deep", "mode"] }));
    expect(ended).toMatchObject({ status: "succeeded" });
    expect(readdirSync(inside(target(), "tree"))).toEqual(["plain", "sub"]);
    expect(readdirSync(inside(target(), "tree/sub"))).toEqual([]);
    expect(existsSync(inside(target(), "odd/#hash"))).toBe(true);
  });

  test("a pattern that fits nothing is a failure, though restic calls it a success", async () => {
    const ended = await run(restore([src("tree")], { includes: ["*.nothing"] }));
    expect(ended).toMatchObject({
      ...{ status: "failed", exit_code: 0, error: { code: "restore.nothing_restored" } },
      result: { complete: false },
    });
  });

  test("at another path comes back what was mapped there", async () => {
    const path_map = [
      { from: src("tree"), to: "/data/renamed" },
      { from: src("odd"), to: "/data/odd" },
    ];
    const ended = await run(restore([src("tree"), src("odd/#hash")], { path_map }));
    expect(ended).toMatchObject({ status: "succeeded" });
    expect(readFileSync(join(target(), "data/renamed/plain"), "utf8")).toBe("plain content");
    expect(readFileSync(join(target(), "data/odd/#hash"), "utf8")).toBe("content of #hash");
    expect(readdirSync(target())).toEqual(["data"]);
  });

  test("takes a given folder and makes every level of it for the agent's user alone", async () => {
    const path = "$HOME/a/b/c";
    await run(restore([src("tree/plain")], { target: { kind: "directory", path } }));
    for (const level of ["a", "a/b", "a/b/c"])
      expect(statSync(join(homeOf(lab), level)).mode & 0o777, level).toBe(0o700);
    expect(existsSync(inside(join(homeOf(lab), "a/b/c"), "tree/plain"))).toBe(true);
  });
});

describe("is refused, and writes nothing,", () => {
  const directory = (path: string) => ({ target: { kind: "directory" as const, path } });

  test("what the snapshot does not have", async () => {
    const ended = await run(restore([src("tree/plain"), src("tree/nope"), "/other"]));
    expect(ended).toMatchObject({ status: "failed", error: { code: "restore.path_not_in_snapshot" } });
    expect(ended?.error?.message).toContain("tree/nope, /other");
    expect(existsSync(target())).toBe(false);
  });

  test("a snapshot that was forgotten meanwhile", async () => {
    await runRestic(["forget", snapshotId], lab.envFor());
    const ended = await run(restore([src("tree")]));
    expect(ended).toMatchObject({ status: "failed", error: { code: "restore.snapshot_gone" } });
    expect(existsSync(target())).toBe(false);
  });

  test.each([
    ["a relative folder", () => "relative/folder", "restore.target_invalid"],
    ["one that leads upward", () => join("/tmp/x").concat("/../y"), "restore.target_invalid"],
    ["a variable that is none of ours", () => "$PATH/x", "restore.target_invalid"],
    ["the agent's own data", () => join(lab.config.data_dir, "jobs", "x"), "restore.target_forbidden"],
    ["the repository", () => join(lab.repository.url, "data", "x"), "restore.target_forbidden"],
    ["a folder that holds something", () => lab.source, "restore.target_not_empty"],
    ["a folder below a file", () => join(lab.source, "file", "x"), "restore.target_invalid"],
    ["a folder where nobody may write", () => "/proc/restored", "restore.target_"],
  ])("%s", async (_, path, code) => {
    writeFileSync(join(lab.source, "file"), "mine");
    const ended = await run(restore([src("tree/plain")], directory(path())));
    expect(ended).toMatchObject({ status: "failed", error: { code: expect.stringContaining(code) } });
    expect(readFileSync(join(lab.source, "file"), "utf8")).toBe("mine");
  });

  test("a link into the agent's data", async () => {
    symlinkSync(lab.config.data_dir, join(lab.dir, "innocent"));
    const ended = await run(restore([src("tree/plain")], directory(join(lab.dir, "innocent", "x"))));
    expect(ended).toMatchObject({ status: "failed", error: { code: "restore.target_forbidden" } });
  });

  test("patterns of both sorts, or that begin at the root", async () => {
    await startInProgram(lab);
    const both = await runJob(lab, JOB, restore([src("tree")], { includes: ["a"], excludes: ["b"] }));
    expect(both).toMatchObject({ status: "failed", error: { code: "restore.invalid_pattern" } });
  });
});

describe("in place", () => {
  /** A copy of what was backed up, as it is on the disk, below the lab's own source. */
  const inPlace = (overwrite: "always" | "if-changed" | "if-newer" | "never" = "always") => ({
    target: { kind: "in_place" as const, overwrite },
  });
  const mine = (name: string) => join(lab.source, name);

  beforeEach(async () => {
    mkdirSync(mine("tree/sub"), { recursive: true });
    writeFileSync(mine("tree/kept"), "as it was");
    writeFileSync(mine("tree/lost"), "to be lost");
    writeFileSync(mine("tree/sub/deep"), "deep");
    if (isRoot) chownSync(mine("tree/lost"), 12_345, 12_346);
    utimesSync(mine("tree/lost"), 1_500_000_000, 1_500_000_000);
    await makeSnapshots(lab, [{ host: HOST, tag: "mine", time: "2026-01-02 10:00:00" }]);
  });
  const mySnapshot = async () => (await listIds(HOST, "mine", lab.envFor()))[0] ?? "";

  test("a deleted file is back with content, owner and time, and no folder above it is touched", async () => {
    rmSync(mine("tree/lost"));
    chmodSync(mine("tree"), 0o711);
    utimesSync(mine("tree"), 1_600_000_000, 1_600_000_000);
    utimesSync(lab.source, 1_600_000_001, 1_600_000_001);
    const ended = await run(restore([mine("tree/lost")], { snapshot_id: await mySnapshot(), ...inPlace() }));
    expect(ended).toMatchObject({
      status: "succeeded",
      result: { in_place: true, target: null, ownership: "kept" },
    });
    const lost = statSync(mine("tree/lost"));
    expect(readFileSync(mine("tree/lost"), "utf8")).toBe("to be lost");
    expect([lost.mtimeMs, ...(isRoot ? [lost.uid, lost.gid] : [])]).toEqual([
      1_500_000_000_000,
      ...(isRoot ? [12_345, 12_346] : []),
    ]);
    expect(statSync(mine("tree")).mode & 0o777).toBe(0o711);
    expect(statSync(lab.source).mtimeMs).toBe(1_600_000_001_000);
    expect(readFileSync(mine("tree/kept"), "utf8")).toBe("as it was");
  });

  test("a deleted folder is back with its own mode and time", async () => {
    chmodSync(mine("tree"), 0o751);
    utimesSync(mine("tree"), 1_500_000_009, 1_500_000_009);
    await makeSnapshots(lab, [{ host: HOST, tag: "later", time: "2026-01-03 10:00:00" }]);
    const [id = ""] = await listIds(HOST, "later", lab.envFor());
    rmSync(mine("tree"), { recursive: true });
    const ended = await run(
      restore([mine("tree/sub/deep"), mine("tree/lost")], { snapshot_id: id, ...inPlace() }),
    );
    expect(ended).toMatchObject({ status: "succeeded" });
    expect(readFileSync(mine("tree/sub/deep"), "utf8")).toBe("deep");
    expect([statSync(mine("tree")).mode & 0o777, statSync(mine("tree")).mtimeMs]).toEqual([
      0o751, 1_500_000_009_000,
    ]);
  });

  test.each([
    ["always", "as it was", { skipped: 0 }],
    ["if-changed", "as it was", { replaced: 1 }],
    ["if-newer", "changed since", { skipped: 1 }],
    ["never", "changed since", { skipped: 1 }],
  ] as const)("a file that changed since is treated by the policy %s", async (policy, content, figures) => {
    writeFileSync(mine("tree/kept"), "changed since");
    const ended = await run(
      restore([mine("tree/kept")], { snapshot_id: await mySnapshot(), ...inPlace(policy) }),
    );
    expect(ended).toMatchObject({ status: "succeeded", result: figures });
    expect(readFileSync(mine("tree/kept"), "utf8")).toBe(content);
  });

  test("what would bring the agent's own data along is refused", async () => {
    writeFileSync(join(lab.dir, "beside"), "x");
    await startInProgram(lab);
    await lab.server.until(() => lab.server.hellos.length > 0, "the agent");
    await runRestic(
      ["backup", "--host", HOST, "--tag", "whole", "--exclude", lab.repository.url, lab.dir],
      lab.envFor(),
    );
    const [id = ""] = await listIds(HOST, "whole", lab.envFor());
    const ended = await runJob(lab, JOB, restore([lab.dir], { snapshot_id: id, ...inPlace() }));
    expect(ended).toMatchObject({ status: "failed", error: { code: "restore.target_forbidden" } });
    expect(ended?.error?.message).toContain("the agent's data");
  });

  test("another path of this host takes what was mapped there", async () => {
    const path_map = [{ from: mine("tree"), to: join(lab.dir, "elsewhere/tree") }];
    const ended = await run(
      restore([mine("tree")], { snapshot_id: await mySnapshot(), path_map, ...inPlace() }),
    );
    expect(ended).toMatchObject({ status: "succeeded" });
    expect(readFileSync(join(lab.dir, "elsewhere/tree/sub/deep"), "utf8")).toBe("deep");
  });
});

describe("a dry run", () => {
  test("says what would come back and changes nothing", async () => {
    const ended = await run(restore([src("tree")], { dry_run: true, verify: true }));
    expect(ended).toMatchObject({
      status: "succeeded",
      result: { dry_run: true, complete: true, failed: 0, verified: false, target: target() },
    });
    expect(ended?.result?.kind === "restore" && ended.result.restored).toBeGreaterThanOrEqual(5);
    expect(logText()).toContain(`would restore ${src("tree/plain")} (13 B)`);
    expect(existsSync(homeOf(lab))).toBe(false);
  });
});

describe("what was written", () => {
  test("is read again when that is wished", async () => {
    const ended = await run(restore([src("tree")], { verify: true }));
    expect(ended).toMatchObject({ status: "succeeded", result: { verified: true } });
  });
});
