/**
 * Size budgets: a file or function past its limit is split before it is merged.
 */
import type { Violation } from "../check.ts";
import { maxFileLines, maxFunctionLines } from "../house.ts";
import type { SourceFile } from "../source.ts";

/** Checks the length of one file and of each of its functions. */
export function sizeRules(source: SourceFile): Violation[] {
  const found: Violation[] = source.functions
    .filter((item) => item.lineCount > maxFunctionLines)
    .map((item) => ({
      path: source.path,
      line: item.line,
      rule: "function-size",
      message: `${item.name} has ${item.lineCount} lines, at most ${maxFunctionLines}`,
    }));
  if (source.lineCount > maxFileLines) {
    const message = `${source.lineCount} lines, at most ${maxFileLines}`;
    found.push({ path: source.path, line: maxFileLines + 1, rule: "file-size", message });
  }
  return found;
}
