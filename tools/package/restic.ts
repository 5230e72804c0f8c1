/**
 * The restic that goes along with a release, so that a host needs nothing but its server: for each platform the pinned
 * release of restic where its host can be reached, else for this machine's own kind the one that is found here.
 */
import { copyFile, mkdtemp, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { artefactName, type ReleasePlatform } from "../../packages/protocol/src/release.ts";
import { getTool, toolCacheFolder } from "../get-restic/get-tool.ts";
import { unpackRelease } from "../get-restic/release.ts";
import { tools } from "../get-restic/tools.ts";
import type { ForeignPart } from "./sbom.ts";

export interface ResticFile extends ReleasePlatform {
  readonly version: string;
  readonly name: string;
}

/** Writes each restic that can be had into the folder under its name in a release, and says which can not. */
export async function collectRestic(
  platforms: readonly ReleasePlatform[],
  folder: string,
  say: (line: string) => void,
): Promise<ResticFile[]> {
  const found: ResticFile[] = [];
  for (const platform of platforms) {
    try {
      found.push(await collectOne(platform, folder));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      say(`no restic for ${platform.os} ${platform.arch}: ${reason}`);
    }
  }
  return found;
}

async function collectOne(platform: ReleasePlatform, folder: string): Promise<ResticFile> {
  const nodePlatform = `${platform.os === "windows" ? "win32" : platform.os}-${platform.arch}`;
  const unpacked = await mkdtemp(join(tmpdir(), "rm-restic-"));
  try {
    const version = tools.restic.releaseVersion;
    const file = await unpackRelease(tools.restic, nodePlatform, unpacked);
    return await keep({ ...platform, version }, folder, file);
  } catch (error) {
    if (nodePlatform !== `${process.platform}-${process.arch}`) throw error;
    const places = { environment: process.env, cacheFolder: toolCacheFolder, say: () => undefined };
    const { path, version } = await getTool(tools.restic, places);
    return await keep({ ...platform, version }, folder, path);
  } finally {
    await rm(unpacked, { recursive: true, force: true });
  }
}

async function keep(
  restic: ReleasePlatform & { version: string },
  folder: string,
  file: string,
): Promise<ResticFile> {
  const name = artefactName({ program: "restic", ...restic });
  await copyFile(file, join(folder, `${name}.new`));
  await rename(join(folder, `${name}.new`), join(folder, name));
  return { ...restic, name };
}

/** What a release says of a restic that goes along. */
export const resticPart = (version: string): ForeignPart => ({
  name: "restic",
  version,
  licence: "BSD-2-Clause",
  licenceText: resticLicence,
  purl: `pkg:github/restic/restic@v${version}`,
});

const resticLicence = `BSD 2-Clause License

Copyright (c) 2014, Alexander Neumann <alexander@bumpern.de>
All rights reserved.

Redistribution and use in source and binary forms, with or without
modification, are permitted provided that the following conditions are met:

* Redistributions of source code must retain the above copyright notice, this
  list of conditions and the following disclaimer.

* Redistributions in binary form must reproduce the above copyright notice,
  this list of conditions and the following disclaimer in the documentation
  and/or other materials provided with the distribution.

THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT HOLDERS AND CONTRIBUTORS "AS IS"
AND ANY EXPRESS OR IMPLIED WARRANTIES, INCLUDING, BUT NOT LIMITED TO, THE
IMPLIED WARRANTIES OF MERCHANTABILITY AND FITNESS FOR A PARTICULAR PURPOSE ARE
DISCLAIMED. IN NO EVENT SHALL THE COPYRIGHT HOLDER OR CONTRIBUTORS BE LIABLE
FOR ANY DIRECT, INDIRECT, INCIDENTAL, SPECIAL, EXEMPLARY, OR CONSEQUENTIAL
DAMAGES (INCLUDING, BUT NOT LIMITED TO, PROCUREMENT OF SUBSTITUTE GOODS OR
SERVICES; LOSS OF USE, DATA, OR PROFITS; OR BUSINESS INTERRUPTION) HOWEVER
CAUSED AND ON ANY THEORY OF LIABILITY, WHETHER IN CONTRACT, STRICT LIABILITY,
OR TORT (INCLUDING NEGLIGENCE OR OTHERWISE) ARISING IN ANY WAY OUT OF THE USE
OF THIS SOFTWARE, EVEN IF ADVISED OF THE POSSIBILITY OF SUCH DAMAGE.
`;
