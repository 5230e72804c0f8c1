/** Turns: in order, and never more at once than said before everybody else had theirs. */
import { expect, it } from "vitest";
import { Turns } from "./turns.ts";

/** Which turn of everybody else's each of `count` callers came in, in the order in which they came. */
async function turnsOf(turns: Turns, count: number): Promise<{ name: number; turn: number }[]> {
  const seen: { name: number; turn: number }[] = [];
  let turn = 0;
  let isOver = false;
  const others = () => {
    turn++;
    if (!isOver) setImmediate(others);
  };
  setImmediate(others);
  const work = async (name: number) => {
    await turns.next();
    seen.push({ name, turn });
  };
  await Promise.all(Array.from({ length: count }, (_, name) => work(name)));
  isOver = true;
  return seen;
}

it.each([1, 3])("let %i begin at once, in the order of the calls", async (atOnce) => {
  const seen = await turnsOf(new Turns(atOnce), 12);
  expect(seen.map(({ name }) => name)).toEqual(Array.from({ length: 12 }, (_, name) => name));
  const sizes = [...Map.groupBy(seen, ({ turn }) => turn).values()].map((those) => those.length);
  expect(Math.max(...sizes)).toBe(atOnce);
});
