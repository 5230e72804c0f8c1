/** When memory that is not needed any more goes back to the system. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { FakeClock } from "@restic-manager/testkit";
import { pino } from "pino";
import { expect, it } from "vitest";
import { MemoryRelease } from "./memory.ts";

const lookMs = 15_000;
const mib = 1024 * 1024;

function startRelease() {
  const clock = new FakeClock();
  const program = { residentMib: 400, busyShare: 0.02, collections: 0 };
  const memory = {
    residentBytes: () => program.residentMib * mib,
    busyShare: () => program.busyShare,
    collect() {
      program.collections++;
      program.residentMib = 200;
    },
  };
  const release = new MemoryRelease({ clock, log: pino({ enabled: false }), memory });
  release.start();
  return { clock, program, release };
}

it("what a start or a burst left behind is given back in the first quiet moment", async () => {
  const { clock, program, release } = startRelease();
  program.busyShare = 0.4;
  await clock.advance(lookMs);
  expect(program.collections).toBe(0);
  program.busyShare = 0.02;
  await clock.advance(lookMs);
  expect(program.collections).toBe(1);
  await release.stop();
});

it("a heap that has grown by less than a quarter is left alone", async () => {
  const { clock, program, release } = startRelease();
  await clock.advance(lookMs);
  program.residentMib = 249;
  for (let n = 0; n < 80; n++) await clock.advance(lookMs);
  expect(program.collections).toBe(1);
  program.residentMib = 251;
  await clock.advance(lookMs);
  expect(program.collections).toBe(2);
  await release.stop();
});

it("however often it grows, the server stops for it once in ten minutes at most", async () => {
  const { clock, program, release } = startRelease();
  for (let n = 0; n < 81; n++) {
    program.residentMib = 400;
    await clock.advance(lookMs);
  }
  expect(program.collections).toBe(3);
  await release.stop();
});

it("nothing is collected after the stop", async () => {
  const { clock, program, release } = startRelease();
  await release.stop();
  await clock.advance(lookMs);
  expect(program.collections).toBe(0);
});

it("a program that held a million objects for a moment is small again", async () => {
  const script = `
    import { ownMemory } from ${JSON.stringify(new URL("./memory.ts", import.meta.url).href)};
    await new Promise(setImmediate);
    const memory = ownMemory();
    const sizes = [memory.residentBytes()];
    let held = Array.from({ length: 1_000_000 }, (_, n) => ({ n, text: "object " + n }));
    sizes.push(memory.residentBytes());
    held = null;
    memory.collect();
    sizes.push(memory.residentBytes());
    await new Promise(setImmediate);
    console.log(JSON.stringify({ sizes, busy: memory.busyShare() }));`;
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", script]);
  const { sizes, busy } = JSON.parse(stdout) as { sizes: [number, number, number]; busy: number };
  const [before, full, after] = sizes;
  expect(after - before).toBeLessThan((full - before) / 2);
  expect(busy).toBeGreaterThan(0);
});
