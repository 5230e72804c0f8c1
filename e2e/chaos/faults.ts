/** How hard the fault tests try, and the chance that they play with. RM_FAULTS=long is `npm run faults`. */

/** The long form goes through everything; the short one, part of `npm test`, through a fair sample. */
export const isLong = process.env.RM_FAULTS === "long";

export const sized = (short: number, long: number): number => (isLong ? long : short);

/** A test of the long form may take as long as it likes, within reason. */
export const testTimeout = sized(90_000, 1_800_000);

/** Numbers in [0, 1) that another run can repeat: RM_FAULTS_SEED=… (mulberry32). Says its seed. */
export function createChance(what: string): () => number {
  let state = Number(process.env.RM_FAULTS_SEED ?? Date.now() % 1_000_000) >>> 0;
  process.stdout.write(`${what}: RM_FAULTS_SEED=${state}\n`);
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** What a fault test did, for whoever reads the run's output. */
export const report = (sentence: string): void => void process.stdout.write(`${sentence}\n`);

/** Looks often, for what is over in a moment. @throws Error with `what` when it never came */
export async function untilSoon(
  what: string,
  limitMs: number,
  holds: () => boolean | Promise<boolean>,
): Promise<void> {
  const deadline = Date.now() + limitMs;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`${what} did not come within ${limitMs} ms`);
    await pause(5);
  }
}
