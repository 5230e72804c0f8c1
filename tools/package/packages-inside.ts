/**
 * Whose code is inside a program: the packages of npm that a bundle took files from, with version and licence. Read
 * from what was really bundled, not from what is installed.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

export interface PackageInside {
  readonly name: string;
  readonly version: string;
  /** As package.json says it: an SPDX expression. */
  readonly licence: string;
  readonly licenceText: string;
  /** Of npm's archive, as the lock file says it (Subresource Integrity). */
  readonly integrity: string | undefined;
}

/** Names of licence files, the better first. */
const licenceFile = /^(licen[cs]e|copying)(\.(md|txt|mit|apache2|bsd))?$/i;

/**
 * @param inputs paths of source files from the root, with slashes
 * @throws Error when a package names no licence: then nobody may be given its code
 */
export function listPackagesInside(root: string, inputs: Iterable<string>): PackageInside[] {
  const folders = new Set<string>();
  for (const path of inputs) {
    const folder = /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(path)?.[0];
    if (folder !== undefined) folders.add(folder);
  }
  const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")) as {
    packages: Record<string, { integrity?: string }>;
  };
  // One package may lie in several folders.
  const found = new Map<string, PackageInside>();
  for (const folder of folders) {
    const inside = { ...readPackage(join(root, folder)), integrity: lock.packages[folder]?.integrity };
    found.set(`${inside.name} ${inside.version}`, inside);
  }
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, inside]) => inside);
}

function readPackage(folder: string): Omit<PackageInside, "integrity"> {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as {
    name: string;
    version: string;
    license?: string;
  };
  if (typeof license !== "string" || license === "")
    throw new Error(
      `${name} ${version} names no licence in its package.json: it must not go into a program.`,
    );
  return { name, version, licence: license, licenceText: readLicence(folder, license) };
}

/** The package's own text; the licence's general one when it brings none. */
function readLicence(folder: string, license: string): string {
  const file = readdirSync(folder).find((name) => licenceFile.test(name));
  if (file !== undefined) return readFileSync(join(folder, file), "utf8").trim();
  const general = join(generalTexts(), `${license}.json`);
  if (!existsSync(general)) throw new Error(`There is no text of the licence ${license} for ${folder}.`);
  return (JSON.parse(readFileSync(general, "utf8")) as { licenseText: string }).licenseText.trim();
}

const generalTexts = (): string =>
  join(createRequire(import.meta.url).resolve("spdx-license-list/package.json"), "../licenses");
