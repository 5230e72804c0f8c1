/**
 * Directions between workspace packages: agent, cli and server know the protocol and nothing else of ours.
 */
import { posix } from "node:path";
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
  if (from !== undefined && item.target !== undefined) return leavesPackage(from, item.target);
  if (to === undefined || to === from) return undefined;
  if (to === "testkit") {
    const mayTest = isTest(path) || /^(e2e|bench)\//.test(path);
    return mayTest ? undefined : "only tests import the testkit";
  }
  if (mayImport === undefined || mayImport.includes(to)) return undefined;
  return `${from} may not import ${packageScope}${to}`;
}

/** A relative path into another package would go round its public entry. */
function leavesPackage(from: string, target: string): string | undefined {
  return posix.normalize(target).startsWith(`packages/${from}/`)
    ? undefined
    : `a relative import leaves the package: ${target}`;
}

function scopedPackage(specifier: string): string | undefined {
  return specifier.startsWith(packageScope) ? specifier.slice(packageScope.length).split("/")[0] : undefined;
}
