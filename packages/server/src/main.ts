/** argv, environment, signals and the exit code of the server: nothing else. */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { parseConfig } from "./config.ts";
import { AppError } from "./platform/errors.ts";
import { createLog } from "./platform/log.ts";
import { serverVersion } from "./platform/version.ts";
import { startServer } from "./start.ts";

const usage = `restic-manager-server ${serverVersion}

  restic-manager-server [--config FILE]   start; settings: docs/reference/config.md
  restic-manager-server --version

Exit codes: 0 stopped by a signal, 1 could not start, 2 wrong arguments.`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { config: { type: "string" }, version: { type: "boolean" }, help: { type: "boolean" } },
  });
  if (values.version || values.help) {
    process.stdout.write(`${values.version ? serverVersion : usage}\n`);
    return 0;
  }
  const config = parseConfig(process.env, values.config ? readFileSync(values.config, "utf8") : undefined);
  const log = createLog(config.logLevel);
  const server = await startServer(config, { log });
  log.info({ url: server.url, version: serverVersion }, "restic-manager is listening");
  if (server.setupUrl)
    log.info({ setupUrl: server.setupUrl }, "no administrator yet: open this link to make one");
  const signal = await new Promise<string>((resolve) => {
    for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => resolve(name));
  });
  log.info({ signal }, "stopping");
  await server.stop();
  return 0;
}

process.exitCode = await main().catch((error: unknown) => {
  if (error instanceof AppError) process.stderr.write(`${error.message}\n`);
  else if (error instanceof TypeError && "code" in error)
    process.stderr.write(`${error.message}\n\n${usage}\n`);
  else process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  return error instanceof TypeError ? 2 : 1;
});
