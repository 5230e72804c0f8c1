/** The native module that the agent's executable for Windows carries (docs/adr/0014): from npm's archive of it, pinned. */
import { NATIVE_ASSET } from "../../packages/agent/src/platform/windows/native.ts";
import type { ReleasePlatform } from "../../packages/protocol/src/release.ts";
import { getArchive, type NpmArchive, unpackFile } from "./node-archive.ts";
import type { PackageInside } from "./packages-inside.ts";
import type { Program } from "./programs.ts";

const koffiArchive: NpmArchive = {
  packageName: "@koromix/koffi-win32-x64",
  version: "3.3.4",
  integrity:
    "sha512-/SpehfYrO9DtkoB0ZOgGyco4GH4zwhEyFqgCm0x8lbzXnrKiwnHXWmPpfuXhFYohFvoSO5jlLQz/hc1fJ5G0AQ==",
};
const fileInside = "package/win32_x64/koffi.node";

/** Of the package koffi: the archives of its platforms bring none. */
const licenceText = `MIT License

Copyright (C) 2026  Niels Martignène <niels.martignene@protonmail.com>

Permission is hereby granted, free of charge, to any person obtaining a copy of
this software and associated documentation files (the “Software”), to deal in
the Software without restriction, including without limitation the rights to use,
copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the
Software, and to permit persons to whom the Software is furnished to do so,
subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED “AS IS”, WITHOUT WARRANTY OF ANY KIND,
EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES
OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT
HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY,
WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING
FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR
OTHER DEALINGS IN THE SOFTWARE.`;

export interface NativeModules {
  /** Paths by the names under which the program asks for them. */
  readonly files: Readonly<Record<string, string>>;
  readonly inside: readonly PackageInside[];
}

/**
 * What goes into an executable besides its code; unpacked into `folder`.
 * @throws Error with a sentence when the archive can't be had
 */
export async function findNativeModules(
  program: Program["name"],
  { os, arch }: ReleasePlatform,
  cacheFolder: string,
  folder: string,
): Promise<NativeModules> {
  if (program !== "restic-manager-agent" || os !== "windows" || arch !== "x64")
    return { files: {}, inside: [] };
  const archive = await getArchive(koffiArchive, cacheFolder);
  const { packageName: name, version, integrity } = koffiArchive;
  return {
    files: { [NATIVE_ASSET]: await unpackFile(archive, fileInside, folder) },
    inside: [{ name, version, licence: "MIT", licenceText, integrity }],
  };
}
