/** The pure rules of hosts: online by age, tags. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isOnline, maxTags, offlineAfterMs, readTags } from "./hosts.ts";

const now = Date.UTC(2026, 10, 23, 4);

describe("online", () => {
  it("follows from the age of the last heartbeat", () => {
    expect(isOnline({ lastSeenAt: now - offlineAfterMs + 1 }, now)).toBe(true);
    expect(isOnline({ lastSeenAt: now - offlineAfterMs }, now)).toBe(false);
    expect(isOnline({ lastSeenAt: null }, now)).toBe(false);
  });

  it("does not follow from a time further ahead than clocks may differ: it is from before the clock was set back", () => {
    expect(isOnline({ lastSeenAt: now + offlineAfterMs - 1 }, now)).toBe(true);
    expect(isOnline({ lastSeenAt: now + offlineAfterMs }, now)).toBe(false);
  });
});

describe("tags", () => {
  it("are trimmed, lower case, each once and in order", () => {
    expect(readTags([" Prod", "web", "PROD", "", "kunde:müller"])).toEqual({
      tags: ["prod", "web", "kunde:müller"],
    });
  });

  it.each(["two words", "a,b", "-x", "<b>", "x".repeat(41), "a\u0000"])(
    "refuse %j with a sentence",
    (tag) => {
      expect(readTags([tag])).toEqual({ problem: expect.stringContaining("can't be a tag") });
    },
  );

  it("are bounded in number", () => {
    const many = Array.from({ length: maxTags + 1 }, (_, i) => `t${i}`);
    expect(readTags(many)).toEqual({ problem: expect.stringContaining(`at most ${maxTags}`) });
    expect(readTags(many.slice(1))).toHaveProperty("tags");
  });

  it("read the same again, whatever was typed", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "binary", maxLength: 50 }), { maxLength: 25 }), (typed) => {
        const read = readTags(typed);
        if ("tags" in read) expect(readTags(read.tags)).toEqual(read);
        else expect(read.problem.length).toBeLessThan(300);
      }),
    );
  });
});
