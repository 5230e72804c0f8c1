/**
 * A throw-away PostgreSQL of the system's own binaries for one test run: a Unix socket in a temporary folder,
 * no durability, and TCP only where it is wished for. PostgreSQL refuses to run as root, so root becomes the user
 * `postgres` for it. Without durability it still keeps every commit when it is shut down at once: only a machine that
 * loses its power would not.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { appendFileSync, chmodSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";

export interface PostgresWishes {
  /** Addresses of this machine to listen on as well; whoever is at them or beside them (/30) is let in unasked. */
  tcp?: { port: number; addresses: readonly string[] };
}

/** `fast` ends the sessions and then itself; `immediate` is as good as a crash, and the next start recovers. */
export type ShutDown = "fast" | "immediate";

export interface PostgresCluster {
  /** By the socket. */
  url: string;
  /** Asks it, by a connection of its own. Numbers arrive as numbers. */
  query<Row>(text: string, values?: readonly unknown[]): Promise<Row[]>;
  /** Ends it; its data stay. */
  shutDown(how: ShutDown): Promise<void>;
  /** Starts it again on the same data and addresses, and waits until it answers. */
  startAgain(): Promise<void>;
  /** Ends it for good: its data go. */
  stop(): Promise<void>;
}

const int8Oid = 20;
/** PostgreSQL's own meaning of the signals. */
const signals = { fast: "SIGINT", immediate: "SIGQUIT" } as const;

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

/** A command line as the user that PostgreSQL accepts. */
function asPostgres(command: string, args: string[]): [string, string[]] {
  return process.getuid?.() === 0
    ? ["setpriv", ["--reuid=postgres", "--regid=postgres", "--clear-groups", command, ...args]]
    : [command, args];
}

/** Starts a cluster and waits until it answers. */
export async function startPostgres(wishes: PostgresWishes = {}): Promise<PostgresCluster> {
  const cluster = new Cluster(wishes);
  try {
    await cluster.startAgain();
  } catch (error) {
    // Nobody else knows of it: one whose port is taken has ended, but its files are there.
    await cluster.stop();
    throw error;
  }
  return cluster;
}

class Cluster implements PostgresCluster {
  readonly url: string;
  private readonly bin = findBinaries();
  private readonly folder = mkdtempSync(join(tmpdir(), "rm-pg-"));
  private readonly options: string[];
  private server: ChildProcess | null = null;

  constructor({ tcp }: PostgresWishes) {
    const port = tcp?.port ?? 5432;
    const addresses = tcp?.addresses ?? [];
    this.url = `postgres://postgres@localhost:${port}/postgres?host=${encodeURIComponent(this.folder)}`;
    const settings = [`listen_addresses=${addresses.join(",")}`, "fsync=off", "max_connections=200"];
    this.options = ["-k", this.folder, "-p", String(port), ...settings.flatMap((setting) => ["-c", setting])];
    if (process.getuid?.() === 0) {
      chmodSync(this.folder, 0o755);
      execFileSync("chown", ["postgres", this.folder]);
    }
    // Whatever language the machine speaks, also one that it has no locale of.
    const locale = ["-E", "UTF8", "--no-locale"];
    const create = ["-D", this.data, "-U", "postgres", "-A", "trust", "-N", ...locale];
    execFileSync(...asPostgres(join(this.bin, "initdb"), create), { stdio: "ignore" });
    for (const address of addresses)
      appendFileSync(join(this.data, "pg_hba.conf"), `host all all ${address}/30 trust\n`);
  }

  private get data(): string {
    return join(this.folder, "data");
  }

  async startAgain(): Promise<void> {
    const command = asPostgres(join(this.bin, "postgres"), ["-D", this.data, ...this.options]);
    this.server = spawn(...command, { stdio: "ignore" });
    await waitUntilReady(this.url, this.server);
  }

  async query<Row>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    const client = new pg.Client({
      connectionString: this.url,
      types: {
        getTypeParser: (oid: number, format?: "text" | "binary") =>
          oid === int8Oid ? Number : pg.types.getTypeParser(oid, format as "text"),
      },
    });
    // Told by the query as well; without a listener it would end the test's program.
    client.on("error", () => undefined);
    await client.connect();
    try {
      return (await client.query(text, [...values])).rows as Row[];
    } finally {
      await client.end().catch(() => undefined);
    }
  }

  async shutDown(how: ShutDown): Promise<void> {
    const { server } = this;
    this.server = null;
    if (server === null || server.exitCode !== null || server.signalCode !== null) return;
    const gone = new Promise((resolve) => server.once("exit", resolve));
    server.kill(signals[how]);
    await gone;
  }

  async stop(): Promise<void> {
    await this.shutDown("fast");
    rmSync(this.folder, { recursive: true, force: true });
  }
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
