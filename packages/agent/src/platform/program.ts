/**
 * This program as the system sees it: one executable with everything inside, or Node with our file (development, tests).
 * The only place that tells the two apart.
 */
import { isSea } from "node:sea";
import type { Command } from "./child.ts";

/** The command that starts this program again with these arguments. */
export function ownCommand(args: readonly string[]): Command {
  // Node's own flags go along, so that another start runs as this one does (from source in development).
  const start = isSea() ? [] : [...process.execArgv, process.argv[1] ?? ""];
  return { file: process.execPath, args: [...start, ...args] };
}

/** The file of this program: the executable, or our file that Node runs. */
export function executablePath(): string {
  return isSea() ? process.execPath : (process.argv[1] ?? process.execPath);
}
