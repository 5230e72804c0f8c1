/**
 * Reads the repository from disk: every text file of ours with its path and content.
 *
 * Invariants: paths are relative to the root and use `/`; the order is stable; binary files are left out.
 * Not here: any rule.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { ignoredFolders } from "./house.ts";

/** One text file. */
export interface TreeFile {
  readonly path: string;
  readonly text: string;
}

/** The check's own broken examples: reading them as part of the house would make every run fail. */
const ownFixtures = "tools/boundaries/fixtures/";

/** A NUL byte this early means that the file is not text; git decides in the same way. */
const binaryProbeBytes = 8000;

/** Lists every text file below `root` in path order. */
export function readTree(root: string): TreeFile[] {
  const files: TreeFile[] = [];
  for (const path of listPaths(root, root)) {
    if (path.startsWith(ownFixtures)) continue;
    const bytes = readFileSync(join(root, path));
    if (bytes.subarray(0, binaryProbeBytes).includes(0)) continue;
    files.push({ path, text: bytes.toString("utf8") });
  }
  return files;
}

function listPaths(root: string, folder: string): string[] {
  const entries = readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
  return entries.flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return ignoredFolders.includes(entry.name) ? [] : listPaths(root, path);
    return entry.isFile() ? [relative(root, path).split(sep).join("/")] : [];
  });
}
