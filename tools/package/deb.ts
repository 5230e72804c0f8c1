/**
 * Packages of Debian (deb(5)), by dpkg-deb. Invariant: equal content gives equal bytes: everything belongs to root, and
 * no time is younger than the release's.
 */
import { execFile } from "node:child_process";
import { chmod, copyFile, mkdir, mkdtemp, readdir, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import type { ReleaseArch } from "../../packages/protocol/src/release.ts";

const run = promisify(execFile);
const timeoutMs = 300_000;

export type DebArch = "amd64" | "arm64";

/** Debian's name of an architecture. */
export const debArchOf: Readonly<Record<ReleaseArch, DebArch>> = { x64: "amd64", arm64: "arm64" };

export interface DebFile {
  /** From the root of the machine, without a slash before it. */
  readonly path: string;
  readonly content: { readonly copyOf: string } | { readonly text: string } | { readonly linkTo: string };
  readonly isProgram?: boolean;
}

export interface Deb {
  readonly name: string;
  /** As the project writes versions; `1.0.0-rc.1` is `1.0.0~rc.1` here, which dpkg takes for older than `1.0.0`. */
  readonly version: string;
  readonly arch: DebArch;
  /** One line. */
  readonly summary: string;
  /** More fields of the control file, such as Depends. */
  readonly fields: Readonly<Record<string, string>>;
  readonly files: readonly DebFile[];
  /** Files of maintainer scripts, by their name. */
  readonly scripts?: Readonly<Record<string, string>>;
}

/** Nobody reads mail at a machine that builds a release; the address says so. */
const maintainer = "restic-manager <noreply@restic-manager.invalid>";

export const debVersion = (version: string): string => version.replace("-", "~");

export const debFileName = (deb: Pick<Deb, "name" | "version" | "arch">): string =>
  `${deb.name}_${debVersion(deb.version)}_${deb.arch}.deb`;

/** The package's control file: what apt lists of it. */
export function controlOf(deb: Deb, installedKiB: number): string {
  const fields = {
    Package: deb.name,
    Version: debVersion(deb.version),
    Architecture: deb.arch,
    Maintainer: maintainer,
    "Installed-Size": String(installedKiB),
    ...deb.fields,
    Section: "admin",
    Priority: "optional",
    Description: deb.summary,
  };
  return Object.entries(fields)
    .map(([field, value]) => `${field}: ${value}\n`)
    .join("");
}

export interface DebWishes {
  /** The release's time. */
  readonly epochSeconds: number;
  /** From 1 (quick) to 9 (small). */
  readonly compression?: number;
}

/** Writes the package into `folder`. @returns its control file, for the list of a repository */
export async function writeDeb(
  deb: Deb,
  folder: string,
  { epochSeconds, compression = 6 }: DebWishes,
): Promise<string> {
  const tree = await mkdtemp(join(folder, ".deb-"));
  try {
    for (const file of deb.files) await place(tree, file);
    const { stdout } = await run("du", ["-sk", "--apparent-size", tree]);
    const control = controlOf(deb, Number.parseInt(stdout, 10));
    await mkdir(join(tree, "DEBIAN"));
    await writeFile(join(tree, "DEBIAN/control"), control);
    for (const [name, source] of Object.entries(deb.scripts ?? {})) {
      await copyFile(source, join(tree, "DEBIAN", name));
      await chmod(join(tree, "DEBIAN", name), 0o755);
    }
    await settle(tree, epochSeconds);
    const env = { ...process.env, SOURCE_DATE_EPOCH: String(epochSeconds) };
    // gzip: every apt reads it, and it takes seconds where xz takes minutes.
    const args = [
      "--root-owner-group",
      "-Zgzip",
      `-z${compression}`,
      "--build",
      tree,
      join(folder, debFileName(deb)),
    ];
    await run("dpkg-deb", args, { env, timeout: timeoutMs });
    return control;
  } finally {
    await rm(tree, { recursive: true, force: true });
  }
}

async function place(tree: string, { path, content, isProgram }: DebFile): Promise<void> {
  const target = join(tree, path);
  await mkdir(dirname(target), { recursive: true });
  if ("linkTo" in content) return symlink(content.linkTo, target);
  if ("copyOf" in content) await copyFile(content.copyOf, target);
  else await writeFile(target, content.text);
  await chmod(target, isProgram ? 0o755 : 0o644);
}

/** Folders that everybody may enter whatever the umask is here, and one time for all. */
async function settle(folder: string, epochSeconds: number): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await settle(path, epochSeconds);
    else if (!entry.isSymbolicLink()) await utimes(path, epochSeconds, epochSeconds);
  }
  await chmod(folder, 0o755);
  await utimes(folder, epochSeconds, epochSeconds);
}
