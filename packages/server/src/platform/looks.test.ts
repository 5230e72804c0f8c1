/** Looks that many events wish for. */
import { FakeClock } from "@restic-manager/testkit";
import { expect, it } from "vitest";
import { Looks } from "./looks.ts";

function looksOf(look: () => Promise<void>, timing: { everyMs?: number; maxShare?: number } = {}) {
  const failures: unknown[] = [];
  const clock = new FakeClock();
  const looks = new Looks({
    ...{ clock, look, failed: (error: unknown) => void failures.push(error), ...timing },
  });
  return { clock, failures, looks };
}

it("a thousand wishes in one moment are one look, and one during it is another", async () => {
  let count = 0;
  let wishes = 1;
  const { looks } = looksOf(async () => {
    count++;
    if (wishes-- > 0) looks.ask();
  });
  for (let n = 0; n < 1000; n++) looks.ask();
  await looks.idle();
  expect(count).toBe(2);
});

it("one that fails is told of, and keeps none after it", async () => {
  let count = 0;
  const { looks, failures } = looksOf(async () => {
    if (++count === 1) throw new Error("the database is away");
  });
  looks.ask();
  await looks.idle();
  looks.ask();
  await looks.idle();
  expect([count, failures.length]).toEqual([2, 1]);
});

it("comes by itself at the start and by the clock, until the stop", async () => {
  let count = 0;
  const { looks, clock } = looksOf(async () => void count++, { everyMs: 1000 });
  looks.start();
  await looks.idle();
  expect(count).toBe(1);
  await clock.advance(1000);
  await looks.idle();
  expect(count).toBe(2);
  await looks.stop();
  looks.ask();
  await looks.idle();
  expect(count).toBe(2);
});

/** Looks that take 300 ms and may take a tenth of the time; one is made. */
async function madeLongLook() {
  const looksMade: number[] = [];
  const made = looksOf(
    async () => {
      looksMade.push(made.clock.now());
      await made.clock.advance(300);
    },
    { maxShare: 0.1 },
  );
  made.looks.ask();
  await made.looks.idle();
  return { ...made, looksMade };
}

it("leaves the time to others that a long one took, also when it is wished for all the time", async () => {
  const { looks, clock, looksMade } = await madeLongLook();
  looks.ask();
  looks.ask();
  await clock.advance(2699);
  expect(looksMade).toHaveLength(1);
  await clock.advance(1);
  await looks.idle();
  expect(looksMade).toHaveLength(2);
});

it("does not make a stop wait for its rest", async () => {
  const { looks, looksMade } = await madeLongLook();
  looks.ask();
  await looks.stop();
  expect(looksMade).toHaveLength(1);
});
