/** The versions of a file, and storages that stand still, with real restic. */
import { existsSync } from "node:fs";
import { cp, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { joinSnapshotPath, toSnapshotName } from "@restic-manager/protocol";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type AgentLab, createAgentLab, startInProgram } from "../../fixtures/agent/lab.ts";
import {
  createNotingRestic,
  isRunning,
  listTree,
  listVersions,
  makeSnapshot,
  readPids,
} from "../../fixtures/agent/tree-lab.ts";
import { createLab, createRepository, type Lab } from "../../fixtures/restic/lab.ts";
import { type Clock, systemClock } from "../platform/clock.ts";

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

/** Where somebody would wait for most of a minute, it waits only until `reached` is there. */
function createImpatientClock(reached: string): Clock {
  const clock = systemClock();
  return {
    ...clock,
    sleep: async (ms, signal) => {
      if (ms <= 40_000 || ms > 50_000) return clock.sleep(ms, signal);
      while (!existsSync(reached)) await clock.sleep(20, signal);
    },
  };
}

describe("a storage that stands still", () => {
  test("ends the question in time, and its restic", async () => {
    const snapshot = await makeSnapshot(lab);
    const reached = join(lab.dir, "reached");
    const hang = `if [ "$1 $2" = "cat tree" ]; then echo $$ > ${reached}; while true; do sleep 0.05; done; fi`;
    const restic = await createNotingRestic(lab, hang);
    await startInProgram(lab, { ...lab.config, restic_path: restic.path }, createImpatientClock(reached));
    expect((await listTree(lab, snapshot)).error).toMatchObject({ code: "restic.timeout" });
    expect(isRunning((await readPids(reached))[0])).toBe(false);
  });

  test("leaves the versions that were found until then, and says that there may be more", async () => {
    await writeFile(inSource("file"), "x");
    const ids: string[] = [];
    for (let day = 10; day < 21; day += 1) ids.unshift(await makeSnapshot(lab, `2026-01-${day} 00:00:00`));
    const [seen, reached] = [join(lab.dir, "seen"), join(lab.dir, "reached")];
    const hang = `if [ "$1" = find ]; then
if [ -e ${seen} ]; then touch ${reached}; while true; do sleep 0.05; done; fi
touch ${seen}
fi`;
    const restic = await createNotingRestic(lab, hang);
    await startInProgram(lab, { ...lab.config, restic_path: restic.path }, createImpatientClock(reached));
    const answer = await listVersions(lab, ids, inSource("file"));
    expect(answer).toMatchObject({ error: null, truncated: true });
    expect(answer.versions.map(({ snapshot_id }) => snapshot_id)).toEqual(ids.slice(0, 10));
  });
});

describe("the versions of a file", () => {
  test("are found in every snapshot that has it, by one path and nothing like it", async () => {
    const odd = "odd *[x]?\\ 😀";
    const ids: string[] = [];
    for (const [day, content] of [
      [1, "one"],
      [2, "one"],
      [3, "three"],
      [4, ""],
    ] as const) {
      await writeFile(inSource(odd), content);
      await writeFile(inSource("odd abcx  😀"), "another");
      await utimes(inSource(odd), 1_700_000_000 + content.length, 1_700_000_000 + content.length);
      ids.unshift(await makeSnapshot(lab, `2026-01-0${day} 00:00:00`));
    }
    const restic = await createNotingRestic(lab);
    await startInProgram(lab, { ...lab.config, restic_path: restic.path });
    const { versions, truncated, error } = await listVersions(lab, [...ids, "0".repeat(64)], inSource(odd));
    expect({ truncated, error }).toEqual({ truncated: false, error: null });
    expect(versions.map(({ snapshot_id, size_bytes }) => [snapshot_id, size_bytes])).toEqual([
      [ids[0], 0],
      [ids[1], 5],
      [ids[2], 3],
      [ids[3], 3],
    ]);
    expect(versions[1]).toMatchObject({ kind: "file", mode: 0o644, modified_at: "2023-11-14T22:13:25.000Z" });
    expect(await listVersions(lab, ids, inSource("none"))).toMatchObject({ versions: [], error: null });
    expect(await listVersions(lab, ids, lab.source)).toMatchObject({
      versions: [{ kind: "folder" }, {}, {}, {}],
    });
    expect(restic.calls()).toEqual(["find", "find", "find"]);
    const raw = joinSnapshotPath(lab.source, toSnapshotName(Buffer.from("bad\xff", "latin1")));
    expect((await listVersions(lab, ids, raw)).error).toMatchObject({ code: "tree.path_not_utf8" });
  });
});
