/**
 * argv, environment, signals and the exit code of the server: nothing else. What a command needs is loaded when it is
 * asked for.
 */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { isSea } from "node:sea";
import { parseArgs } from "node:util";
import { productVersion } from "@restic-manager/protocol/version";
import type { Config } from "./config.ts";
import { AppError } from "./platform/errors.ts";

// Node would open its debugger on a port of this machine.
process.on("SIGUSR1", () => undefined);

const usage = `restic-manager-server ${productVersion}

  restic-manager-server [--config FILE]                        start; settings: docs/reference/config.md
  restic-manager-server backup-database FILE [--config FILE]   copy the SQLite database while the server runs
  restic-manager-server move-database [--to URL] [--config FILE]
      copy the SQLite database of a stopped server into an empty PostgreSQL database: the one of --to, with the password
      in PGPASSWORD or PGPASSFILE, else the one of RM_DATABASE_URL
  restic-manager-server --version

Exit codes: 0 done or stopped by a signal, 1 failed, 2 wrong arguments.`;

async function main(): Promise<number> {
  // The database holds hashes and sealed secrets, and SQLite makes its files with whatever the mask allows.
  process.umask(0o077);
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      config: { type: "string" },
      to: { type: "string" },
      version: { type: "boolean" },
      help: { type: "boolean" },
    },
  });
  if (values.version || values.help) return say(values.version ? productVersion : usage);
  const { parseConfig } = await import("./config.ts");
  const config = parseConfig(process.env, values.config ? readFileSync(values.config, "utf8") : undefined);
  const [command, file, ...rest] = positionals;
  if (command === "move-database" && file === undefined) return moveIntoPostgres(config, values.to);
  if (values.to !== undefined) return refuseArguments();
  if (command === undefined) return runServer(config);
  if (command === "backup-database" && file !== undefined && rest.length === 0)
    return backUpDatabase(config, file);
  return refuseArguments();
}

function refuseArguments(): number {
  process.stderr.write(`${usage}\n`);
  return 2;
}

function say(text: string): number {
  process.stdout.write(`${text}\n`);
  return 0;
}

async function runServer(config: Config): Promise<number> {
  const { createLog } = await import("./platform/log.ts");
  const { startServer } = await import("./start.ts");
  const { MemoryRelease, ownMemory } = await import("./platform/memory.ts");
  const { systemClock } = await import("./platform/clock.ts");
  const log = createLog(config.logLevel);
  const server = await startServer(config, { log, ...filesBeside() });
  const release = new MemoryRelease({ clock: systemClock, log, memory: ownMemory() });
  release.start();
  log.info({ url: server.url, version: productVersion }, "restic-manager is listening");
  if (server.setupUrl)
    log.info({ setupUrl: server.setupUrl }, "no administrator yet: open this link to make one");
  const signal = await new Promise<string>((resolve) => {
    for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => resolve(name));
  });
  log.info({ signal }, "stopping");
  await release.stop();
  await server.stop();
  return 0;
}

/** An executable has the pages' files inside and a release beside it; built files lie in the tree of a checkout. */
function filesBeside(): { assetsDir?: string; releaseDir: string } {
  if (isSea()) return { releaseDir: join(dirname(process.execPath), "release") };
  const folder = dirname(process.argv[1] ?? "");
  return { assetsDir: join(folder, "../assets"), releaseDir: join(folder, "../../../../build/package") };
}

async function backUpDatabase(config: Config, target: string): Promise<number> {
  if (config.databaseUrl) {
    const message =
      "The server uses PostgreSQL: copy it with pg_dump. The key file is needed beside the copy.";
    throw new AppError("invalid", "database.not_sqlite", message);
  }
  const { backUpSqlite } = await import("./platform/db/backup.ts");
  const { sqliteFile } = await import("./platform/db/open.ts");
  const { sizeBytes } = await backUpSqlite(sqliteFile(config.dataDir), target);
  say(`${target}: ${sizeBytes} bytes.`);
  return say(
    `Without the key file ${config.secretKeyFile} its secrets can't be read: keep a copy of that elsewhere.`,
  );
}

async function moveIntoPostgres(config: Config, to: string | undefined): Promise<number> {
  const [
    { moveDatabase },
    { chooseTarget },
    { migrations },
    { sqliteFile },
    { openPostgres, migrationLimits },
  ] = await Promise.all([
    import("./platform/db/move/move.ts"),
    import("./platform/db/move/target-url.ts"),
    import("../migrations/index.ts"),
    import("./platform/db/open.ts"),
    import("./platform/db/postgres.ts"),
  ]);
  const file = sqliteFile(config.dataDir);
  const target = openPostgres(chooseTarget(to, config.databaseUrl), { limits: migrationLimits });
  try {
    const tables = await moveDatabase({ file, target, migrations, say });
    const rows = tables.reduce((sum, table) => sum + table.rows, 0);
    say(`Moved: ${tables.length} tables, ${rows} rows, each table compared after it was copied.`);
  } finally {
    await target.destroy();
  }
  say("Now set RM_DATABASE_URL to the PostgreSQL database, with the password in it, and start the server.");
  say(`It needs the key file ${config.secretKeyFile} as before.`);
  return say(`${file} is as it was: keep it until the server runs, then delete it.`);
}

// Not awaited here: an executable is one CommonJS module, which knows no await outside of functions.
void main()
  .catch((error: unknown) => {
    if (error instanceof AppError) process.stderr.write(`${error.message}\n`);
    else if (error instanceof TypeError && "code" in error)
      process.stderr.write(`${error.message}\n\n${usage}\n`);
    else process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    return error instanceof TypeError ? 2 : 1;
  })
  .then((code) => {
    process.exitCode = code;
  });
