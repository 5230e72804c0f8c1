/** A host whose update is killed at any step comes back: each step is walked, with a real kill. */
import { execFile, execFileSync } from "node:child_process";
import { mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { guardUpdate } from "./guard.ts";
import { readRecord, TRIAL_MS, type UpdatePaths, updatePaths } from "./record.ts";
import { installFresh } from "./swap.ts";

const killedStep = fileURLToPath(new URL("../../fixtures/update/killed-step.ts", import.meta.url));

let folder: string;
let paths: UpdatePaths;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "agent-swap-"));
  paths = updatePaths(join(folder, "agent"));
  await writeFile(paths.program, "old");
  await writeFile(paths.fresh, "new");
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const platform = process.platform;
const update = { job: "job", from: "1.0.0", to: "1.1.0" };
const inPlace = () => readFile(paths.program, "utf8");

/** False when it got to its end before the step. */
function isKilledAt(part: "install" | "roll-back", step: number): Promise<boolean> {
  const args = ["--conditions=source", killedStep, part, paths.program];
  return new Promise((resolve, reject) => {
    execFile(process.execPath, args, { env: { KILL_AT: String(step) } }, (error) => {
      if (error === null) resolve(false);
      else if (error.signal === "SIGKILL") resolve(true);
      else reject(error);
    });
  });
}

/** What systemd does, with a new version that never says hello: the guard, then whatever lies in place. */
async function startUntilOld(): Promise<number> {
  for (let starts = 1; ; starts += 1) {
    await guardUpdate({ nowMs: () => starts, platform }, paths.program);
    if ((await inPlace()) === "old") return starts;
    expect(starts).toBeLessThan(5);
  }
}

describe("an update that is killed", () => {
  test("at any step leaves a whole program, and a way back where it is the new one", async () => {
    let step = 0;
    const seen = new Set<string>();
    while (await isKilledAt("install", step)) {
      const program = await inPlace();
      seen.add(program);
      expect(["old", "new"]).toContain(program);
      if (program === "new") {
        expect(await readRecord(paths.record)).toMatchObject(update);
        expect(await readFile(paths.previous, "utf8")).toBe("old");
      }
      await startUntilOld();
      // And from there the same update gets to its end.
      await writeFile(paths.fresh, "new");
      await installFresh(paths, update, platform);
      expect(await inPlace()).toBe("new");
      expect(await startUntilOld()).toBe(4);
      await writeFile(paths.fresh, "new");
      await rm(paths.record, { force: true });
      step += 1;
    }
    expect(step).toBeGreaterThan(8);
    expect([...seen]).toEqual(["old", "new"]);
  });

  test("at any step of the way back ends with the old version, which knows why", async () => {
    for (let step = 0, killed = true; killed; step += 1) {
      await writeFile(paths.program, "old");
      await writeFile(paths.fresh, "new");
      await installFresh(paths, update, platform);
      killed = await isKilledAt("roll-back", step);
      await startUntilOld();
      expect((await readRecord(paths.record))?.rolled_back).toBeTruthy();
      expect(await guardUpdate({ nowMs: () => 0, platform }, paths.program)).toBe("nothing");
    }
  });
});

describe("the guard", () => {
  const guard = (nowMs: number) => guardUpdate({ nowMs: () => nowMs, platform }, paths.program);
  beforeEach(() => installFresh(paths, update, platform));

  test("lets a new version be started three times", async () => {
    expect([await guard(0), await guard(1), await guard(2)]).toEqual(["counted", "counted", "counted"]);
    expect(await inPlace()).toBe("new");
    expect(await guard(3)).toBe("rolled_back");
    expect(await inPlace()).toBe("old");
    expect((await readRecord(paths.record))?.rolled_back).toContain("3 times");
  });

  test("counts the time from the first start, and puts the old one back when it is over", async () => {
    const later = 3_600_000;
    expect(await guard(later)).toBe("counted");
    expect(await guard(later + TRIAL_MS)).toBe("counted");
    expect(await guard(later + TRIAL_MS + 1)).toBe("rolled_back");
    expect((await readRecord(paths.record))?.rolled_back).toContain("90 seconds");
  });

  test("does nothing when no update is under way", async () => {
    await rm(paths.record);
    expect(await guard(0)).toBe("nothing");
    expect(await inPlace()).toBe("new");
    expect(await readdir(folder)).toEqual(["agent", "agent.previous"]);
  });

  test("leaves a program alone that somebody else has put there since", async () => {
    expect(await guard(0)).toBe("counted");
    await writeFile(`${paths.program}.other`, "another");
    await rename(`${paths.program}.other`, paths.program);
    expect(await guard(TRIAL_MS + 1)).toBe("nothing");
    expect(await inPlace()).toBe("another");
  });

  test("leaves a record alone that it can't understand", async () => {
    for (const text of [
      "",
      "{",
      "[]",
      "null",
      '{"job":1}',
      '{"job":"a","from":"b","to":"c","program":"d","starts":"e"}',
    ]) {
      await writeFile(paths.record, text);
      expect(await guard(0)).toBe("nothing");
    }
    expect(await inPlace()).toBe("new");
  });

  test("puts the old one back at once when it can't write the start down", async () => {
    // A folder in which nothing new can be made, though files in it can be moved: a disk without a free inode.
    const disk = join(folder, "disk");
    execFileSync("/bin/sh", ["-c", 'mkdir "$0"; mount -t tmpfs -o size=1m,nr_inodes=12 tmpfs "$0"', disk]);
    try {
      const small = updatePaths(join(disk, "agent"));
      await writeFile(small.program, "old");
      await writeFile(small.fresh, "new");
      await installFresh(small, update, platform);
      await fill(disk);
      expect(await guardUpdate({ nowMs: () => 0, platform }, small.program)).toBe("rolled_back");
      expect(await readFile(small.program, "utf8")).toBe("old");
    } finally {
      execFileSync("umount", ["-l", disk]);
    }
  });
});

/** Makes files until the disk has no place for one more. */
async function fill(disk: string): Promise<void> {
  for (let file = 0; ; file += 1) {
    try {
      await writeFile(join(disk, `file-${file}`), "");
    } catch (error) {
      expect(error).toMatchObject({ code: "ENOSPC" });
      return;
    }
  }
}
