/** When a live part looks again. */
import { describe, expect, it } from "vitest";
import { waitAfter } from "./live.ts";

describe("the next look", () => {
  it("comes at its time after a good one", () => {
    expect(waitAfter("ok", 20_000, 0)).toBe(20_000);
  });

  it("comes soon after the first failure and ever later, up to a minute", () => {
    const waits = [1, 2, 3, 5, 6, 40].map((failures) => waitAfter("unreachable", 5000, failures));
    expect(waits).toEqual([3000, 6000, 12_000, 48_000, 60_000, 60_000]);
  });

  it("is rare while nobody is signed in: signing in happens elsewhere", () => {
    expect(waitAfter("signed_out", 5000, 0)).toBe(60_000);
    expect(waitAfter("gone", 5000, 0)).toBe(60_000);
  });
});
