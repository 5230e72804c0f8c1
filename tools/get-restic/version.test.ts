/** Versions out of what programs print. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compareVersions, parseVersion } from "./version.ts";

describe("parseVersion", () => {
  it.each([
    ["restic 0.19.1 compiled with go1.26.4 on linux/amd64", "0.19.1"],
    ["restic-rest-server version restic-rest-server 0.14.0 compiled with go1.24.9 on linux/amd64", "0.14.0"],
    ["rest-server 0.14.0 (v0.14.0) compiled with go1.24.3 on linux/amd64", "0.14.0"],
    ["restic 0.18.0-dev (compiled manually) compiled with go1.24.4", "0.18.0"],
    ["restic dev", undefined],
    ["10.0.0.12", undefined],
    ["", undefined],
  ])("reads %j as %s", (output, version) => {
    expect(parseVersion(output)).toBe(version);
  });

  it("never throws, whatever a program prints", () => {
    fc.assert(fc.property(fc.string({ unit: "binary" }), (output) => void parseVersion(output)));
  });
});

describe("compareVersions", () => {
  it("orders by number, not by letter", () => {
    const versions = ["0.9.6", "0.17.3", "1.0.0", "0.17.1", "0.19.1", "0.2.10"];

    expect(versions.sort(compareVersions)).toEqual([
      "0.2.10",
      "0.9.6",
      "0.17.1",
      "0.17.3",
      "0.19.1",
      "1.0.0",
    ]);
    expect(compareVersions("0.17.1", "0.17.1")).toBe(0);
  });
});
