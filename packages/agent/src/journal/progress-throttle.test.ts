/** Progress once a second: the first at once, the newest at the end, nothing in between. */
import { describe, expect, test } from "vitest";
import { AgentFakeClock } from "../../../testkit/src/agent-clock.ts";
import { ProgressThrottle } from "./progress-throttle.ts";

function createThrottle() {
  const clock = new AgentFakeClock();
  const emitted: number[] = [];
  const throttle = new ProgressThrottle<number>(clock, (value) => emitted.push(value));
  return { clock, emitted, throttle };
}

describe("progress", () => {
  test("leaves at once when it is the first", () => {
    const { emitted, throttle } = createThrottle();
    throttle.offer(1);
    expect(emitted).toEqual([1]);
  });

  test("of one second is reduced to the newest, which leaves at its end", async () => {
    const { clock, emitted, throttle } = createThrottle();
    for (const value of [1, 2, 3]) throttle.offer(value);
    await clock.advance(999);
    expect(emitted).toEqual([1]);
    await clock.advance(1);
    expect(emitted).toEqual([1, 3]);
    throttle.offer(4);
    await clock.advance(1_000);
    expect(emitted).toEqual([1, 3, 4]);
  });

  test("leaves at once again after a quiet second", async () => {
    const { clock, emitted, throttle } = createThrottle();
    throttle.offer(1);
    await clock.advance(5_000);
    throttle.offer(2);
    expect(emitted).toEqual([1, 2]);
  });

  test("ends with the job", async () => {
    const { clock, emitted, throttle } = createThrottle();
    throttle.offer(1);
    throttle.offer(2);
    throttle.stop();
    throttle.offer(3);
    await clock.advance(5_000);
    expect(emitted).toEqual([1]);
    expect(clock.sleeping).toBe(0);
  });
});
