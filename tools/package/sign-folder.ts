/** Makes a release of a folder: its list of digests, the signature over the list, and the key to check it with. */
import { createHash } from "node:crypto";
import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { formatSums, releaseFiles } from "../../packages/protocol/src/release.ts";
import type { SigningKey } from "./signing.ts";

/** Names every file of the folder but those of a list that is there already. @returns their sizes in bytes, by name */
export async function signFolder(folder: string, key: SigningKey): Promise<Map<string, number>> {
  const own: string[] = Object.values(releaseFiles);
  const entries = await readdir(folder, { withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile() && !own.includes(entry.name));
  const sums = new Map<string, string>();
  const sizes = new Map<string, number>();
  for (const name of files.map((entry) => entry.name).sort()) {
    const file = join(folder, name);
    sums.set(
      name,
      createHash("sha256")
        .update(await readFile(file))
        .digest("hex"),
    );
    sizes.set(name, (await stat(file)).size);
  }
  const text = formatSums(sums);
  await writeFile(join(folder, releaseFiles.sums), text);
  await writeFile(join(folder, releaseFiles.signature), `${key.sign(Buffer.from(text))}\n`);
  await writeFile(join(folder, releaseFiles.publicKey), key.publicKey);
  return sizes;
}
