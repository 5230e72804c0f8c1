/**
 * Time, randomness, environment, child processes and a client's address are reached through a platform file only, so that a test
 * can hold them still. Tests, tools, e2e and bench are free; browser modules have no platform of ours.
 */
import type { Violation } from "../check.ts";
import { isTest, type Place, placeOf } from "../place.ts";
import type { SourceFile } from "../source.ts";

/** Reaches for the clock, by how they are written. */
const clockUses: readonly string[] = ["Date.now", "new Date()", "performance.now", "process.hrtime"];

/** What makes random values, as members of `crypto` or as named imports of `node:crypto`. */
const randomNames: readonly string[] = [
  "randomUUID",
  "randomBytes",
  "randomInt",
  "randomFillSync",
  "getRandomValues",
];

/** Files outside platform that read the environment: they hand it on as values. */
const environmentReaders: readonly string[] = ["main.ts", "start.ts", "config.ts"];

/** Checks one file for reaches past the platform. */
export function platformRules(source: SourceFile): Violation[] {
  const place = placeOf(source.path);
  if (place === undefined || isExempt(source.path, place)) return [];
  const found: Violation[] = [];
  const add = (line: number, rule: string, what: string) => {
    found.push({ path: source.path, line, rule, message: `${what} is reached through a platform file only` });
  };
  for (const use of source.uses) {
    const rule = ruleOfUse(use.what, place);
    if (rule !== undefined) add(use.line, rule, use.what);
  }
  for (const item of source.imports) {
    const specifier = item.specifier.replace(/^node:/, "");
    if (specifier === "child_process") add(item.line, "platform-child", item.specifier);
    if (specifier === "process" && item.names.includes("env")) add(item.line, "platform-environment", "env");
    const random = specifier === "crypto" ? item.names.find((name) => randomNames.includes(name)) : undefined;
    if (random !== undefined) add(item.line, "platform-random", random);
  }
  return found;
}

function isExempt(path: string, place: Place): boolean {
  return isTest(path) || /^(platform|browser)\//.test(place.inside);
}

function ruleOfUse(what: string, place: Place): string | undefined {
  if (clockUses.includes(what)) return "platform-clock";
  // It may be spelled in several ways, or be no address at all: see platform/http/client-address.ts.
  if (what === "request.ip") return "platform-client-address";
  if (what === "process.env") {
    return environmentReaders.includes(place.inside) ? undefined : "platform-environment";
  }
  const [owner = "", member = ""] = what.split(".");
  const isRandom = what === "Math.random" || (/crypto$/i.test(owner) && randomNames.includes(member));
  return isRandom ? "platform-random" : undefined;
}
