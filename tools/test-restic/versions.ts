/**
 * The versions of restic that are tried, where each comes from, and the table of how that ended.
 *
 * Invariant: a version that could not be had is a line of the table and never a passed one.
 */
import type { Count } from "../test/report.ts";
import type { Stage } from "../test/stages.ts";

/** One line of the table. */
export interface TriedVersion {
  readonly version: string;
  readonly from: string;
  /** Older than what is supported: it has to be refused. */
  readonly isTooOld: boolean;
}

/** The oldest of the supported ones that a distribution still has, the newest, and one that has to be refused. */
export const triedVersions: readonly TriedVersion[] = [
  { version: "0.14.0", from: "Debian 12", isTooOld: true },
  { version: "0.18.0", from: "Debian 13", isTooOld: false },
  { version: "0.19.1", from: "Debian forky, or upstream's release", isTooOld: false },
];

/** Everything of the suite that starts restic, but for what is about the browser or about broken machines. */
export const supportedStages: readonly Stage[] = [
  {
    name: "agent",
    commands: [],
    project: "integration",
    paths: ["packages/agent"],
    workers: 3,
    isQuick: false,
  },
  {
    name: "fleet",
    commands: [],
    project: "e2e",
    paths: ["e2e/fleet", "e2e/retention.test.ts", "e2e/recovery.test.ts"],
    isQuick: false,
  },
  {
    name: "repository",
    commands: [],
    project: "waiting",
    paths: ["e2e/waiting/repository.test.ts"],
    isQuick: false,
  },
];

/** What is run with a version that has to be refused. */
export const tooOldStages: readonly Stage[] = [
  { name: "refusal", commands: [], project: "versions", isQuick: false },
];

/** How one version did. @param count undefined when it could not be had */
export interface Outcome {
  readonly tried: TriedVersion;
  readonly count: Count | undefined;
  /** A day, as `2026-11-26`. */
  readonly day: string;
}

/** The outcomes as a table of Markdown. */
export function printTable(outcomes: readonly Outcome[]): string {
  const head = ["| restic | from | result | passed | failed | on |", "|---|---|---|---|---|---|"];
  const lines = outcomes.map(({ tried, count, day }) => {
    const figures = count === undefined ? ["–", "–"] : [String(count.passed), String(count.failed)];
    return `| ${[tried.version, tried.from, wordFor(tried, count), ...figures, day].join(" | ")} |`;
  });
  return [...head, ...lines].join("\n");
}

function wordFor({ isTooOld }: TriedVersion, count: Count | undefined): string {
  if (count === undefined) return "could not be had";
  if (count.failed > 0) return "**fails**";
  return isTooOld ? "refused, as it has to be" : "works";
}

const marks = [
  "<!-- begin of what make test-restic wrote -->",
  "<!-- end of what make test-restic wrote -->",
] as const;

/** The page with another table. @throws Error when its two marks are not there */
export function replaceTable(page: string, table: string): string {
  const [begin, end] = marks.map((mark) => page.indexOf(mark));
  if (begin === undefined || end === undefined || begin < 0 || end < begin)
    throw new Error(`the page lacks its marks, ${marks.join(" and ")}`);
  return `${page.slice(0, begin + marks[0].length)}\n\n${table}\n\n${page.slice(end)}`;
}
