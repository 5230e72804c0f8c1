/**
 * Documents that repeat the table of ranks repeat it truthfully.
 *
 * A table counts when its heading is `| rank | slices |`; words in parentheses after a slice are explanation.
 */
import type { Violation } from "../check.ts";
import { sliceRanks } from "../house.ts";
import type { TreeFile } from "../tree.ts";

/** Compares every table of ranks in a Markdown file with the house. */
export function documentRules(file: TreeFile): Violation[] {
  if (!file.path.endsWith(".md")) return [];
  const lines = file.text.split("\n");
  return lines.flatMap((line, index) => {
    if (!/^\|\s*rank\s*\|\s*slices\s*\|$/.test(line)) return [];
    const written = readRanks(lines.slice(index + 2));
    return differences(written).map((message) => ({
      path: file.path,
      line: index + 1,
      rule: "rank-table",
      message,
    }));
  });
}

function readRanks(rows: readonly string[]): Record<string, number> {
  const end = rows.findIndex((row) => !row.startsWith("|"));
  const entries = rows.slice(0, end < 0 ? rows.length : end).flatMap((row) => {
    const [, rank, slices = ""] = row.split("|");
    const names = slices.replace(/\([^)]*\)/g, "").split(/[,+]/);
    return names.map((name) => [name.trim(), Number(rank)] as const);
  });
  return Object.fromEntries(entries);
}

function differences(written: Readonly<Record<string, number>>): string[] {
  const names = new Set([...Object.keys(sliceRanks), ...Object.keys(written)]);
  return [...names]
    .filter((name) => written[name] !== sliceRanks[name])
    .map(
      (name) =>
        `${name} has rank ${written[name] ?? "none"} here, ${sliceRanks[name] ?? "none"} in the house`,
    );
}
