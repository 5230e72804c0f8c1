/** Folders with a release in them: files of any content, the list of their digests, and a good signature over it. */
import { createHash, generateKeyPairSync, sign } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { formatSums, releaseFiles } from "@restic-manager/protocol";

/** Signs releases; its public half is what the agents of these releases would believe. */
export function createReleaseKey() {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  return {
    publicKey: publicKey.export({ type: "spki", format: "pem" }).toString(),
    sign: (text: string) => sign(null, Buffer.from(text), privateKey).toString("base64"),
  };
}

/** Writes the files by name, their list, its signature and the key. Files that were there stay. */
export async function writeRelease(
  folder: string,
  files: Readonly<Record<string, string | Buffer>>,
  key = createReleaseKey(),
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const digestOf = (content: string | Buffer) => createHash("sha256").update(content).digest("hex");
  const sums = formatSums(new Map(Object.entries(files).map(([name, content]) => [name, digestOf(content)])));
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content);
  await writeFile(join(folder, releaseFiles.sums), sums);
  await writeFile(join(folder, releaseFiles.signature), `${key.sign(sums)}\n`);
  await writeFile(join(folder, releaseFiles.publicKey), key.publicKey);
}

/** What a release has: the agent and restic for each system, and the installers. */
export function releaseContent(version: string, resticVersion = "0.19.1"): Record<string, string> {
  const systems = ["linux-x64", "linux-arm64", "windows-x64.exe"];
  const programs = systems.flatMap((system) => [
    [`restic-manager-agent-${version}-${system}`, `agent ${version} ${system}`],
    [`restic-${resticVersion}-${system}`, `restic ${resticVersion} ${system}`],
  ]);
  return { ...Object.fromEntries(programs), "install.sh": "#!/bin/sh\n", "install.ps1": "# install\n" };
}
