/** A folder of files as `make package` lays it out, small enough for a test: the agent for this machine and a restic. */
import { createHash } from "node:crypto";
import { copyFile, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { agentScript } from "../../packages/agent/fixtures/update/release.ts";
import {
  artefactName,
  formatSums,
  releaseFiles,
  releasePlatformOf,
} from "../../packages/protocol/src/release.ts";
import { productVersion } from "../../packages/protocol/src/version.ts";
import { quickBuild } from "../../tools/package/quick.ts";
import { openSigningKey } from "../../tools/package/signing.ts";

const root = resolve(import.meta.dirname, "../..");
export const installer = join(root, "deploy/install.sh");
export const unitName = "restic-manager-agent.service";

export interface Release {
  readonly folder: string;
  /** The newest agent's name. */
  readonly agent: string;
}

/** @param resticPath what is served as restic 0.19.1 */
export async function makeRelease(
  folder: string,
  resticPath: string,
  version = productVersion,
): Promise<Release> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const platform = releasePlatformOf(process.platform, process.arch);
  if (platform === undefined) throw new Error("There is no release for this machine.");
  const agent = artefactName({ program: "restic-manager-agent", version, ...platform });
  await copyFile(await quickBuild("restic-manager-agent", { version }), join(folder, agent));
  const restic = artefactName({ program: "restic", version: "0.19.1", ...platform });
  await copyFile(resticPath, join(folder, restic));
  await copyFile(installer, join(folder, "install.sh"));
  await copyFile(join(root, "deploy", unitName), join(folder, unitName));
  await signRelease(folder);
  return { folder, agent };
}

/** Puts a newer agent into the release that says its version and can do nothing else. */
export async function addBrokenAgent(folder: string, version: string): Promise<void> {
  const platform = releasePlatformOf(process.platform, process.arch);
  if (platform === undefined) throw new Error("There is no release for this machine.");
  const name = artefactName({ program: "restic-manager-agent", version, ...platform });
  await writeFile(join(folder, name), agentScript(version));
  await signRelease(folder);
}

/** Puts a newer restic into the release: it says this version and leaves the work to the real one. @returns its name */
export async function addRestic(folder: string, version: string, resticPath: string): Promise<string> {
  const platform = releasePlatformOf(process.platform, process.arch);
  if (platform === undefined) throw new Error("There is no release for this machine.");
  const name = artefactName({ program: "restic", version, ...platform });
  await writeFile(join(folder, name), newerRestic(version, resticPath));
  await signRelease(folder);
  return name;
}

const newerRestic = (version: string, resticPath: string): string => `#!/bin/sh
[ "$1" != version ] || { echo '{"message_type":"version","version":"${version}"}'; exit 0; }
exec '${resticPath}' "$@"
`;

/** Writes the list of the folder's files and its signature anew. */
export async function signRelease(folder: string): Promise<void> {
  const own = Object.values<string>(releaseFiles);
  const sums = new Map<string, string>();
  for (const name of (await readdir(folder)).filter((file) => !own.includes(file)))
    sums.set(
      name,
      createHash("sha256")
        .update(await readFile(join(folder, name)))
        .digest("hex"),
    );
  const key = openSigningKey(root, process.env);
  const text = formatSums(sums);
  await writeFile(join(folder, releaseFiles.sums), text);
  await writeFile(join(folder, releaseFiles.signature), `${key.sign(Buffer.from(text))}\n`);
  await writeFile(join(folder, releaseFiles.publicKey), key.publicKey);
}
