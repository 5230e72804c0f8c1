/**
 * A repository for apt: a pool of packages, their lists, and the list of those lists, signed
 * (https://wiki.debian.org/DebianRepository/Format). Invariant: the digests of everything that apt loads are under one
 * signature, InRelease.
 */
import { createHash } from "node:crypto";
import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import type { AptKey } from "./apt-key.ts";
import type { DebArch } from "./deb.ts";

export interface ListedDeb {
  readonly file: string;
  readonly name: string;
  readonly arch: DebArch;
  readonly control: string;
}

/** The name under which hosts subscribe; which releases it holds is the operator's choice. */
const suite = "stable";
const component = "main";

/** The public key's name in the repository: what `Signed-By` of a host names is a copy of it. */
export const aptKeyName = "restic-manager.asc";

/** Writes the whole repository into a folder that is empty. */
export async function writeAptRepository(
  folder: string,
  debs: readonly ListedDeb[],
  key: AptKey,
  epochSeconds: number,
): Promise<void> {
  const lists = new Map<string, Buffer>();
  const architectures = [...new Set(debs.map(({ arch }) => arch))].sort();
  for (const arch of architectures) {
    const entries: string[] = [];
    for (const deb of debs.filter((one) => one.arch === arch)) entries.push(await addToPool(folder, deb));
    const list = Buffer.from(entries.join("\n"));
    lists.set(`${component}/binary-${arch}/Packages`, list);
    lists.set(`${component}/binary-${arch}/Packages.gz`, gzipSync(list, { level: 9 }));
  }
  const dist = join(folder, "dists", suite);
  for (const [path, content] of lists) await write(join(dist, path), content);
  const release = releaseText(architectures, lists, epochSeconds);
  await write(join(dist, "Release"), release);
  await write(join(dist, "InRelease"), key.signInside(release, epochSeconds));
  await write(join(folder, aptKeyName), key.publicKey);
}

async function addToPool(folder: string, deb: ListedDeb): Promise<string> {
  const path = `pool/${component}/${deb.name}/${deb.file.slice(deb.file.lastIndexOf("/") + 1)}`;
  await mkdir(dirname(join(folder, path)), { recursive: true });
  await copyFile(deb.file, join(folder, path));
  const bytes = await readFile(deb.file);
  return `${deb.control}Filename: ${path}\nSize: ${bytes.length}\nSHA256: ${sha256(bytes)}\n`;
}

function releaseText(architectures: string[], lists: Map<string, Buffer>, epochSeconds: number): string {
  const sums = [...lists].map(([path, content]) => ` ${sha256(content)} ${content.length} ${path}\n`);
  const fields = [
    "Origin: restic-manager",
    "Label: restic-manager",
    `Suite: ${suite}`,
    `Codename: ${suite}`,
    `Architectures: ${architectures.join(" ")}`,
    `Components: ${component}`,
    "Description: restic-manager's agent and command line",
    `Date: ${new Date(epochSeconds * 1000).toUTCString().replace("GMT", "UTC")}`,
    "SHA256:",
  ];
  return `${fields.join("\n")}\n${sums.join("")}`;
}

async function write(path: string, content: string | Buffer): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
}

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
