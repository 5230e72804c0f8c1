/** Looks that many events wish for. */
import { FakeClock } from "@restic-manager/testkit";
import { expect, it } from "vitest";
import { Looks } from "./looks.ts";

function looksOf(look: () => Promise<void>, everyMs?: number) {
  const failures: unknown[] = [];
  const clock = new FakeClock();
  const looks = new Looks({
    ...{ clock, look, failed: (error: unknown) => void failures.push(error) },
    ...(everyMs === undefined ? {} : { everyMs }),
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
  const { looks, clock } = looksOf(async () => void count++, 1000);
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
