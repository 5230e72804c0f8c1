/**
 * Schedules: whether every planned time of a simulated year gets exactly one outcome, and what schedules cost the
 * server. Both run the real code in this program. Exits with 1 when a goal is missed.
 *
 * node bench/scheduler/main.ts [year|tick] [--seed N] [--quick]
 */
import { parseArgs } from "node:util";
import "../tsx-sources.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seed: { type: "string" }, quick: { type: "boolean", default: false } },
});
const [part] = positionals;
if (part !== "year") {
  const { runTick } = await import("./tick.ts");
  process.exitCode = await runTick(values.quick);
}
if (part !== "tick") {
  const { runYear } = await import("./year.ts");
  const missed = await runYear(Number(values.seed ?? 20_270_328), values.quick);
  process.exitCode ||= missed;
}
