/**
 * A throw-away PostgreSQL of the system's own binaries for one test run: a Unix socket in a temporary folder,
 * no TCP port, no durability. PostgreSQL refuses to run as root, so root becomes the user `postgres` for it.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";

export interface PostgresCluster {
  url: string;
  stop(): Promise<void>;
}

function findBinaries(): string {
  const debian = "/usr/lib/postgresql";
  const versions = existsSync(debian) ? readdirSync(debian).sort((a, b) => Number(b) - Number(a)) : [];
  const folders = [process.env.RM_POSTGRES_BIN, ...versions.map((version) => join(debian, version, "bin"))];
  const found = folders.find((folder) => folder && existsSync(join(folder, "initdb")));
  if (!found)
    throw new Error(
      "PostgreSQL's initdb was not found; install the package postgresql or set RM_POSTGRES_BIN",
    );
  return found;
}

/** Starts a cluster and waits until it answers. */
export async function startPostgres(): Promise<PostgresCluster> {
  const bin = findBinaries();
  const folder = mkdtempSync(join(tmpdir(), "rm-pg-"));
  const asRoot = process.getuid?.() === 0;
  if (asRoot) {
    chmodSync(folder, 0o755);
    execFileSync("chown", ["postgres", folder]);
  }
  const wrap = (command: string, args: string[]): [string, string[]] =>
    asRoot
      ? ["setpriv", ["--reuid=postgres", "--regid=postgres", "--clear-groups", command, ...args]]
      : [command, args];
  const data = join(folder, "data");
  execFileSync(
    ...wrap(join(bin, "initdb"), ["-D", data, "-U", "postgres", "-A", "trust", "-N", "-E", "UTF8"]),
    {
      stdio: "ignore",
    },
  );
  const options = ["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=200"];
  const server = spawn(...wrap(join(bin, "postgres"), ["-D", data, "-k", folder, ...options]), {
    stdio: "ignore",
  });
  const url = `postgres://postgres@localhost/postgres?host=${encodeURIComponent(folder)}`;
  await waitUntilReady(url, server);
  return { url, stop: () => stop(server, folder) };
}

async function waitUntilReady(url: string, server: ChildProcess): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt++) {
    if (server.exitCode !== null) throw new Error(`PostgreSQL ended with ${server.exitCode} while starting`);
    const client = new pg.Client({ connectionString: url });
    const ready = await client.connect().then(
      () => true,
      () => false,
    );
    await client.end().catch(() => undefined);
    if (ready) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("PostgreSQL did not answer within 10 s");
}

async function stop(server: ChildProcess, folder: string): Promise<void> {
  const gone = new Promise((resolve) => server.once("exit", resolve));
  // SIGINT is PostgreSQL's fast shutdown: it ends the sessions instead of waiting for them.
  server.kill("SIGINT");
  await gone;
  rmSync(folder, { recursive: true, force: true });
}
