import { describe, expect, it } from "vitest";
import {
  addKeyArgs,
  backupArgs,
  catConfigArgs,
  catLockArgs,
  checkArgs,
  findMarkerProblem,
  findPolicyProblem,
  findReadDataProblem,
  forgetArgs,
  initArgs,
  listKeysArgs,
  listLocksArgs,
  pruneArgs,
  removeKeyArgs,
  repairArgs,
  snapshotsArgs,
  statsArgs,
  unlockArgs,
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

describe("argument lists of maintenance", () => {
  it("read without a lock, and wait for it where something is changed", () => {
    expect(listLocksArgs()).toEqual(["list", "locks", "--no-lock"]);
    expect(catLockArgs("ab")).toEqual(["cat", "lock", "ab", "--no-lock"]);
    expect(statsArgs()).toEqual(["stats", "--json", "--no-lock", "--mode", "raw-data"]);
    expect(pruneArgs({ upload_kib: 7 })).toEqual(["prune", "--retry-lock", "30m", "--limit-upload", "7"]);
    expect(repairArgs("index")).toEqual(["repair", "index", "--retry-lock", "30m"]);
  });

  it("remove live locks only when that was asked for", () => {
    expect(unlockArgs(false)).toEqual(["unlock"]);
    expect(unlockArgs(true)).toEqual(["unlock", "--remove-all"]);
  });

  it("never repair by forgetting snapshots", () => {
    expect(repairArgs("snapshots")).not.toContain("--forget");
  });

  it.each([
    [{ percent: 2.5 }, "2.5%"],
    [{ percent: 100 }, "100%"],
    [{ slice: 3, of: 43 }, "3/43"],
  ])("check the part %j as %s", (part, subset) => {
    expect(checkArgs(part)).toEqual([
      ...["check", "--json", "--retry-lock", "30m", "--read-data-subset", subset],
    ]);
    expect(findReadDataProblem(part)).toBeUndefined();
  });

  it("refuse slices that restic does not have", () => {
    expect(findReadDataProblem({ slice: 3, of: 2 })).toContain("no slice 3");
    expect(findReadDataProblem({ slice: 1, of: 257 })).toContain("256");
    expect(findReadDataProblem(null)).toBeUndefined();
  });
});

describe("a forget's argument list", () => {
  const filter = { hostName: "web-1", sourceGroup: "my data" };

  it("names host and tag, one group, the policy, and never prunes", () => {
    const policy = { keep_last: 1, keep_daily: 7, keep_yearly: null, keep_within: "1y5m7d2h" };
    expect(forgetArgs({ ...filter, policy, limits: { download_kib: 9 } })).toEqual([
      ...[
        "forget",
        "--json",
        "--retry-lock",
        "10m",
        "--host",
        "web-1",
        "--tag",
        "my data",
        "--group-by",
        "host",
      ],
      ...["--keep-last", "1", "--keep-daily", "7", "--keep-within", "1y5m7d2h", "--limit-download", "9"],
    ]);
  });

  it("plans without a lock and without removing", () => {
    const args = forgetArgs({ ...filter, policy: { keep_last: 1 }, dryRun: true });
    expect(args.slice(0, 4)).toEqual(["forget", "--json", "--dry-run", "--no-lock"]);
  });

  it.each([
    [{}, "empty"],
    [{ keep_last: null }, "empty"],
    [{ keep_within: "0d0h" }, "empty"],
    [{ keep_within: "soon" }, "invalid"],
    [{ keep_last: 3, keep_within: "-1d" }, "invalid"],
    [{ keep_last: 3, keep_within: "--prune" }, "invalid"],
  ])("is none for the policy %j, which is %s", (policy, problem) => {
    expect(findPolicyProblem(policy)).toBe(problem);
    expect(() => forgetArgs({ ...filter, policy })).toThrow(RangeError);
  });

  it.each([
    ["", "a"],
    ["h", ""],
    ["h", "a,b"],
  ])("is none for host %j and tag %j, which would touch others", (hostName, sourceGroup) => {
    expect(() => forgetArgs({ hostName, sourceGroup, policy: { keep_last: 1 } })).toThrow(RangeError);
  });
});

describe("the arguments about keys", () => {
  it("carry the new password's file and never the password, and wait for other locks", () => {
    expect(addKeyArgs("/job/new-password")).toEqual([
      ...["key", "add", "--retry-lock", "10m", "--new-password-file", "/job/new-password"],
    ]);
    expect(removeKeyArgs("abc")).toEqual(["key", "remove", "--retry-lock", "30m", "abc"]);
  });

  it("list without a lock", () => {
    expect(listKeysArgs()).toEqual(["key", "list", "--json", "--no-lock"]);
  });
});
