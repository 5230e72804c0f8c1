/** A job's error in a headline and its reason. */
import { describe, expect, it } from "vitest";
import { explainError } from "./jobs.explain.ts";

const wordsOf = (message: string) => {
  const { what, why } = explainError({ code: "restic.failed", message, last_lines: [] }, 1);
  return { what, why };
};

describe("a job's error", () => {
  it("is a headline and the rest", () => {
    expect(wordsOf("The disk is full. Free some space.")).toEqual({
      what: "The disk is full.",
      why: "Free some space.",
    });
  });

  it("does not shout Fatal", () => {
    expect(wordsOf("Fatal: unable to open repository: connection refused")).toEqual({
      what: "Unable to open repository.",
      why: "connection refused",
    });
    expect(wordsOf("restic is missing").what).toBe("restic is missing");
    expect(wordsOf("Fatal:").what).toBe("Fatal.");
  });
});
