/**
 * Runs every rule over a tree and returns what is wrong with it.
 *
 * Invariant: the result depends on the tree only and is sorted by path, line and rule.
 * Not here: printing, exit codes.
 */
import { documentRules } from "./rules/documents.ts";
import { lockRules, manifestRules } from "./rules/manifests.ts";
import { nameRules } from "./rules/names.ts";
import { directionRules } from "./rules/packages.ts";
import { platformRules } from "./rules/platform.ts";
import { sizeRules } from "./rules/sizes.ts";
import { sliceRules } from "./rules/slices.ts";
import { textRules } from "./rules/texts.ts";
import { isSource, readSource, type SourceFile } from "./source.ts";
import { readTree, type TreeFile } from "./tree.ts";

/** One broken rule at one place. */
export interface Violation {
  readonly path: string;
  readonly line: number;
  readonly rule: string;
  readonly message: string;
}

/** The outcome of one run. */
export interface CheckResult {
  readonly fileCount: number;
  readonly violations: readonly Violation[];
}

/** Checks the repository at `root`. Throws when a source file does not parse. */
export function checkTree(root: string): CheckResult {
  const files = readTree(root);
  const sources = files.filter((file) => isSource(file.path)).map(readSource);
  const violations = [...checkFiles(files), ...sources.flatMap(checkSource)];
  return { fileCount: files.length, violations: violations.sort(byPlace) };
}

function checkFiles(files: readonly TreeFile[]): Violation[] {
  const perFile = files.flatMap((file) => [
    ...textRules(file),
    ...manifestRules(file),
    ...documentRules(file),
    ...nameRules.path(file),
  ]);
  return [...perFile, ...lockRules(files)];
}

function checkSource(source: SourceFile): Violation[] {
  return [
    ...sliceRules(source),
    ...directionRules(source),
    ...platformRules(source),
    ...sizeRules(source),
    ...nameRules.declarations(source),
  ];
}

function byPlace(a: Violation, b: Violation): number {
  return a.path.localeCompare(b.path) || a.line - b.line || a.rule.localeCompare(b.rule);
}
