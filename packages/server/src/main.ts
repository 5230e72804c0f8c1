/** argv, environment, signals and the exit code of the server: nothing else. */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { isSea } from "node:sea";
import { parseArgs } from "node:util";
import { productVersion } from "@restic-manager/protocol/version";
import { type Config, parseConfig } from "./config.ts";
import { backUpSqlite } from "./platform/db/backup.ts";
import { sqliteFile } from "./platform/db/open.ts";
import { AppError } from "./platform/errors.ts";
import { createLog } from "./platform/log.ts";
import { startServer } from "./start.ts";

const usage = `restic-manager-server ${productVersion}

  restic-manager-server [--config FILE]                        start; settings: docs/reference/config.md
  restic-manager-server backup-database FILE [--config FILE]   copy the SQLite database while the server runs
  restic-manager-server --version

Exit codes: 0 done or stopped by a signal, 1 failed, 2 wrong arguments.`;

async function main(): Promise<number> {
  // The database holds hashes and sealed secrets, and SQLite makes its files with whatever the mask allows.
  process.umask(0o077);
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { config: { type: "string" }, version: { type: "boolean" }, help: { type: "boolean" } },
  });
  if (values.version || values.help) return say(values.version ? productVersion : usage);
  const config = parseConfig(process.env, values.config ? readFileSync(values.config, "utf8") : undefined);
  const [command, file, ...rest] = positionals;
  if (command === undefined) return runServer(config);
  if (command === "backup-database" && file !== undefined && rest.length === 0)
    return backUpDatabase(config, file);
  process.stderr.write(`${usage}\n`);
  return 2;
}

function say(text: string): number {
  process.stdout.write(`${text}\n`);
  return 0;
}

async function runServer(config: Config): Promise<number> {
  const log = createLog(config.logLevel);
  const server = await startServer(config, { log, releaseDir: builtRelease() });
  log.info({ url: server.url, version: productVersion }, "restic-manager is listening");
  if (server.setupUrl)
    log.info({ setupUrl: server.setupUrl }, "no administrator yet: open this link to make one");
  const signal = await new Promise<string>((resolve) => {
    for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => resolve(name));
  });
  log.info({ signal }, "stopping");
  await server.stop();
  return 0;
}

/** The files for hosts: beside an executable, or where `make package` puts them in a checkout. */
const builtRelease = (): string =>
  isSea()
    ? join(dirname(process.execPath), "release")
    : join(dirname(process.argv[1] ?? ""), "../../../../build/package");

async function backUpDatabase(config: Config, target: string): Promise<number> {
  if (config.databaseUrl) {
    const message =
      "The server uses PostgreSQL: copy it with pg_dump. The key file is needed beside the copy.";
    throw new AppError("invalid", "database.not_sqlite", message);
  }
  const { sizeBytes } = await backUpSqlite(sqliteFile(config.dataDir), target);
  say(`${target}: ${sizeBytes} bytes.`);
  return say(
    `Without the key file ${config.secretKeyFile} its secrets can't be read: keep a copy of that elsewhere.`,
  );
}

process.exitCode = await main().catch((error: unknown) => {
  if (error instanceof AppError) process.stderr.write(`${error.message}\n`);
  else if (error instanceof TypeError && "code" in error)
    process.stderr.write(`${error.message}\n\n${usage}\n`);
  else process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  return error instanceof TypeError ? 2 : 1;
});
