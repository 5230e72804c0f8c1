/** A restic is asked for its version again only when its file is another one. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { KnownRestic } from "./known-restic.ts";

let dir: string;
let path: string;
let searches: number;
let known: KnownRestic;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "known-restic-"));
  path = join(dir, "restic");
  await writeFile(path, "one");
  searches = 0;
  known = new KnownRestic(() => {
    searches += 1;
    return Promise.resolve({ kind: "ok", path, version: `0.18.${searches}` });
  });
});
afterEach(() => rm(dir, { recursive: true, force: true }));

test("one that is the same file is not asked again", async () => {
  await known.find();
  expect(await known.find()).toMatchObject({ version: "0.18.1" });
  expect(searches).toBe(1);
});

test("one that was replaced or removed is asked again", async () => {
  await known.find();
  await writeFile(path, "another");
  expect(await known.find()).toMatchObject({ version: "0.18.2" });
  await rm(path);
  await known.find();
  await known.find();
  expect(searches).toBe(4);
});

test("a fresh search is one, and a restic that is missing is looked for every time", async () => {
  await known.find();
  await known.search();
  expect(searches).toBe(2);
  const none = new KnownRestic(() => {
    searches += 1;
    return Promise.resolve({ kind: "missing", code: "restic.missing", message: "None." });
  });
  await none.find();
  await none.find();
  expect(searches).toBe(4);
});
