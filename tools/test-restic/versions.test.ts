/** The table of versions says no more than what was seen. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { tools } from "../get-restic/tools.ts";
import { compareVersions } from "../get-restic/version.ts";
import { printTable, replaceTable, triedVersions } from "./versions.ts";

const supported = { version: "0.18.0", from: "Debian 13", isTooOld: false };
const old = { version: "0.14.0", from: "Debian 12", isTooOld: true };
const day = "2026-11-26";
const page = join(import.meta.dirname, "../../docs/compatibility.md");

describe("the table", () => {
  it("has a word for each way that it can go", () => {
    const outcomes = [
      { tried: supported, count: { passed: 9, failed: 0, reasons: [] }, day },
      { tried: supported, count: { passed: 8, failed: 1, reasons: [] }, day },
      { tried: old, count: { passed: 2, failed: 0, reasons: [] }, day },
      { tried: old, count: undefined, day },
    ];

    expect(printTable(outcomes).split("\n").slice(2)).toEqual([
      "| 0.18.0 | Debian 13 | works | 9 | 0 | 2026-11-26 |",
      "| 0.18.0 | Debian 13 | **fails** | 8 | 1 | 2026-11-26 |",
      "| 0.14.0 | Debian 12 | refused, as it has to be | 2 | 0 | 2026-11-26 |",
      "| 0.14.0 | Debian 12 | could not be had | – | – | 2026-11-26 |",
    ]);
  });

  it("takes the place of the one before and of nothing else", () => {
    const before = readFileSync(page, "utf8");
    const once = replaceTable(before, "| a |");

    expect(replaceTable(once, "| b |")).toBe(once.replace("| a |", "| b |"));
    expect(once.split("<!--")[0]).toBe(before.split("<!--")[0]);
    expect(() => replaceTable("no marks", "| a |")).toThrow("lacks its marks");
  });
});

describe("the versions", () => {
  it("are marked as too old when they are below what is supported", () => {
    const { minimumVersion, releaseVersion } = tools.restic;
    for (const { version, isTooOld } of triedVersions)
      expect(isTooOld).toBe(compareVersions(version, minimumVersion) < 0);
    expect(triedVersions.at(-1)?.version).toBe(releaseVersion);
  });
});
