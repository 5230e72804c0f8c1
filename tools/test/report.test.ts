/** Counting: everything that is not a passed test is a failure. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { countReport, sumCounts } from "./report.ts";

interface ReportParts {
  readonly passed?: number;
  readonly failed?: number;
  readonly skipped?: number;
  readonly todo?: number;
  readonly files?: readonly unknown[];
}

function report(parts: ReportParts): string {
  return JSON.stringify({
    numPassedTests: parts.passed ?? 0,
    numFailedTests: parts.failed ?? 0,
    numPendingTests: parts.skipped ?? 0,
    numTodoTests: parts.todo ?? 0,
    testResults: parts.files ?? [],
  });
}

describe("counting a report", () => {
  it("counts tests that passed", () => {
    expect(countReport(report({ passed: 12 }), 0)).toEqual({ passed: 12, failed: 0, reasons: [] });
  });

  it("counts tests that failed once, not again as a failed file", () => {
    const files = [{ status: "failed", assertionResults: [{ status: "passed" }, { status: "failed" }] }];

    expect(countReport(report({ passed: 1, failed: 1, files }), 1)).toEqual({
      passed: 1,
      failed: 1,
      reasons: [],
    });
  });

  it("fails on no tests at all", () => {
    expect(countReport(report({}), 0)).toEqual({ passed: 0, failed: 1, reasons: ["no tests were found"] });
  });

  it("fails on skipped and todo tests", () => {
    expect(countReport(report({ passed: 5, skipped: 2, todo: 1 }), 0)).toEqual({
      passed: 5,
      failed: 3,
      reasons: ["3 tests are skipped or todo"],
    });
  });

  it("fails on a file that could not be loaded", () => {
    const files = [
      { status: "failed", assertionResults: [] },
      { status: "passed", assertionResults: [] },
    ];

    expect(countReport(report({ passed: 3, files }), 1)).toEqual({
      passed: 3,
      failed: 1,
      reasons: ["1 test files could not be loaded"],
    });
  });

  it("fails when vitest ends badly although every test passed", () => {
    const count = countReport(report({ passed: 3 }), 1);

    expect(count).toMatchObject({ passed: 3, failed: 1 });
    expect(count.reasons).toEqual(["vitest ended with 1 although no test failed"]);
  });

  it.each(["", "{", "[]", "null", '{"numPassedTests":1}'])("fails on the unreadable report %j", (json) => {
    expect(countReport(json, 0)).toMatchObject({ passed: 0, failed: 1 });
  });

  it("is never green for a bad exit and never throws", () => {
    fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (json) => countReport(json, 1).failed > 0));
  });
});

describe("summing", () => {
  it("adds figures and keeps every reason", () => {
    const counts = [
      { passed: 1, failed: 2, reasons: ["a"] },
      { passed: 3, failed: 0, reasons: [] },
      { passed: 0, failed: 1, reasons: ["b"] },
    ];

    expect(sumCounts(counts)).toEqual({ passed: 4, failed: 3, reasons: ["a", "b"] });
    expect(sumCounts([])).toEqual({ passed: 0, failed: 0, reasons: [] });
  });
});
