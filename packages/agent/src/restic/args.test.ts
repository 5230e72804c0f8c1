import { describe, expect, it } from "vitest";
import {
  backupArgs,
  catConfigArgs,
  checkArgs,
  findMarkerProblem,
  initArgs,
  snapshotsArgs,
  versionArgs,
} from "./args.ts";

describe("argument lists", () => {
  it("are what restic takes", () => {
    expect(versionArgs()).toEqual(["version", "--json"]);
    expect(catConfigArgs()).toEqual(["cat", "config", "--no-lock"]);
    expect(initArgs()).toEqual(["init", "--json", "--repository-version", "2"]);
    expect(snapshotsArgs("web-1")).toEqual(["snapshots", "--json", "--no-lock", "--host", "web-1"]);
  });

  it("keep paths and patterns of a backup in files", () => {
    const args = backupArgs({
      ...{ hostName: "web-1", tags: ["group:1", "run:2"], sourcesPath: "/job/sources.raw" },
      ...{
        excludesPath: "/job/excludes.txt",
        oneFileSystem: true,
        limits: { upload_kib: 1, download_kib: 200 },
      },
    });
    expect(args).toEqual([
      ...["backup", "--json", "--host", "web-1", "--tag", "group:1", "--tag", "run:2", "--retry-lock", "10m"],
      ...["--files-from-raw", "/job/sources.raw", "--exclude-file", "/job/excludes.txt", "--one-file-system"],
      ...["--limit-upload", "1", "--limit-download", "200"],
    ]);
  });

  it("leave out what the operator named, each marker file in one word", () => {
    const args = backupArgs({
      ...{ hostName: "h", tags: [], sourcesPath: "/s" },
      ...{
        excludeIfPresent: ["-x", ".nobackup:no thanks"],
        excludeLargerThanBytes: 1024,
        excludeCaches: true,
      },
    });
    expect(args.slice(-5)).toEqual([
      ...["--exclude-if-present=-x", "--exclude-if-present=.nobackup:no thanks"],
      ...["--exclude-larger-than", "1024", "--exclude-caches"],
    ]);
  });

  it("limit a check in KiB a second, and only in the direction that is limited", () => {
    const unlimited = ["check", "--json", "--retry-lock", "30m"];
    expect(checkArgs()).toEqual(unlimited);
    expect(checkArgs(null, { upload_kib: null, download_kib: 500 })).toEqual([
      ...unlimited,
      ...["--limit-download", "500"],
    ]);
  });

  it.each(["", ":header", "a\nb", "a\0b", "x".repeat(513)])("refuse the marker file %j", (marker) => {
    expect(findMarkerProblem(marker)).toContain("marker file");
  });

  it.each([".nobackup", "-x", "CACHEDIR.TAG:Signature: 8a47"])("take the marker file %j", (marker) => {
    expect(findMarkerProblem(marker)).toBeUndefined();
  });

  it.each(["", "a,b", ","])("refuse the tag %j, which restic would split or drop", (tag) => {
    expect(() => backupArgs({ hostName: "h", tags: [tag], sourcesPath: "/s" })).toThrow(RangeError);
  });

  it("refuse a backup without a host name", () => {
    expect(() => backupArgs({ hostName: "", tags: [], sourcesPath: "/s" })).toThrow("host name");
  });
});
