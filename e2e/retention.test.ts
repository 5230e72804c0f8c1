/**
 * Our computation of a retention against restic's own: the same snapshots and the same policies, what each of them would
 * keep, remove, and why. All of restic runs with the agent's environment, and three at a time.
 */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  createLab,
  createRepository,
  getResticPath,
  type Lab,
} from "../packages/agent/fixtures/restic/lab.ts";
import { planRetention } from "../packages/server/src/features/maintenance/retention-plan.ts";
import type { Retention } from "../packages/server/src/features/sources/sources.ts";

const run = promisify(execFile);
const atOnce = 3;
const host = "web-01";
const group = "default";
/** After every snapshot below. */
const now = Date.UTC(2025, 0, 1);

const times = [
  // A day of several an hour, on which summer time begins in Europe, and the edge of its month.
  ...["2024-04-01T00:00:00", "2024-03-31T23:59:59", "2024-03-31T09:40:00", "2024-03-31T09:10:00"],
  ...["2024-03-31T08:40:00", "2024-03-31T08:10:00", "2024-03-31T07:10:00", "2024-03-31T02:30:00"],
  ...["2024-03-31T01:30:00", "2024-03-31T01:00:00", "2024-03-31T00:59:59", "2024-03-31T00:00:00"],
  ...["2024-03-30T23:59:59", "2024-03-30T12:00:00", "2024-03-29T12:00:00", "2024-03-28T12:00:00"],
  // A Sunday and its Monday, summer time in America, and exactly a month before the newest.
  ...["2024-03-11T00:00:00", "2024-03-10T23:59:59", "2024-03-10T06:59:00", "2024-03-01T00:00:00"],
  // A leap day.
  ...["2024-02-29T23:59:59", "2024-02-29T00:00:00", "2024-02-28T12:00:00", "2024-02-01T12:00:00"],
  // The end of a year, with the week that belongs to the next.
  ...["2024-01-08T00:00:00", "2024-01-07T23:59:59", "2024-01-03T12:00:00", "2024-01-01T00:00:00"],
  ...["2023-12-31T23:59:59", "2023-12-31T00:00:00", "2023-12-30T12:00:00", "2023-12-25T12:00:00"],
  // Summer time ends in Europe, then months with a gap between them.
  ...["2023-10-29T01:30:00", "2023-10-29T00:30:00", "2023-09-30T12:00:00", "2023-08-31T12:00:00"],
  ...["2023-07-31T12:00:00", "2023-05-01T12:00:00", "2023-04-01T00:00:00", "2023-03-31T23:59:59"],
  ...["2023-02-28T12:00:00", "2023-01-01T12:00:00", "2022-12-31T12:00:00", "2022-07-01T12:00:00"],
  // Years, one with a week 53, and one left out.
  ...["2021-01-04T00:00:00", "2021-01-03T23:59:59", "2021-01-01T12:00:00", "2020-12-28T00:00:00"],
  ...["2020-12-27T23:59:59", "2020-02-29T12:00:00", "2019-12-30T12:00:00", "2018-06-01T12:00:00"],
];
const nothing: Retention = {
  ...{ keepLast: null, keepHourly: null, keepDaily: null, keepWeekly: null },
  ...{ keepMonthly: null, keepYearly: null, keepWithin: null },
};
const policies: Partial<Retention>[] = [
  ...[{ keepLast: 7 }, { keepLast: 51 }, { keepLast: 500 }],
  ...[{ keepHourly: 9 }, { keepHourly: 400 }],
  ...[{ keepDaily: 3 }, { keepDaily: 14 }, { keepDaily: 400 }],
  ...[{ keepWeekly: 9 }, { keepWeekly: 22 }, { keepWeekly: 400 }],
  ...[{ keepMonthly: 12 }, { keepMonthly: 400 }],
  ...[{ keepYearly: 2 }, { keepYearly: 6 }, { keepYearly: 7 }, { keepYearly: 100 }],
  ...[{ keepWithin: "1h" }, { keepWithin: "24h" }, { keepWithin: "1m" }, { keepWithin: "1y" }],
  ...[{ keepWithin: "4y1m3d2h" }, { keepWithin: "31d" }, { keepWithin: "99y" }],
  { keepLast: 3, keepDaily: 7, keepWeekly: 4, keepMonthly: 6, keepYearly: 3 },
  { keepHourly: 24, keepDaily: 7, keepWeekly: 5, keepMonthly: 12, keepYearly: 75, keepWithin: "2d" },
  { keepDaily: 2, keepMonthly: 3, keepWithin: "12h" },
  { keepWeekly: 1, keepYearly: 1 },
];
const flags = {
  ...{ keepLast: "--keep-last", keepHourly: "--keep-hourly", keepDaily: "--keep-daily" },
  ...{ keepWeekly: "--keep-weekly", keepMonthly: "--keep-monthly", keepYearly: "--keep-yearly" },
  keepWithin: "--keep-within",
} satisfies Record<keyof Retention, string>;

let lab: Lab;
let snapshots: { id: string; time: number }[];

beforeAll(async () => {
  lab = await createLab();
  await createRepository(lab);
  // By itself: it makes restic's cache of this repository, and one that comes meanwhile can find it half made and fails.
  await backUp({ time: "2024-05-01T12:00:00", hostName: "web-02" });
  await eachOf(times, (time) => backUp({ time }));
  await backUp({ time: "2024-05-01T12:00:00", tag: "databases" });
  // The same day in UTC, two days in Tokyo.
  await backUp({ time: "2024-05-01T23:30:00", tag: "by-hand", zone: "Asia/Tokyo" });
  await backUp({ time: "2024-05-02T01:30:00", tag: "by-hand", zone: "Asia/Tokyo" });
  const listed = await restic(["snapshots", "--no-lock", "--host", host, "--tag", group]);
  snapshots = (JSON.parse(listed) as { id: string; time: string }[]).map(({ id, time }) => ({
    id,
    time: Date.parse(time),
  }));
}, 240_000);

afterAll(() => lab?.remove());

async function restic(args: readonly string[], zone?: string): Promise<string> {
  const env = { ...lab.envFor(), ...(zone === undefined ? {} : { TZ: zone }) };
  const { stdout } = await run(getResticPath(), ["--json", ...args], { env, cwd: lab.dir });
  return stdout;
}

/** One snapshot of an empty folder. */
async function backUp(of: { time: string; hostName?: string; tag?: string; zone?: string }): Promise<void> {
  const { time, hostName = host, tag = group, zone } = of;
  const filed = ["--host", hostName, "--tag", tag, "--time", time.replace("T", " ")];
  await restic(["backup", "--no-scan", ...filed, lab.source], zone);
}

async function eachOf<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values();
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (const item of queue) await work(item);
    }),
  );
}

interface ForgetPlan {
  keep: { id: string }[];
  remove: { id: string }[] | null;
  reasons: { snapshot: { id: string }; matches: string[] }[];
}

/** What restic would do, as forget of the agent asks it, by the id of each snapshot. */
async function askRestic(
  policy: Partial<Retention>,
  tag = group,
): Promise<Map<string, string[] | "removed">> {
  const keeps = (Object.keys(flags) as (keyof Retention)[]).flatMap((key) =>
    policy[key] === undefined ? [] : [flags[key], String(policy[key])],
  );
  const filter = ["--host", host, "--tag", tag, "--group-by", "host"];
  const printed = await restic(["forget", "--dry-run", "--no-lock", ...filter, ...keeps]);
  const [plan] = JSON.parse(printed) as ForgetPlan[];
  return new Map<string, string[] | "removed">([
    ...(plan?.reasons ?? []).map(({ snapshot, matches }) => [snapshot.id, matches.map(short)] as const),
    ...(plan?.remove ?? []).map(({ id }) => [id, "removed"] as const),
  ]);
}

/** `daily snapshot` as we say it. */
const short = (reason: string): string => reason.replace(/ snapshot$/, "");

/** Not every version of restic says when it keeps one only for being the oldest. */
const withoutOldest = (fate: unknown): string => JSON.stringify(fate).replaceAll("oldest ", "");

function askOurs(policy: Partial<Retention>): Map<string, string[] | "removed"> {
  const plan = planRetention(snapshots, { ...nothing, ...policy }, now);
  return new Map<string, string[] | "removed">([
    ...plan.keep.map(({ id, reasons }) => [id, reasons] as const),
    ...plan.remove.map(({ id }) => [id, "removed"] as const),
  ]);
}

describe("what a retention keeps", () => {
  test("is what restic would keep, for the same reasons, of the group's snapshots alone", async () => {
    expect(snapshots).toHaveLength(times.length);
    const answers: { policy: Partial<Retention>; theirs: Map<string, string[] | "removed"> }[] = [];
    await eachOf(policies, async (policy) => {
      answers.push({ policy, theirs: await askRestic(policy) });
    });
    const saysOldest = answers.some(({ theirs }) => [...theirs.values()].flat().join().includes("oldest"));
    const print = saysOldest ? JSON.stringify : withoutOldest;
    const differing = answers.filter(({ policy, theirs }) => {
      const ours = askOurs(policy);
      const isSame = [...theirs].every(([id, fate]) => print(ours.get(id)) === print(fate));
      return !isSame || ours.size !== theirs.size;
    });
    expect(differing).toEqual([]);
  });

  test("goes by the clock that a snapshot was stored with, so that one made by hand elsewhere has its own days", async () => {
    const fates = [...(await askRestic({ keepDaily: 7 }, "by-hand")).values()];
    expect(fates).toEqual([["daily"], ["daily"]]);
  });
});
