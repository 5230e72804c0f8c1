import { chmod, mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createLab, getResticPath, type Lab } from "../../fixtures/restic/lab.ts";
import { type BinarySearch, findRestic, MINIMUM_RESTIC } from "./binary.ts";

let lab: Lab;
beforeEach(async () => {
  lab = await createLab();
});
afterEach(() => lab.remove());

/** A program named restic in a directory of its own that prints what it is told to. */
async function fake(dir: string, text: string): Promise<string> {
  const path = join(lab.dir, dir, "restic");
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, `#!/bin/sh\n${text}\n`);
  await chmod(path, 0o700);
  return path;
}

const find = (search: Partial<BinarySearch>) =>
  findRestic(lab.shortDeps, {
    ...{
      searchPath: "",
      executableDir: join(lab.dir, "nowhere"),
      inherited: {},
      platform: "linux",
      ...search,
    },
  });

describe("findRestic", () => {
  it("takes the real one", async () => {
    const path = getResticPath();
    const outcome = await find({ explicitPath: path });
    expect(outcome).toMatchObject({ kind: "ok", path });
  });

  it("takes an explicit path or nothing", async () => {
    const good = await fake("good", `echo '{"version":"0.18.0"}'`);
    const gone = join(lab.dir, "gone", "restic");
    expect(await find({ explicitPath: gone, searchPath: dirname(good) })).toMatchObject({
      ...{ kind: "missing", code: "restic.missing", message: expect.stringContaining(gone) },
    });
  });

  it("refuses what is too old, with a sentence on how to get a newer one", async () => {
    const old = await fake("old", "echo 'restic 0.14.0 compiled with go1.19.8 on linux/amd64'");
    expect(await find({ searchPath: dirname(old) })).toMatchObject({
      ...{ kind: "too_old", code: "restic.too_old", path: old, version: "0.14.0", minimum: MINIMUM_RESTIC },
      message: expect.stringContaining("Install restic"),
    });
  });

  it("passes an old one on PATH over when a newer lies beside the agent", async () => {
    const old = await fake("old", `echo '{"version":"0.17.3"}'`);
    const good = await fake("good", `echo '{"version":"0.18.0"}'`);
    expect(await find({ searchPath: dirname(old), executableDir: dirname(good) })).toEqual({
      ...{ kind: "ok", path: good, version: "0.18.0" },
    });
  });

  it("prefers the one beside the agent, which an update replaces, to one on PATH", async () => {
    const other = await fake("path", `echo '{"version":"0.20.0"}'`);
    const own = await fake("own", `echo '{"version":"0.19.0"}'`);
    expect(await find({ searchPath: dirname(other), executableDir: dirname(own) })).toEqual({
      ...{ kind: "ok", path: own, version: "0.19.0" },
    });
  });

  it.each([
    ["fails", "exit 1"],
    ["prints something else", "echo hello"],
    ["prints without end", "while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy; done"],
  ])("is not fooled by a program named restic that %s", async (_, text) => {
    const wrong = await fake("wrong", text);
    expect(await find({ searchPath: dirname(wrong) })).toMatchObject({
      ...{ kind: "missing", message: expect.stringContaining("does not answer like restic") },
    });
  });

  it("says that there is none", async () => {
    expect(await find({ searchPath: lab.dir })).toMatchObject({ kind: "missing", code: "restic.missing" });
  });
});
