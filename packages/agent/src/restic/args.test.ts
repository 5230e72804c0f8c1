import { describe, expect, it } from "vitest";
import { backupArgs, catConfigArgs, initArgs, snapshotsArgs, versionArgs } from "./args.ts";

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
        limitUploadKib: 0.5,
        limitDownloadKib: 200,
      },
    });
    expect(args).toEqual([
      ...["backup", "--json", "--host", "web-1", "--tag", "group:1", "--tag", "run:2", "--retry-lock", "10m"],
      ...["--files-from-raw", "/job/sources.raw", "--exclude-file", "/job/excludes.txt", "--one-file-system"],
      ...["--limit-upload", "1", "--limit-download", "200"],
    ]);
  });

  it.each(["", "a,b", ","])("refuse the tag %j, which restic would split or drop", (tag) => {
    expect(() => backupArgs({ hostName: "h", tags: [tag], sourcesPath: "/s" })).toThrow(RangeError);
  });

  it("refuse a backup without a host name", () => {
    expect(() => backupArgs({ hostName: "", tags: [], sourcesPath: "/s" })).toThrow("host name");
  });
});
