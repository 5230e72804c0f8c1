/**
 * A single executable: Node's own program with our bundle inside (https://nodejs.org/api/single-executable-applications.html).
 * Invariants: the Node inside is the one that this project is pinned to; equal inputs give equal bytes, so no code cache
 * (V8 writes another one each time, and for this machine only) and no path of this machine. No signal and no NODE_OPTIONS
 * opens a debugger in what runs as root.
 */
import { execFile } from "node:child_process";
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { withoutSignature } from "./pe-signature.ts";

const run = promisify(execFile);

/** Node looks for its application under this name, and flips this fuse to know that there is one. */
const resourceName = "NODE_SEA_BLOB";
const fuse = "NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2";

/** Written in seconds, one for Windows in a quarter of a minute; a busy machine takes ten times as long. */
const timeoutMs = 600_000;

export interface ExecutableParts {
  readonly root: string;
  /** The Node of the target platform. */
  readonly nodePath: string;
  readonly code: Uint8Array;
  /** A folder whose files go inside, each under its name. */
  readonly assets?: string | undefined;
  /** Files that go inside under these names. */
  readonly files?: Readonly<Record<string, string>>;
  /** Node's own flags. */
  readonly nodeFlags?: readonly string[] | undefined;
}

/** Writes the executable (0755) to `target` in one step. */
export async function writeExecutable(parts: ExecutableParts, target: string): Promise<void> {
  await mkdir(dirname(target), { recursive: true });
  const folder = await mkdtemp(join(dirname(target), ".executable-"));
  try {
    const blob = await writeBlob(parts, folder);
    const file = join(folder, "program");
    await writeFile(file, withoutSignature(await readFile(parts.nodePath)));
    const postject = join(parts.root, "node_modules/postject/dist/cli.js");
    const args = [postject, file, resourceName, blob, "--sentinel-fuse", fuse];
    await run(process.execPath, args, { timeout: timeoutMs });
    await chmod(file, 0o755);
    await rename(file, target);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The names in it are relative: Node writes them into the blob. */
async function writeBlob(
  { code, nodeFlags = [], assets, files }: ExecutableParts,
  folder: string,
): Promise<string> {
  await writeFile(join(folder, "main.cjs"), code);
  const names = assets === undefined ? [] : (await readdir(assets)).sort();
  const configuration = {
    main: "main.cjs",
    output: "blob",
    disableExperimentalSEAWarning: true,
    useSnapshot: false,
    useCodeCache: false,
    execArgv: ["--disable-sigusr1", ...nodeFlags],
    execArgvExtension: "none",
    assets: { ...Object.fromEntries(names.map((name) => [name, join(assets ?? "", name)])), ...files },
  };
  await writeFile(join(folder, "sea.json"), JSON.stringify(configuration));
  await run(process.execPath, ["--experimental-sea-config", "sea.json"], { cwd: folder, timeout: timeoutMs });
  return join(folder, "blob");
}
