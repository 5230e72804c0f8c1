/** A log in a file: nothing is lost at a restart, and it never fills a disk. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { openLogFile } from "./log-file.ts";

let dir: string;
let path: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "agent-log-"));
  path = join(dir, "logs", "agent.log");
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

it("goes on in the same file after a restart", () => {
  for (const line of ["one\n", "two\n"]) {
    const log = openLogFile(path);
    log.write(line);
    log.close();
  }
  expect(readFileSync(path, "utf8")).toBe("one\ntwo\n");
});

it("keeps one full file beside the current one and no more", () => {
  const log = openLogFile(path, 8);
  for (const line of ["aaaaaaaa\n", "bbbbbbbb\n", "cccccccc\n"]) log.write(line);
  log.close();
  expect(readFileSync(path, "utf8")).toBe("cccccccc\n");
  expect(readFileSync(`${path}.1`, "utf8")).toBe("bbbbbbbb\n");
});
