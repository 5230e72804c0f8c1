/** The check against two trees on disk: one that obeys, one that breaks every rule. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { checkTree } from "./check.ts";

const fixtures = join(import.meta.dirname, "fixtures");
const folders: string[] = [];

function treeOf(files: Record<string, string>): string {
  const root = mkdtempSync(join(tmpdir(), "rm-boundaries-"));
  folders.push(root);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

function placesOf(root: string): string[] {
  return checkTree(root).violations.map(({ path, line, rule }) => `${path}:${line} ${rule}`);
}

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

describe("boundaries", () => {
  it("finds nothing in a tree that obeys", () => {
    const result = checkTree(join(fixtures, "clean"));

    expect(result.violations).toEqual([]);
    expect(result.fileCount).toBeGreaterThan(15);
  });

  it("finds every broken rule at its place, and nothing else", () => {
    const server = "packages/server/src";
    const run = "packages/agent/src/restic/run.ts";
    const link = "packages/agent/src/link/link-helper.ts";
    expect(placesOf(join(fixtures, "broken")).sort()).toEqual(
      [
        ".npmrc:1 lockfile-registry",
        "package-lock.json:1 lockfile-stale",
        "package-lock.json:12 lockfile-registry",
        "packages/agent/src/commands/BackupCommand.ts:1 file-name",
        `${link}:1 forbidden-name`,
        `${link}:1 forbidden-name`,
        `${link}:2 forbidden-name`,
        `${link}:2 forbidden-name`,
        `${link}:3 forbidden-name`,
        `${run}:1 platform-child`,
        `${run}:2 platform-random`,
        `${run}:3 package-direction`,
        `${run}:4 package-direction`,
        `${run}:7 platform-clock`,
        `${run}:7 platform-clock`,
        `${run}:7 platform-random`,
        `${run}:7 platform-random`,
        `${run}:8 platform-environment`,
        `${run}:8 platform-environment`,
        "packages/plugins/src/plugin.ts:1 package-unknown",
        "packages/protocol/package.json:2 dependency-budget",
        "packages/protocol/package.json:4 dependency-version",
        "packages/protocol/src/index.ts:1 package-direction",
        `${server}/features/hosts/hosts.ts:1 slice-rank`,
        `${server}/features/hosts/hosts.ts:2 slice-rank`,
        `${server}/features/hosts/hosts.types.ts:1 slice-file-name`,
        `${server}/features/hosts/store.ts:1 slice-file-name`,
        `${server}/features/jobs/jobs.ts:1 slice-public-file`,
        `${server}/features/jobs/jobs.ts:3 slice-rank`,
        `${server}/features/jobs/jobs.ts:4 slice-rank`,
        `${server}/features/weather/weather.ts:1 slice-unknown`,
        `${server}/platform/db.ts:1 platform-upward`,
        `${server}/render.ts:1 config-reader`,
        `${server}/render.ts:2 composition-root`,
        `${server}/render.ts:3 composition-root`,
        "tools/long/long-file.ts:501 file-size",
        "tools/long/long-functions.ts:3 function-size",
        "tools/long/long-functions.ts:85 function-size",
        "tools/long/long-functions.ts:168 function-size",
      ].sort(),
    );
  });

  it("finds paths of a build machine in any text file, fixtures too", () => {
    const folder = ["", "work", "main"].join("/");
    const library = ["", ".library", "search"].join("/");
    const root = treeOf({
      "docs/how.md": `first\ncd ${folder}/\n`,
      "packages/agent/fixtures/out.jsonl": `{"path":"file://${folder}/a"}\n`,
      "notes.txt": `see x${library}\n`,
      "fine.md": "the frame/work/shop and ./work/here are nobody's\n",
    });

    expect(placesOf(root)).toEqual([
      "docs/how.md:2 machine-path",
      "notes.txt:1 machine-path",
      "packages/agent/fixtures/out.jsonl:1 machine-path",
    ]);
  });

  it("finds who takes a client's address past its one spelling", () => {
    const root = treeOf({
      "packages/server/src/features/hosts/hosts.api.ts":
        "export const from = (request: any) => request.ip;\n",
      "packages/server/src/platform/http/client-address.ts":
        "export const from = (request: any) => request.ip;\n",
    });
    expect(placesOf(root)).toEqual([
      "packages/server/src/features/hosts/hosts.api.ts:1 platform-client-address",
    ]);
  });

  it("reads neither binary files nor folders that are built", () => {
    const folder = ["", "work", "main"].join("/");
    const root = treeOf({
      "picture.png": `\0${folder}/`,
      "node_modules/x/readme.md": `${folder}/`,
      "dist/x.md": `${folder}/`,
    });

    expect(checkTree(root)).toEqual({ fileCount: 0, violations: [] });
  });

  it("compares every table of ranks with the house", () => {
    const table = readFileSync(join(import.meta.dirname, "../../docs/adr/0002-slices-and-ranks.md"), "utf8");
    const root = treeOf({
      "docs/true.md": table,
      "docs/false.md": table.replace("| 3 | hosts, repositories |", "| 3 | hosts, weather (unused) |"),
    });

    expect(checkTree(root).violations).toEqual(
      ["repositories has rank none here, 3 in the house", "weather has rank 3 here, none in the house"].map(
        (message) => ({ path: "docs/false.md", line: 16, rule: "rank-table", message }),
      ),
    );
  });

  it("lets tests look at the stores of lower slices, and at nothing higher", () => {
    const features = "packages/server/src/features";
    const root = treeOf({
      [`${features}/hosts/hosts.ts`]: "",
      [`${features}/hosts/hosts.store.ts`]: "",
      [`${features}/hosts/hosts.test.ts`]: 'import "../jobs/jobs.ts";\n',
      [`${features}/jobs/jobs.ts`]: "",
      [`${features}/jobs/jobs.test.ts`]: 'import "../hosts/hosts.store.ts";\nconst at = Date.now();\n',
    });

    expect(placesOf(root)).toEqual([`${features}/hosts/hosts.test.ts:1 slice-rank`]);
  });

  it("lets only the testkit look inside another package", () => {
    const root = treeOf({
      "packages/protocol/src/index.ts": "",
      "packages/agent/src/link/link.ts": 'import "../../../protocol/src/index.ts";\n',
      "packages/testkit/src/databases.ts": 'import "../../server/src/platform/db.ts";\n',
      "packages/server/src/platform/db.ts": "",
    });

    expect(placesOf(root)).toEqual(["packages/agent/src/link/link.ts:1 package-direction"]);
  });

  it("measures a test inside describe, not describe itself", () => {
    const lines = (count: number) => "    use();\n".repeat(count);
    const root = treeOf({
      "tools/x/x.test.ts": `describe("a", () => {\n  it("fits", () => {\n${lines(70)}  });\n${lines(20)}});\n`,
      "tools/x/y.test.ts": `describe.each([1])("a", () => {\n  it("is long", () => {\n${lines(90)}  });\n});\n`,
    });

    expect(placesOf(root)).toEqual(["tools/x/y.test.ts:2 function-size"]);
  });

  it("refuses a file that it cannot read instead of passing over it", () => {
    const root = treeOf({ "tools/x/x.ts": "const fine = 1;\nconst = ;\n" });

    expect(() => checkTree(root)).toThrow("tools/x/x.ts:2 does not parse");
  });
});
