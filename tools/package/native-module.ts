/** The native module that the agent's executable for Windows carries (docs/adr/0014): from npm's archive of it, pinned. */
import { NATIVE_ASSET } from "../../packages/agent/src/platform/windows/native.ts";
import type { ReleasePlatform } from "../../packages/protocol/src/release.ts";
import { getArchive, type NpmArchive, unpackFile } from "./node-archive.ts";
import type { Program } from "./programs.ts";

/** koffi, MIT. */
export const koffiArchive: NpmArchive = {
  packageName: "@koromix/koffi-win32-x64",
  version: "3.3.4",
  integrity:
    "sha512-/SpehfYrO9DtkoB0ZOgGyco4GH4zwhEyFqgCm0x8lbzXnrKiwnHXWmPpfuXhFYohFvoSO5jlLQz/hc1fJ5G0AQ==",
};
const fileInside = "package/win32_x64/koffi.node";

/**
 * What goes into an executable besides its code, by the name that the program asks for; unpacked into `folder`.
 * @throws Error with a sentence when the archive can't be had
 */
export async function findNativeModules(
  program: Program["name"],
  { os, arch }: ReleasePlatform,
  cacheFolder: string,
  folder: string,
): Promise<Readonly<Record<string, string>>> {
  if (program !== "restic-manager-agent" || os !== "windows" || arch !== "x64") return {};
  const archive = await getArchive(koffiArchive, cacheFolder);
  return { [NATIVE_ASSET]: await unpackFile(archive, fileInside, folder) };
}
