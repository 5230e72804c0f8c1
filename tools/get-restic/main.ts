/**
 * `node tools/get-restic/main.ts [restic|rest-server|rclone]`: prints the path of a usable program as the last line
 * of stdout, and on stderr what it did to get it. Exit 1 when there is no way.
 */
import { getTool, toolCacheFolder } from "./get-tool.ts";
import { toolNames, tools } from "./tools.ts";

const name = process.argv[2] ?? "restic";
const known = toolNames.find((known) => known === name);
if (known === undefined) {
  console.error(`unknown program ${name}; known are ${toolNames.join(", ")}`);
  process.exit(2);
}
try {
  const places = { environment: process.env, cacheFolder: toolCacheFolder, say: console.error };
  console.log((await getTool(tools[known], places)).path);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
