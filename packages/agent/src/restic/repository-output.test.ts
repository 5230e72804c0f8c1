/** What restic prints about whole repositories: recorded outputs of four versions, and any bytes at all. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { getRecording, lines, RECORDED_VERSIONS } from "../../fixtures/restic/recorded.ts";
import { parseBackupLine } from "./output.ts";
import {
  isTerminalProgress,
  parseAddedKey,
  parseCheckSummary,
  parseForgetPlan,
  parseKeys,
  parseLock,
  parseLockIds,
  parsePrunedBytes,
  parseRawStats,
  parseRemovedLocks,
  parseRepositoryId,
} from "./repository-output.ts";

describe.each(RECORDED_VERSIONS)("restic %s", (version) => {
  test("says which snapshots a policy keeps and removes", () => {
    const plan = parseForgetPlan(getRecording(version, "forget-dryrun-tag-json").stdout);
    expect(plan?.keep).toHaveLength(1);
    expect(plan?.remove.length).toBeGreaterThan(0);
    expect(plan?.remove.every((id) => /^[0-9a-f]{64}$/.test(id))).toBe(true);
  });

  test("says nothing where no snapshot matches", () => {
    const { stdout } = getRecording(version, "forget-nomatch-json");
    expect(parseForgetPlan(stdout)).toEqual({ keep: [], remove: [] });
  });

  test("says how much prune frees", () => {
    const freed = lines(getRecording(version, "prune-json").stdout).flatMap(
      (line) => parsePrunedBytes(line) ?? [],
    );
    expect(freed).toHaveLength(1);
    expect(freed[0]).toBeGreaterThan(1024);
    expect(freed[0]).toBeLessThan(1024 * 1024);
  });

  test("tells its size and its snapshots", () => {
    const stats = parseRawStats(getRecording(version, "stats-raw-data-json").stdout);
    expect(stats?.rawBytes).toBeGreaterThan(1_000_000);
    expect(stats?.uncompressedBytes).toBeGreaterThan(stats?.rawBytes ?? 0);
    expect(stats?.snapshotCount).toBeGreaterThan(0);
  });

  test("tells the repository's id", () => {
    expect(parseRepositoryId(getRecording(version, "cat-config").stdout)).toMatch(/^[0-9a-f]{64}$/);
  });
});

describe.each(["0.18.0", "0.19.1"] as const)("a check of restic %s", (version) => {
  const summaryOf = (name: string) =>
    lines(getRecording(version, name).stdout).flatMap((line) => parseCheckSummary(line) ?? []);

  test("has a summary, healthy or not", () => {
    const sound = { errorCount: 0, brokenPacks: 0, suggestRepairIndex: false, suggestPrune: false };
    expect(summaryOf("check-json")).toEqual([sound]);
    expect(summaryOf("check-corrupt-json")).toEqual([{ ...sound, errorCount: 1, brokenPacks: 1 }]);
    expect(summaryOf("check-missingpack-json")).toEqual([{ ...sound, errorCount: 1 }]);
  });

  test("claims an error where the repository is only locked", () => {
    expect(summaryOf("lock-check")).toMatchObject([{ errorCount: 1 }]);
    expect(getRecording(version, "lock-check").exit).toBe(11);
  });

  test("says what is broken in lines that can be read", () => {
    const texts = getRecording(version, "check-missingpack-json").stderr.map(parseBackupLine);
    expect(texts[0]).toMatchObject({
      kind: "text",
      text: expect.stringMatching(/^pack [0-9a-f]+: does not exist$/),
    });
  });
});

test.each(["0.17.3", "0.18.0", "0.19.1"] as const)(
  "restic %s prints a plan of removal on append-only storage, where nothing is removed",
  (version) => {
    expect(parseForgetPlan(getRecording(version, "rest-ao-forget-last").stdout)?.remove).toHaveLength(1);
  },
);

test("before 0.18 a check has no summary", () => {
  const { stdout } = getRecording("0.17.3", "check-json");
  expect(lines(stdout).flatMap((line) => parseCheckSummary(line) ?? [])).toEqual([]);
});

describe("lines of text", () => {
  test.each([
    ["total prune:          13 blobs / 3.734 KiB", 3824],
    ["total prune:           0 blobs / 0 B", 0],
    ["total prune:     1000000 blobs / 1.500 TiB", 1.5 * 1024 ** 4],
    ["to delete:             5 blobs / 1005 B", undefined],
    ["total prune:           1 blobs / 1.5 PB", undefined],
  ])("%j frees %s", (line, bytes) => expect(parsePrunedBytes(line)).toBe(bytes));

  test.each([
    ["[0:00] 100.00%  5 / 5 snapshots", true],
    ["[1:02:03] 3.10%  15 / 500 packs processed", true],
    ["[0:12] 42 snapshots", true],
    ["[weird] a file", false],
    ["removing 8 old packs", false],
  ])("%j is a figure for terminals: %s", (line, is) => expect(isTerminalProgress(line)).toBe(is));

  test("count the locks that were removed", () => {
    expect(parseRemovedLocks("successfully removed 12 locks")).toBe(12);
    expect(parseRemovedLocks("successfully removed locks")).toBeUndefined();
  });

  test("name locks, and whatever else is there is none", () => {
    const id = "a".repeat(64);
    expect(parseLockIds(`${id}\n\nrepository opened\r\n${id}\r\n`)).toEqual([id, id]);
  });
});

describe("a lock", () => {
  test("says who holds it since when", () => {
    const text = `{"time":"2026-11-25T21:49:47.22022754+01:00","exclusive":true,"hostname":"vm","username":"root","pid":7}`;
    expect(parseLock(text)).toEqual({
      ...{ hostname: "vm", username: "root", pid: 7, exclusive: true },
      createdAtMs: Date.UTC(2026, 10, 25, 20, 49, 47, 220),
    });
  });

  test.each([
    "",
    "{}",
    "[]",
    `{"time":"soon"}`,
    `{"time":"+012345-01-01T00:00:00Z"}`,
    `{"time":"0001-01-01T00:00:00Z"}`,
  ])("is not %j", (text) => expect(parseLock(text)).toBeUndefined());
});

describe("the list of keys", () => {
  const id = "a".repeat(64);
  const key = { current: true, id, userName: "root", hostName: "web-1", created: "2026-11-26 00:02:06" };

  test("has each with who made it and when, in UTC", () => {
    expect(parseKeys(JSON.stringify([key]))).toEqual([
      {
        id,
        current: true,
        username: "root",
        hostname: "web-1",
        createdAtMs: Date.UTC(2026, 10, 26, 0, 2, 6),
      },
    ]);
  });

  test("may lack what nobody needs", () => {
    const [bare] = parseKeys(JSON.stringify([{ id, current: false, created: "yesterday" }])) ?? [];
    expect(bare).toEqual({ id, current: false, username: "", hostname: "", createdAtMs: null });
  });

  test.each(["", "{}", "null", `[{"id":"abcdef12","current":true}]`, `[{"id":"${id}"}]`])(
    "is not %j",
    (text) => expect(parseKeys(text)).toBeUndefined(),
  );

  test("grows by the one that key add tells", () => {
    expect(parseAddedKey(`saved new key with ID ${id}`)).toBe(id);
    expect(parseAddedKey("saved new key as abcdef")).toBeUndefined();
  });
});

const PARSERS = [
  ...[parseForgetPlan, parseCheckSummary, parsePrunedBytes, parseRemovedLocks, parseLockIds],
  ...[parseLock, parseRawStats, parseRepositoryId, isTerminalProgress, parseKeys, parseAddedKey],
];

test("no bytes make a parser throw", () => {
  const bytes = fc.uint8Array({ maxLength: 400 }).map((array) => Buffer.from(array).toString("utf8"));
  fc.assert(
    fc.property(fc.oneof(bytes, fc.json(), fc.string({ unit: "grapheme" })), (text) => {
      for (const parse of PARSERS) parse(text);
    }),
  );
});

test("no document of the right shape and wrong values makes a parser throw", () => {
  const value = fc.oneof(fc.anything(), fc.string(), fc.double(), fc.constant(null));
  const names = fc.constantFrom(
    ...["keep", "remove", "id", "time", "pid", "hostname", "exclusive", "message_type"],
    ...["num_errors", "broken_packs", "total_size", "snapshots_count"],
    ...["current", "userName", "hostName", "created"],
  );
  const document = fc.dictionary(names, value).map((entry) => {
    // A bigint has no JSON.
    return JSON.stringify(entry, (_, item) => (typeof item === "bigint" ? 0 : item)) ?? "";
  });
  fc.assert(
    fc.property(document, (text) => {
      for (const parse of PARSERS) {
        parse(text);
        parse(`[${text}]`);
      }
    }),
  );
});
