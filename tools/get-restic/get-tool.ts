/**
 * The order in which a program is looked for: its variable, PATH, the cache, the pinned release, the
 * distribution's package. The first usable one wins; why the others did not is said.
 */
import { resolve } from "node:path";
import { takeFromPackage } from "./apt-package.ts";
import { type FoundTool, isUsable, listCached, listOnPath, probe } from "./installed.ts";
import { fetchRelease } from "./release.ts";
import type { Tool } from "./tools.ts";

/** Where to look and whom to tell. */
export interface SearchPlaces {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly cacheFolder: string;
  /** Receives one line for everything that was tried. */
  readonly say: (line: string) => void;
}

/** The cache of this repository; `make clean` removes it. */
export const toolCacheFolder = resolve(import.meta.dirname, "../../.cache/tools");

/** Finds or fetches a program. Throws an Error with one sentence when there is no way to get it. */
export async function getTool(tool: Tool, places: SearchPlaces): Promise<FoundTool> {
  const installed = findInstalled(tool, places);
  if (installed !== undefined) return installed;
  const say = (line: string) => places.say(`${tool.name}: ${line}`);
  try {
    const released = await fetchRelease(tool, places.cacheFolder);
    say(`fetched release ${released.version}, SHA-256 as pinned`);
    return released;
  } catch (error) {
    say(messageOf(error));
  }
  try {
    const packaged = takeFromPackage(tool, places.cacheFolder, say);
    say(`took ${packaged.version} from a package of the distribution, signature checked by apt`);
    return packaged;
  } catch (error) {
    say(messageOf(error));
  }
  const wanted = tool.exactVersion ?? `${tool.minimumVersion} or newer`;
  throw new Error(`${tool.name} ${wanted} is missing; install it and set ${tool.variable} to its path`);
}

/** Looks at this machine only. Throws when the variable names something that does not work. */
export function findInstalled(tool: Tool, places: SearchPlaces): FoundTool | undefined {
  const say = (line: string) => places.say(`${tool.name}: ${line}`);
  const named = places.environment[tool.variable];
  if (named !== undefined && named !== "") {
    const result = probe(tool, resolve(named));
    if (!isUsable(result)) throw new Error(`${tool.variable}=${named} ${result.reason}`);
    say(`${result.version} from ${tool.variable}`);
    return result;
  }
  const onPath = listOnPath(tool, places.environment.PATH ?? "").map((path) => ({ path, from: "PATH" }));
  const cached = listCached(tool, places.cacheFolder).map((path) => ({ path, from: "the cache" }));
  for (const { path, from } of [...onPath, ...cached]) {
    const result = probe(tool, path);
    say(isUsable(result) ? `${result.version} from ${from}` : `${path} ${result.reason}`);
    if (isUsable(result)) return result;
  }
  return undefined;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
