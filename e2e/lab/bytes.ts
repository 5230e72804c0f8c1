/** Whether two trees are the same to the last byte. Names are bytes here: a file name need not be UTF-8. */
import { lstat, readdir, readFile } from "node:fs/promises";

export interface TreeComparison {
  files: number;
  /** In words; empty when everything is equal. */
  differences: string[];
}

const slash = Buffer.from("/");
const join = (folder: Buffer, name: Buffer): Buffer => Buffer.concat([folder, slash, name]);

export async function compareTrees(original: string, copy: string): Promise<TreeComparison> {
  const result: TreeComparison = { files: 0, differences: [] };
  await compare(Buffer.from(original), Buffer.from(copy), result);
  return result;
}

async function compare(original: Buffer, copy: Buffer, result: TreeComparison): Promise<void> {
  const [a, b] = await Promise.all([kindOf(original), kindOf(copy)]);
  if (a !== b) {
    result.differences.push(`${original.toString()} is ${a}, its copy is ${b}`);
    return;
  }
  if (a === "folder") {
    const names = new Map<string, Buffer>();
    for (const folder of [original, copy])
      for (const name of await readdir(folder, { encoding: "buffer" }))
        names.set(name.toString("latin1"), name);
    for (const name of names.values()) await compare(join(original, name), join(copy, name), result);
    return;
  }
  result.files++;
  if (!(await readFile(original)).equals(await readFile(copy)))
    result.differences.push(`${original.toString()} has other bytes`);
}

async function kindOf(path: Buffer): Promise<string> {
  const found = await lstat(path).catch(() => null);
  if (found === null) return "missing";
  return found.isDirectory() ? "folder" : "file";
}
