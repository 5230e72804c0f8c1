import { mkdtemp, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ensurePrivateDir, readBounded, readTextIfExists, removeTree, writeFileAtomic } from "./files.ts";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "agent-files-"));
});
afterEach(() => removeTree(dir));

describe("writeFileAtomic", () => {
  it("writes a file that only its owner can read, and leaves nothing beside it", async () => {
    await writeFileAtomic(join(dir, "state"), "one");
    expect((await stat(join(dir, "state"))).mode & 0o777).toBe(0o600);
    expect(await readdir(dir)).toEqual(["state"]);
  });

  it("replaces the old content as a whole", async () => {
    await writeFileAtomic(join(dir, "state"), "a much longer first text");
    await writeFileAtomic(join(dir, "state"), "two");
    expect(await readFile(join(dir, "state"), "utf8")).toBe("two");
  });

  it("keeps the old content and leaves no temporary file when writing fails", async () => {
    await ensurePrivateDir(join(dir, "taken", "inner"));
    await expect(writeFileAtomic(join(dir, "taken"), "text")).rejects.toThrow();
    expect(await readdir(dir)).toEqual(["taken"]);
  });
});

describe("reading", () => {
  it("tells a missing file from an unreadable one", async () => {
    expect(await readTextIfExists(join(dir, "nothing"))).toBeUndefined();
    await expect(readTextIfExists(dir)).rejects.toThrow("EISDIR");
  });

  it("refuses a file above the bound and reads one at the bound", async () => {
    await writeFile(join(dir, "five"), "12345");
    expect(await readBounded(join(dir, "five"), 4)).toEqual({ kind: "too_large", sizeBytes: 5 });
    expect(await readBounded(join(dir, "five"), 5)).toEqual({ kind: "read", data: Buffer.from("12345") });
  });

  it("creates directories that only the owner can enter", async () => {
    await ensurePrivateDir(join(dir, "a", "b"));
    expect((await stat(join(dir, "a", "b"))).mode & 0o777).toBe(0o700);
  });
});
