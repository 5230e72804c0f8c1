/**
 * Directions between workspace packages: agent, cli and server know the protocol and nothing else of ours.
 */
import type { Violation } from "../check.ts";
import { packageRules, packageScope } from "../house.ts";
import { isTest, placeOf } from "../place.ts";
import type { ImportFound, SourceFile } from "../source.ts";

/** Checks which packages of ours one file imports. */
export function directionRules(source: SourceFile): Violation[] {
  const place = placeOf(source.path);
  const from = place?.packageName;
  const rule = from === undefined ? undefined : packageRules[from];
  if (from !== undefined && rule === undefined) {
    const message = `${from} is not in the list of packages`;
    return [{ path: source.path, line: 1, rule: "package-unknown", message }];
  }
  return source.imports.flatMap((item) => {
    const message = problemWith(source.path, from, rule?.mayImport, item);
    return message === undefined
      ? []
      : [{ path: source.path, line: item.line, rule: "package-direction", message }];
  });
}

function problemWith(
  path: string,
  from: string | undefined,
  mayImport: readonly string[] | undefined,
  item: ImportFound,
): string | undefined {
  const to = item.target === undefined ? scopedPackage(item.specifier) : placeOf(item.target)?.packageName;
  if (to === undefined || to === from) return undefined;
  if (to === "testkit") {
    const mayTest = isTest(path) || /^(e2e|bench)\//.test(path);
    return mayTest ? undefined : "only tests import the testkit";
  }
  if (from === undefined || mayImport === undefined) return undefined;
  if (!mayImport.includes(to)) return `${from} may not import ${packageScope}${to}`;
  // The testkit builds databases and servers from their parts, which are nobody else's business.
  const goesRound = item.target !== undefined && from !== "testkit";
  return goesRound ? `a relative import goes round the public entry of ${to}` : undefined;
}

function scopedPackage(specifier: string): string | undefined {
  return specifier.startsWith(packageScope) ? specifier.slice(packageScope.length).split("/")[0] : undefined;
}
