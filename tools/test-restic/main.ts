/**
 * `node tools/test-restic/main.ts [version…]`: runs what starts restic with each of the versions, or with those that
 * are named, prints the table and, after a run of all, writes it into docs/compatibility.md. Exit 1 when a version
 * fails or could not be had.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { delimiter, join, resolve } from "node:path";
import { getTool, toolCacheFolder } from "../get-restic/get-tool.ts";
import { onlyVersion, tools } from "../get-restic/tools.ts";
import { type Count, sumCounts } from "../test/report.ts";
import { runStage } from "../test/run-stage.ts";
import {
  type Outcome,
  printTable,
  replaceTable,
  supportedStages,
  type TriedVersion,
  tooOldStages,
  triedVersions,
} from "./versions.ts";

const root = resolve(import.meta.dirname, "../..");
const page = join(root, "docs/compatibility.md");
const places = { environment: process.env, cacheFolder: toolCacheFolder, say: console.log };

async function tryVersion(tried: TriedVersion, restServer: string): Promise<Count | undefined> {
  const path = await findVersion(tried.version);
  if (path === undefined) return undefined;
  const programs = tried.isTooOld ? { RM_OLD_RESTIC: path } : { RM_RESTIC: path };
  const environment = {
    ...process.env,
    ...{ PATH: [join(root, "node_modules/.bin"), process.env.PATH].join(delimiter), NO_COLOR: "1" },
    ...{ RM_REST_SERVER: restServer, ...programs },
  };
  const stages = tried.isTooOld ? tooOldStages : supportedStages;
  const counts: Count[] = [];
  console.log(`restic ${tried.version}`);
  for (const stage of stages) counts.push(await runStage(stage, { root, environment, say: console.log }));
  return sumCounts(counts);
}

async function findVersion(version: string): Promise<string | undefined> {
  // What the variable names is one version; here it is the others' turn too.
  const environment = { ...process.env, [tools.restic.variable]: undefined };
  try {
    return (await getTool(onlyVersion(tools.restic, version), { ...places, environment })).path;
  } catch (error) {
    console.log(error instanceof Error ? error.message : error);
    return undefined;
  }
}

const named = process.argv.slice(2);
const wanted = triedVersions.filter(({ version }) => named.length === 0 || named.includes(version));
const restServer = (await getTool(tools["rest-server"], places)).path;
const outcomes: Outcome[] = [];
for (const tried of wanted) {
  const day = new Date().toISOString().slice(0, 10);
  outcomes.push({ tried, count: await tryVersion(tried, restServer), day });
}
const table = printTable(outcomes);
console.log(table);
if (named.length === 0) writeFileSync(page, replaceTable(readFileSync(page, "utf8"), table));
if (outcomes.length === 0 || outcomes.some(({ count }) => (count?.failed ?? 1) > 0)) process.exitCode = 1;
