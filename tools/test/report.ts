/**
 * Turns vitest's JSON report into a count that cannot be green by accident.
 *
 * Invariants: no tests, a skipped test, a todo, a file that failed to load and an error outside any test all
 * count as failed; reading never throws, whatever the file holds.
 */

/** The outcome of a stage, or of all of them. */
export interface Count {
  readonly passed: number;
  readonly failed: number;
  /** Why, one sentence each, where vitest's own output does not say it. */
  readonly reasons: readonly string[];
}

/** Counts one vitest run by its JSON report and its exit code. */
export function countReport(json: string, exitCode: number): Count {
  const report = parseReport(json);
  if (report === undefined) return { passed: 0, failed: 1, reasons: ["vitest left no readable report"] };
  const reasons: string[] = [];
  const skipped = report.skipped + report.todo;
  if (report.passed + report.failed + skipped === 0) reasons.push("no tests were found");
  if (skipped > 0) reasons.push(`${skipped} tests are skipped or todo`);
  if (report.brokenFiles > 0) reasons.push(`${report.brokenFiles} test files could not be loaded`);
  const counted = report.failed + skipped + report.brokenFiles;
  const isSilentFailure = counted === 0 && reasons.length === 0 && exitCode !== 0;
  if (isSilentFailure) reasons.push(`vitest ended with ${exitCode} although no test failed`);
  return { passed: report.passed, failed: counted === 0 ? reasons.length : counted, reasons };
}

/** Adds counts up. */
export function sumCounts(counts: readonly Count[]): Count {
  return {
    passed: counts.reduce((sum, count) => sum + count.passed, 0),
    failed: counts.reduce((sum, count) => sum + count.failed, 0),
    reasons: counts.flatMap((count) => count.reasons),
  };
}

interface Report {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly todo: number;
  /** Files marked as failed although none of their tests is: they did not load. */
  readonly brokenFiles: number;
}

function parseReport(json: string): Report | undefined {
  const report = parseObject(json);
  const [passed, failed, skipped, todo] = ["Passed", "Failed", "Pending", "Todo"].map((kind) =>
    numberAt(report, `num${kind}Tests`),
  );
  const files = at(report, "testResults");
  if (passed === undefined || failed === undefined || skipped === undefined || todo === undefined)
    return undefined;
  if (!Array.isArray(files)) return undefined;
  return { passed, failed, skipped, todo, brokenFiles: files.filter(isBroken).length };
}

function isBroken(file: unknown): boolean {
  const tests = at(file, "assertionResults");
  const hasFailedTest = Array.isArray(tests) && tests.some((test) => at(test, "status") === "failed");
  return at(file, "status") === "failed" && !hasFailedTest;
}

function parseObject(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    // The caller reports an unreadable report; where the JSON broke does not matter.
    return undefined;
  }
}

function at(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, key) : undefined;
}

function numberAt(value: unknown, key: string): number | undefined {
  const found = at(value, key);
  return typeof found === "number" ? found : undefined;
}
