/** Cron expressions in words. */
import { describe, expect, it } from "vitest";
import { cronWords } from "./cron-words.ts";

describe("a cron expression", () => {
  it.each([
    { cron: "0 * * * *", words: "Every hour" },
    { cron: "0 3 * * *", words: "At 03:00" },
    { cron: "30 15 * * 1-5", words: "At 15:30, Monday through Friday" },
    { cron: "0 3 * * 0", words: "At 03:00, only on Sunday" },
    { cron: "0 3 1 * *", words: "At 03:00, on day 1 of the month" },
  ])("$cron is read as “$words”", ({ cron, words }) => {
    expect(cronWords(cron)).toBe(words);
  });

  it("that is none has no words", () => {
    expect(cronWords("every day")).toBe("");
    expect(cronWords("")).toBe("");
  });
});
