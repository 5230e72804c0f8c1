/** When a live part looks again, and which answers count. */
import { describe, expect, it } from "vitest";
import { inOrder, waitAfter } from "./live.ts";

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

describe("several looks at once", () => {
  /** A question whose answers come when the test gives them. */
  function createQuestion() {
    const open: ((answer: string) => void)[] = [];
    const ask = inOrder(() => new Promise<string>((resolve) => open.push(resolve)));
    return { ask, answer: (index: number, text: string) => open[index]?.(text) };
  }

  it("an answer that comes after the one to a later question does not count", async () => {
    const { ask, answer } = createQuestion();
    const [first, second] = [ask(), ask()];
    answer(1, "finished");
    expect(await second).toBe("finished");
    answer(0, "running");
    expect(await first).toBeUndefined();
  });

  it("answers that come in the order of their questions all count", async () => {
    const { ask, answer } = createQuestion();
    const [first, second] = [ask(), ask()];
    answer(0, "running");
    expect(await first).toBe("running");
    answer(1, "finished");
    expect(await second).toBe("finished");
  });
});
