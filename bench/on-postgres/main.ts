/**
 * Runs a benchmark of the server on the throw-away PostgreSQL of the tests. It does not wait for the disk, so that its
 * commits are too fast; for a real one set DATABASE_URL and run the benchmark itself.
 *
 * node bench/on-postgres/main.ts NAME [WORDS…]
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { startPostgres } from "../../packages/testkit/src/postgres-cluster.ts";

const [name = "", ...words] = process.argv.slice(2);
const cluster = await startPostgres();
try {
  const env = { ...process.env, DATABASE_URL: cluster.url };
  const bench = spawn(process.execPath, [join(import.meta.dirname, "..", name, "main.ts"), ...words], {
    env,
    stdio: "inherit",
  });
  const [code] = await once(bench, "exit");
  process.exitCode = code ?? 1;
} finally {
  await cluster.stop();
}
