/** Retention in words. */
import { describe, expect, it } from "vitest";
import { type Keep, keepSentence, keepShort, readKeep } from "./keep-words.ts";

const none: Keep = {
  last: null,
  hourly: null,
  daily: null,
  weekly: null,
  monthly: null,
  yearly: null,
  within: null,
};
const typed = { last: "", hourly: "", daily: "", weekly: "", monthly: "", yearly: "", within: "" };

describe("what is kept", () => {
  it.each<{ keep: Partial<Keep>; sentence: string; short: string }>([
    { keep: {}, sentence: "Kept for ever; nothing is forgotten.", short: "for ever" },
    {
      keep: { daily: 7, weekly: 4 },
      sentence: "Keeps the last 7 daily and 4 weekly snapshots.",
      short: "7 daily, 4 weekly",
    },
    { keep: { last: 1 }, sentence: "Keeps the last 1 snapshot.", short: "1 last" },
    {
      keep: { last: 3, monthly: 12, within: "1y6m" },
      sentence: "Keeps the last 3 and 12 monthly snapshots, and all of the last 1 year and 6 months.",
      short: "3 last, 12 monthly, all of 1y6m",
    },
    { keep: { within: "30d" }, sentence: "Keeps all of the last 30 days.", short: "all of 30d" },
  ])("is said: $sentence", ({ keep, sentence, short }) => {
    expect(keepSentence({ ...none, ...keep })).toBe(sentence);
    expect(keepShort({ ...none, ...keep })).toBe(short);
  });

  it("is read from what is typed so far", () => {
    expect(readKeep({ ...typed, daily: " 7 ", within: "30 D", weekly: "0" })).toEqual({
      ...none,
      daily: 7,
      within: "30d",
    });
    expect(readKeep(typed)).toEqual(none);
  });

  it("is not read from what is no whole number", () => {
    for (const daily of ["seven", "1.5", "-1"]) expect(readKeep({ ...typed, daily })).toBeNull();
  });
});
