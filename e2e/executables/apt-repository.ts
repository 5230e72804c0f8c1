/** A release with its repository for apt in a folder, and a throw-away machine that subscribes to it. */
import { copyFile, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { artefactName, type ReleasePlatform } from "../../packages/protocol/src/release.ts";
import { productVersion } from "../../packages/protocol/src/version.ts";
import { aptKeyName, type ListedDeb, writeAptRepository } from "../../tools/package/apt.ts";
import { openAptKey } from "../../tools/package/apt-key.ts";
import { debArchOf, debFileName, writeDeb } from "../../tools/package/deb.ts";
import { debsOf } from "../../tools/package/packages.ts";
import { quickBuild } from "../../tools/package/quick.ts";
import { signFolder } from "../../tools/package/sign-folder.ts";
import { openSigningKey } from "../../tools/package/signing.ts";
import type { Machine } from "../lab/machine.ts";

const root = resolve(import.meta.dirname, "../..");
const madeAt = 1_780_000_000;

export const platform: ReleasePlatform = { os: "linux", arch: process.arch === "arm64" ? "arm64" : "x64" };
export const debArch = debArchOf[platform.arch];

export interface PublishedRelease {
  /** Of the agent. */
  readonly version: string;
  readonly restic: { readonly path: string; readonly version: string };
}

/** Puts another release in the place of the folder: the agent, restic, their packages, `apt/`, the signed list. */
export async function publish(folder: string, { version, restic }: PublishedRelease): Promise<void> {
  const fresh = join(dirname(folder), `${basename(folder)}.new`);
  await rm(fresh, { recursive: true, force: true });
  await mkdir(fresh, { recursive: true });
  const agent = await quickBuild("restic-manager-agent", version === productVersion ? {} : { version });
  await copyFile(agent, join(fresh, artefactName({ program: "restic-manager-agent", version, ...platform })));
  const resticName = artefactName({ program: "restic", version: restic.version, ...platform });
  await copyFile(restic.path, join(fresh, resticName));
  await writeFile(join(fresh, "THIRD-PARTY-LICENSES.txt"), "licences");
  const release = { root, folder: fresh, version, resticVersions: { [platform.arch]: restic.version } };
  const debs: ListedDeb[] = [];
  for (const deb of debsOf(release, platform.arch, (name) => name === "restic-manager-agent")) {
    const control = await writeDeb(deb, fresh, { epochSeconds: madeAt, compression: 1 });
    debs.push({ file: join(fresh, debFileName(deb)), name: deb.name, arch: deb.arch, control });
  }
  await writeAptRepository(join(fresh, "apt"), debs, openAptKey(root, process.env), madeAt);
  await signFolder(fresh, openSigningKey(root, process.env));
  await rm(folder, { recursive: true, force: true });
  await rename(fresh, folder);
}

/** The machine's apt has this repository and no other, as docs/packaging.md says it. */
export async function subscribe(machine: Machine, folder: string, url: string): Promise<void> {
  const key = await readFile(join(folder, "apt", aptKeyName), "utf8");
  await machine.shell("rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/* /var/lib/apt/lists/*");
  await machine.shell(`mkdir -p /etc/apt/keyrings
echo 'Acquire::http::Proxy::127.0.0.1 "DIRECT";' > /etc/apt/apt.conf.d/99-loopback
cat > /etc/apt/keyrings/restic-manager.asc <<'KEY'
${key}
KEY
cat > /etc/apt/sources.list.d/restic-manager.sources <<'SOURCES'
Types: deb
URIs: ${url}
Suites: stable
Components: main
Signed-By: /etc/apt/keyrings/restic-manager.asc
SOURCES`);
}

/** apt's words, asking nothing. @throws Error with its output when it fails */
export const apt = (machine: Machine, words: string): Promise<string> =>
  machine.shell(`apt-get -q -y ${words}`, { DEBIAN_FRONTEND: "noninteractive" });

/** Our packages with their version and state, one a line. */
export const installed = (machine: Machine): Promise<string> =>
  machine.shell(
    `dpkg-query -W -f '\${Package} \${Version} \${db:Status-Status}\\n' 'restic-manager*' | grep -v not-installed`,
  );
