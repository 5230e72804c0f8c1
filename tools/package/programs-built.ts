/** Every program of ours for every platform, as executables in one folder. */
import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { artefactName, type ReleasePlatform } from "../../packages/protocol/src/release.ts";
import { bundleProgram } from "./bundle.ts";
import { writeExecutable } from "./executable.ts";
import { findNativeModules } from "./native-module.ts";
import { getNodeArchive, nodeArchives, nodeLicenceFile, nodeVersion, unpackFile } from "./node-archive.ts";
import { listPackagesInside } from "./packages-inside.ts";
import { listPrograms, type Program } from "./programs.ts";
import type { ForeignPart, ReleaseContents } from "./sbom.ts";

export interface BuildWishes {
  readonly root: string;
  readonly folder: string;
  readonly version: string;
  readonly publicKey: string;
  readonly say: (line: string) => void;
}

type Executable = ReleaseContents["executables"][number] & ReleasePlatform;

export interface Built {
  readonly programs: readonly Program[];
  readonly executables: readonly Executable[];
  readonly node: ForeignPart;
}

/** @throws Error with a sentence when a source is wrong or a Node can't be had */
export async function buildPrograms(wishes: BuildWishes): Promise<Built> {
  if (process.version !== `v${nodeVersion}`)
    throw new Error(
      `Executables are made with Node ${nodeVersion}; this is ${process.version}. Run make package.`,
    );
  const nodes = await mkdtemp(join(tmpdir(), "rm-node-"));
  try {
    const programs = listPrograms(wishes.root);
    const executables: Executable[] = [];
    for (const program of programs) executables.push(...(await buildProgram(program, nodes, wishes)));
    return { programs, executables, node: await nodePart(wishes.root, nodes) };
  } finally {
    await rm(nodes, { recursive: true, force: true });
  }
}

async function buildProgram(program: Program, nodes: string, wishes: BuildWishes): Promise<Executable[]> {
  const { root, folder, version, publicKey, say } = wishes;
  const bundle = await bundleProgram({ root, entry: program.entry, publicKey });
  const assets = program.assets === undefined ? undefined : join(root, program.assets);
  const assetInputs =
    program.assetInputs === undefined
      ? []
      : (JSON.parse(await readFile(join(root, program.assetInputs), "utf8")) as string[]);
  const inside = listPackagesInside(root, [...Object.keys(bundle.inputs), ...assetInputs]);
  const built: Executable[] = [];
  for (const platform of program.platforms) {
    const name = artefactName({ program: program.name, version, ...platform });
    const target = join(folder, name);
    const nodePath = await nodeFor(platform, root, nodes);
    const cache = join(root, ".cache/package");
    const native = await findNativeModules(program.name, platform, cache, join(nodes, "native"));
    const { nodeFlags } = program;
    await writeExecutable(
      { root, nodePath, code: bundle.code, nodeFlags, assets, files: native.files },
      target,
    );
    const sha256 = createHash("sha256")
      .update(await readFile(target))
      .digest("hex");
    built.push({ name, sha256, inside: [...inside, ...native.inside], ...platform });
    say(name);
  }
  return built;
}

async function nodeFor(platform: ReleasePlatform, root: string, nodes: string): Promise<string> {
  const archive = await getNodeArchive(platform, join(root, ".cache/package"));
  const key = `${platform.os}-${platform.arch}`;
  return unpackFile(archive, nodeArchives[key]?.program ?? "", join(nodes, key));
}

async function nodePart(root: string, nodes: string): Promise<ForeignPart> {
  const archive = await getNodeArchive({ os: "linux", arch: "x64" }, join(root, ".cache/package"));
  const licenceText = await readFile(await unpackFile(archive, nodeLicenceFile, nodes), "utf8");
  const purl = `pkg:generic/node@${nodeVersion}`;
  return { name: "node", version: nodeVersion, licence: "MIT", licenceText: licenceText.trim(), purl };
}
