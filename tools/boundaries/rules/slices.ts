/**
 * Ranks, public files and the composition root: who may see which slice of the server.
 *
 * Type imports count like any other: a slice that knows another's types depends on it.
 */
import type { Violation } from "../check.ts";
import { packageRules, sliceRanks } from "../house.ts";
import { isTest, type Place, placeOf } from "../place.ts";
import type { ImportFound, SourceFile } from "../source.ts";

/** Files that put the program together; they may see everything of their package. */
const compositionFiles: readonly string[] = ["start.ts", "index.ts"];

/** Files that may read the settings. `config.ts` declares them. */
const configReaders: readonly string[] = ["config.ts", "main.ts", ...compositionFiles];

/** Checks the imports of one file inside a package. */
export function sliceRules(source: SourceFile): Violation[] {
  const place = placeOf(source.path);
  if (place === undefined) return [];
  const found: Violation[] = [];
  if (place.slice !== undefined && sliceRanks[place.slice] === undefined) {
    found.push({ path: source.path, line: 1, rule: "slice-unknown", message: `${place.slice} has no rank` });
  }
  for (const item of source.imports) {
    const target = item.target === undefined ? undefined : placeOf(item.target);
    if (target === undefined || target.packageName !== place.packageName) continue;
    const broken = findBrokenRule(source.path, place, target);
    if (broken !== undefined) found.push(violation(source.path, item, broken));
  }
  return found;
}

type Broken = readonly [rule: string, message: string];

function findBrokenRule(path: string, from: Place, to: Place): Broken | undefined {
  if (from.inside.startsWith("platform/")) return platformSight(path, to);
  const isProgram = packageRules[from.packageName]?.isProgram === true;
  const composition = isTest(path) || !isProgram ? undefined : compositionSight(from, to);
  if (composition !== undefined) return composition;
  if (from.slice === undefined || to.slice === undefined || from.slice === to.slice) return undefined;
  return rankSight(path, from.slice, to.slice, to);
}

/** Platform is the ground: it knows nothing of what stands on it. */
function platformSight(path: string, to: Place): Broken | undefined {
  if (to.inside.startsWith("platform/") || to.inside.startsWith("migrations/") || isTest(path))
    return undefined;
  return ["platform-upward", `platform may not import ${to.inside}`];
}

function compositionSight(from: Place, to: Place): Broken | undefined {
  if (to.inside === "config.ts" && !configReaders.includes(from.inside)) {
    return ["config-reader", "only start.ts, main.ts and config.ts read settings; take a value instead"];
  }
  if (to.inside === "start.ts" && !["main.ts", ...compositionFiles].includes(from.inside)) {
    return ["composition-root", "only main.ts starts the program"];
  }
  if (to.slice !== undefined && from.slice === undefined && !compositionFiles.includes(from.inside)) {
    return ["composition-root", `only start.ts sees slices, ${from.inside} imports ${to.slice}`];
  }
  return undefined;
}

function rankSight(path: string, from: string, slice: string, to: Place): Broken | undefined {
  const ownRank = sliceRanks[from] ?? 0;
  const otherRank = sliceRanks[slice] ?? Number.POSITIVE_INFINITY;
  if (otherRank >= ownRank) {
    return ["slice-rank", `${from} (rank ${ownRank}) may not import ${slice} (rank ${otherRank})`];
  }
  // A test may build a lower slice from its store; the program may not.
  if (to.inside === `features/${slice}/${slice}.ts` || isTest(path)) return undefined;
  return ["slice-public-file", `import features/${slice}/${slice}.ts, the slice's only public file`];
}

function violation(path: string, item: ImportFound, [rule, message]: Broken): Violation {
  return { path, line: item.line, rule, message };
}
