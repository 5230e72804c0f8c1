/**
 * `make demo`: runs until Ctrl-C. `make demo ONCE=1`: waits for the first backup, restores it with plain restic,
 * compares every byte and ends with 0, or with 1 and the reason. With DATABASE_URL=postgres://… the server has its
 * database there.
 */
import { rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { getTool, toolCacheFolder } from "../get-restic/get-tool.ts";
import { tools } from "../get-restic/tools.ts";
import { run } from "./children.ts";
import { Demo, type DemoSettings } from "./demo.ts";
import { compareTrees } from "./files.ts";

const backupLimitMs = 15 * 60_000;
const say = (line: string): void => console.log(line);

async function readSettings(): Promise<DemoSettings> {
  const environment = process.env;
  const port = environment.PORT ? Number(environment.PORT) : null;
  if (port !== null && !(Number.isInteger(port) && port > 0 && port < 65_536)) {
    throw new Error(`PORT=${environment.PORT} is not a port`);
  }
  const restic = await getTool(tools.restic, { environment, cacheFolder: toolCacheFolder, say });
  const paths = (environment.PATHS ?? "")
    .split(/\s+/)
    .filter(Boolean)
    .map((path) => resolve(path));
  const databaseUrl = environment.DATABASE_URL || undefined;
  if (databaseUrl !== undefined && !(URL.canParse(databaseUrl) && /^postgres(ql)?:/.test(databaseUrl)))
    throw new Error("DATABASE_URL must be a URL such as postgres://USER:PASSWORD@HOST/DATABASE");
  const root = resolve(import.meta.dirname, "../..");
  return { root, port, paths, databaseUrl, resticPath: restic.path, say };
}

const seconds = (since: number): string => `${((Date.now() - since) / 1000).toFixed(1)} s`;

/** Backs up, restores with restic alone and compares. */
async function once(demo: Demo, resticPath: string): Promise<void> {
  const backupStart = Date.now();
  const job = await demo.backUp(backupLimitMs);
  const snapshot = job.summary?.snapshot_id;
  if (job.status !== "succeeded" || !snapshot) {
    throw new Error(`the backup ended as ${job.status}: ${job.error?.message ?? "no reason was given"}`);
  }
  const backupTook = seconds(backupStart);
  const restoreStart = Date.now();
  const target = join(demo.folder, "restored");
  await rm(target, { recursive: true, force: true });
  const repository = [
    "--repo",
    demo.repository.location(),
    "--password-file",
    demo.repository.passwordFile(),
  ];
  await run(resticPath, ["restore", snapshot, "--target", target, ...repository], {
    maxBuffer: 64 * 1024 * 1024,
  });
  const restoreTook = seconds(restoreStart);
  const compareStart = Date.now();
  const compared = await compareTrees(await demo.includedPaths(), target);
  await rm(target, { recursive: true, force: true });
  if (compared.differences.length > 0) {
    const shown = compared.differences.slice(0, 10).join("; ");
    throw new Error(`${compared.differences.length} restored paths differ: ${shown}`);
  }
  say(`backup   ${backupTook}, ${job.summary?.total_files} files, snapshot ${snapshot.slice(0, 8)}`);
  say(`restore  ${restoreTook} with plain restic`);
  say(`compare  ${seconds(compareStart)}, ${compared.files} files and ${compared.bytes} bytes, all equal`);
}

function explain(demo: Demo): void {
  const { url, username } = demo.credentials;
  say("");
  say(`  Open      ${url}`);
  say(`  Sign in   ${username}, password in ${demo.shownFolder}/credentials.json`);
  say("  Look at   the dashboard; the host and its snapshots; a job live while a backup runs (Run now);");
  say("            Add host; the audit trail. A first backup is running already.");
  say("  Stop      Ctrl-C; the next `make demo` goes on with the same data.");
}

async function main(): Promise<number> {
  const begun = Date.now();
  const settings = await readSettings();
  const demo = new Demo(settings);
  const interrupted = new Promise<number>((resolveSignal) => {
    process.once("SIGINT", () => resolveSignal(130));
    process.once("SIGTERM", () => resolveSignal(143));
  });
  const work = async (): Promise<number> => {
    await demo.start();
    if (process.env.ONCE === "1") {
      await once(demo, settings.resticPath);
      say(`all      ${seconds(begun)}`);
      return 0;
    }
    await demo.startBackup();
    explain(demo);
    throw new Error(await demo.died());
  };
  try {
    const code = await Promise.race([work(), interrupted]);
    if (code !== 0) say("\nstopping…");
    // Ctrl-C is how a demo ends, so it is no failure.
    return code === 130 || code === 143 ? 0 : code;
  } finally {
    await demo.stop();
  }
}

process.exitCode = await main().catch((error: unknown) => {
  console.error(`demo: ${error instanceof Error ? error.message : String(error)}`);
  return 1;
});
