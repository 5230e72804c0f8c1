/** One file that came back, against what the snapshot says and against its source: with real files. */
import { execFileSync } from "node:child_process";
import { chmod, mkdir, mkdtemp, rm, symlink, truncate, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { compareRestored, toSourcePath } from "./drill-compare.ts";

const TIME = new Date("2026-01-02T03:04:05Z");

let dir: string;
let source: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "drill-"));
  source = join(dir, "source");
});
afterEach(() => rm(dir, { recursive: true, force: true }));

async function put(path: string, content: string | Buffer): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
  await chmod(path, 0o640);
  await utimes(path, TIME, TIME);
}
const folder = () => join(dir, "restored");
const restored = () => join(folder(), source);
const node = (sizeBytes: number) => ({
  ...{ path: source, sizeBytes, mode: 0o640, modifiedAtMs: TIME.getTime() },
});
const compare = (sizeBytes: number, signal = new AbortController().signal) =>
  compareRestored(node(sizeBytes), { folder: folder(), platform: "linux", isRoot: true, signal });

describe("a restored file", () => {
  test("is compared with its source byte by byte, also where both are larger than one reading", async () => {
    const large = Buffer.alloc(600_000, 7);
    await put(restored(), large);
    await put(source, large);
    expect(await compare(large.length)).toEqual({ problem: null, withSource: true });
    large[599_999] = 8;
    await put(source, large);
    expect(await compare(large.length)).toEqual({ problem: "source", withSource: true });
  });

  test("that is empty, or sparse, is as good as any", async () => {
    await put(restored(), "");
    await put(source, "");
    expect(await compare(0)).toEqual({ problem: null, withSource: true });
    for (const path of [restored(), source]) {
      await truncate(path, 5_000_000);
      await utimes(path, TIME, TIME);
    }
    expect(await compare(5_000_000)).toEqual({ problem: null, withSource: true });
  });

  test("whose source is a link by now, or was touched, is compared with the snapshot only", async () => {
    await put(restored(), "abc");
    await symlink(restored(), source);
    expect(await compare(3)).toEqual({ problem: null, withSource: false });
    await rm(source);
    await put(source, "abc");
    await utimes(source, new Date(), new Date());
    expect(await compare(3)).toEqual({ problem: null, withSource: false });
  });

  test("has its time also where the last nanoseconds of a millisecond are the next one for a number of Node", async () => {
    for (const path of [restored(), source]) {
      await put(path, "abc");
      execFileSync("touch", ["-d", "2026-01-02T03:04:05.123999950Z", path]);
    }
    const at = Date.parse("2026-01-02T03:04:05.123999950Z");
    const options = { folder: folder(), isRoot: true, signal: new AbortController().signal };
    const compareAt = (modifiedAtMs: number) =>
      compareRestored({ ...node(3), modifiedAtMs }, { ...options, platform: "linux" });
    expect(await compareAt(at)).toEqual({ problem: null, withSource: true });
    expect(await compareAt(at - 2)).toEqual({ problem: "mtime", withSource: false });
  });

  test("may lack only what its user can't give: setuid, when that is not root", async () => {
    await put(restored(), "abc");
    const signal = new AbortController().signal;
    const wanted = { ...node(3), mode: 0o4640 };
    const as = (isRoot: boolean) =>
      compareRestored(wanted, { folder: folder(), platform: "linux", isRoot, signal });
    expect((await as(true)).problem).toBe("mode");
    expect((await as(false)).problem).toBeNull();
  });

  test("is not read on after a cancel", async () => {
    await put(restored(), "abc");
    await put(source, "abc");
    await expect(compare(3, AbortSignal.abort())).rejects.toThrow();
  });
});

test.each([
  ["/C/Users/ä b/x.txt", "win32", "C:\\Users\\ä b\\x.txt"],
  ["/C/x", "linux", "/C/x"],
  ["/etc/hosts", "linux", "/etc/hosts"],
] as const)("the path %s of a snapshot is on %s %s", (path, platform, expected) =>
  expect(toSourcePath(path, platform)).toBe(expected),
);
