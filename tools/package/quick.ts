/**
 * A program as an executable of this machine, for tests and for trying out: with the Node that is installed here, and
 * kept by what went into it. Not for handing out: `make package` takes Node from a checked archive.
 */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { releasePlatformOf } from "../../packages/protocol/src/release.ts";
import { type Bundle, bundleProgram } from "./bundle.ts";
import { writeExecutable } from "./executable.ts";
import { listPrograms, type Program } from "./programs.ts";
import { openSigningKey } from "./signing.ts";

const root = resolve(import.meta.dirname, "../..");
const folder = join(root, ".cache/package/quick");

/** So many executables of one program are kept: this state of the sources, the one before, and other versions of them. */
const kept = 4;

export interface QuickWishes {
  /** Another version than that of the sources; for tests of updates. */
  readonly version?: string;
}

/**
 * The path of the executable; built when the sources, Node or the key of this checkout changed, else in half a second.
 * @throws Error when there is no such program, or none for this kind of machine
 */
export async function quickBuild(name: Program["name"], wishes: QuickWishes = {}): Promise<string> {
  const program = listPrograms(root).find((known) => known.name === name);
  if (program === undefined || releasePlatformOf(process.platform, process.arch) === undefined)
    throw new Error(`There is no executable of ${name} for ${process.platform} ${process.arch}.`);
  const { publicKey } = openSigningKey(root, process.env);
  const bundle = await bundleProgram({ root, entry: program.entry, publicKey, version: wishes.version });
  const assets = program.assets === undefined ? undefined : join(root, program.assets);
  const target = join(folder, digestOf(bundle, program, assets), name);
  if (!existsSync(target)) {
    const { nodeFlags } = program;
    await writeExecutable({ root, nodePath: process.execPath, code: bundle.code, nodeFlags, assets }, target);
    removeOld(name, target);
  }
  return target;
}

function digestOf(bundle: Bundle, { nodeFlags = [] }: Program, assets: string | undefined): string {
  const hash = createHash("sha256").update(process.version).update(process.arch).update(bundle.code);
  hash.update(nodeFlags.join(" "));
  // The names of built files carry the digest of their content.
  if (assets !== undefined) hash.update(readFileSync(join(assets, "manifest.json")));
  return hash.digest("hex").slice(0, 16);
}

function removeOld(name: string, target: string): void {
  const all = readdirSync(folder)
    .map((digest) => join(folder, digest, name))
    .filter((path) => path !== target && existsSync(path))
    .sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs);
  for (const path of all.slice(kept - 1)) rmSync(resolve(path, ".."), { recursive: true, force: true });
}
