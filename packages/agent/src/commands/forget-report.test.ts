/** What is told of a forget, from what was planned and what is left. */
import { agentMessage } from "@restic-manager/protocol";
import { describe, expect, test } from "vitest";
import { getRecording, RECORDED_VERSIONS } from "../../fixtures/restic/recorded.ts";
import { concludeForget, findTooMany, type GroupEnd, refusedGroup, toGroupResult } from "./forget-report.ts";
import { isRefusal } from "./refusal.ts";

const ids = (count: number, from = 0) =>
  Array.from({ length: count }, (_, at) => `${from + at}`.padStart(64, "0"));
const spec = (max_removed_percent: number, confirmed = false) => ({
  ...{ kind: "forget" as const, host_name: "h", groups: [], max_removed_percent, confirmed },
});
const end = (changes: Partial<GroupEnd> = {}): GroupEnd => ({
  ...{ sourceGroup: "default", plan: { keep: ids(2), remove: ids(3, 10) }, error: null },
  ...{ tried: true, lastLines: [], exitCode: 0, ...changes },
});

describe("the share of a group's snapshots that would go", () => {
  const plan = (keep: number, remove: number) => ({ keep: ids(keep), remove: ids(remove, 1000) });

  test.each([
    [0, 10, 50, false, "ten are never too many"],
    [10, 11, 50, true, "eleven of 21 are more than half"],
    [11, 11, 50, false, "exactly the share is not more"],
    [100, 11, 0, true, "no share at all is allowed"],
    [0, 500, 100, false, "all are allowed"],
  ])("%i kept and %i removed at %i %%: too many is %s (%s)", (keep, remove, percent, tooMany) => {
    expect(findTooMany(plan(keep, remove), spec(percent)) !== undefined).toBe(tooMany);
    expect(findTooMany(plan(keep, remove), spec(percent, true))).toBeUndefined();
  });
});

describe("a group afterwards", () => {
  test("has lost what its list lacks", () => {
    expect(toGroupResult(end(), ids(2))).toMatchObject({ kept: 2, removed: 3, error: null });
  });

  test("has lost nothing on storage that keeps everything, whatever restic's exit code", () => {
    const all = [...ids(2), ...ids(3, 10)];
    expect(toGroupResult(end(), all)).toMatchObject({
      kept: 5,
      removed: 0,
      error: { code: "forget.not_removed" },
    });
  });

  test("counts a snapshot that another made meanwhile as kept", () => {
    expect(toGroupResult(end(), ids(3))).toMatchObject({ kept: 3, removed: 3, error: null });
  });

  test("is not known to have lost anything when the list can't be read", () => {
    const unread = toGroupResult(end(), undefined);
    expect(unread).toMatchObject({ kept: 5, removed: 0, error: { code: "forget.unconfirmed" } });
  });
});

describe("the job", () => {
  const tooMany = { code: "forget.too_many", message: "Too much." };
  const locked = { code: "restic.repository_locked", message: "Locked." };
  const conclude = (...errors: (GroupEnd["error"] | undefined)[]) => {
    const ends = errors.map((error, at) =>
      end({ sourceGroup: `g${at}`, error: error ?? null, tried: !error }),
    );
    const groups = ends.map((one) => toGroupResult(one, one.error === null ? ids(2) : one.plan.keep));
    return concludeForget(groups, ends);
  };

  test("succeeded when every group did", () => {
    expect(conclude(null, null)).toMatchObject({ status: "succeeded", error: null });
  });

  test("is a warning when one group failed or was left alone", () => {
    expect(conclude(null, locked)).toMatchObject({ status: "warning", error: { code: locked.code } });
    expect(conclude(tooMany)).toMatchObject({ status: "warning", error: { code: tooMany.code } });
  });

  test("failed when nothing could be done, and says why for each group", () => {
    const result = conclude(locked, refusedGroup);
    expect(result).toMatchObject({ status: "failed", error: { code: locked.code } });
    expect(result.error?.message).toMatch(/"g0": Locked\. "g1": The storage refuses deletion/);
  });

  test("fits a frame whatever its groups have to say", () => {
    const loud = { code: "restic.failed", message: "x".repeat(4000) };
    const { status, error, result } = conclude(...Array.from({ length: 100 }, () => loud));
    const ids26 = {
      job_id: "01KAQ2W4T9B3E6R8M1N5P7S0VX",
      attempt: 1,
      seq: 1,
      at: "2026-11-23T04:13:00.000Z",
    };
    const message = {
      type: "job.finished",
      ...ids26,
      status,
      error,
      exit_code: 1,
      summary: null,
      log_lines: 1,
    };
    expect(agentMessage.safeParse({ ...message, result }).success).toBe(true);
    expect(JSON.stringify(result).length).toBeLessThan(500_000);
  });
});

describe("a refusal of the storage", () => {
  test.each(RECORDED_VERSIONS)("is heard in the words of restic %s", (version) => {
    for (const name of ["rest-ao-forget-last", "rest-ao-prune-real"]) {
      const heard = getRecording(version, name).stderr.filter((text) =>
        isRefusal({ stream: "stderr", text }),
      );
      expect(heard).not.toEqual([]);
    }
  });

  test.each([
    "Remove(<snapshot/3f072f7519>) failed: unexpected HTTP response (403): 403 Forbidden",
    `{"message_type":"exit_error","code":1,"message":"Fatal: unexpected HTTP response (403): 403 Forbidden"}`,
    "Remove(<index/1>) failed: Access Denied.",
  ])("is %j", (text) => {
    expect(isRefusal({ stream: "stderr", text })).toBe(true);
    expect(isRefusal({ stream: "stdout", text })).toBe(false);
  });

  test.each(["403 old packs removed", "unexpected HTTP response (401): 401 Unauthorized", ""])(
    "is not %j",
    (text) => expect(isRefusal({ stream: "stderr", text })).toBe(false),
  );
});
