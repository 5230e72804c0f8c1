/**
 * `node tools/get-restic/main.ts [restic|rest-server|rclone|caddy|nginx] [version]`: prints the path of a usable program as the
 * last line of stdout, and on stderr what it did to get it. With a version it is that one. Exit 1 when there is no way.
 */
import { getTool, toolCacheFolder } from "./get-tool.ts";
import { onlyVersion, toolNames, tools } from "./tools.ts";
import { parseVersion } from "./version.ts";

const [name = "restic", version] = process.argv.slice(2);
const known = toolNames.find((known) => known === name);
if (known === undefined) {
  console.error(`unknown program ${name}; known are ${toolNames.join(", ")}`);
  process.exit(2);
}
if (version !== undefined && parseVersion(version) !== version) {
  console.error(`${version} is no version such as 0.18.0`);
  process.exit(2);
}
try {
  const tool = version === undefined ? tools[known] : onlyVersion(tools[known], version);
  const places = { environment: process.env, cacheFolder: toolCacheFolder, say: console.error };
  console.log((await getTool(tool, places)).path);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
