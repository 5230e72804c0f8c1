/**
 * `node tools/test/main.ts [--check]`: runs every stage, or with `--check` the quick ones, and ends with the
 * line `N passed, N failed`. Exit 1 when anything failed. A failing stage does not stop the next.
 */
import { delimiter, join, resolve } from "node:path";
import { preflight } from "./preflight.ts";
import { type Count, sumCounts } from "./report.ts";
import { runStage } from "./run-stage.ts";
import { stages } from "./stages.ts";

const root = resolve(import.meta.dirname, "../..");

async function runAll(isCheck: boolean): Promise<Count> {
  const found = isCheck ? { environment: {}, missing: [] } : await preflight(process.env, console.log);
  if (found.missing.length > 0) {
    for (const line of found.missing) console.log(line);
    return { passed: 0, failed: found.missing.length, reasons: [] };
  }
  const path = [join(root, "node_modules/.bin"), process.env.PATH].join(delimiter);
  const environment = { ...process.env, ...found.environment, PATH: path, NO_COLOR: "1" };
  const counts: Promise<Count>[] = [];
  for (const stage of stages) {
    if (isCheck && !stage.isQuick) continue;
    const count = runStage(stage, { root, environment, say: console.log });
    counts.push(count);
    if (!stage.runsBeside) await count;
  }
  return sumCounts(await Promise.all(counts));
}

const { passed, failed } = await runAll(process.argv.includes("--check"));
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
