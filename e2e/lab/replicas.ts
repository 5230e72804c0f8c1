/**
 * A laboratory with several replicas: built server programs with one key file on one real PostgreSQL, and a balancer
 * in front of them at the address that a laboratory has anyway. So hosts and the API client work as with one server.
 */
import { join } from "node:path";
import { freePort } from "../../packages/testkit/src/free-port.ts";
import { type PostgresCluster, startPostgres } from "../../packages/testkit/src/postgres-cluster.ts";
import { type Child, startChild, until } from "../../tools/demo/children.ts";
import { LabApi } from "./api.ts";
import { Balancer } from "./balancer.ts";
import { killAtOnce, Lab, plainEnvironment, serverProgram } from "./lab.ts";
import { PostgresWire } from "./postgres-wire.ts";

export interface ReplicaWishes {
  name: string;
  /** The address it listens on; the loopback when left out. */
  host?: string;
  /** The name of the network namespace it lives in; the machine's own when left out. */
  namespace?: string;
  /** Where it has the database, `ADDRESS:PORT`; the cluster itself when left out. */
  database?: string;
  /** Another build's main.js. */
  program?: string;
  /** Of RM_REPLICA_URL and whatever else differs. */
  settings?: Record<string, string>;
}

const loopback = "127.0.0.1";

export class Replica {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly url: string;
  /** Asks this one and no other; signed in as the laboratory is. */
  readonly api: LabApi;
  readonly logFile: string;
  private readonly lab: Lab;
  private readonly command: readonly string[];
  private readonly settings: Record<string, string>;
  private child: Child | null = null;

  constructor(lab: Lab, port: number, wishes: ReplicaWishes, settings: Record<string, string>) {
    const { name, host = loopback, namespace, program = serverProgram } = wishes;
    this.lab = lab;
    this.name = name;
    this.host = host;
    this.port = port;
    this.url = `http://${host}:${port}`;
    this.api = new LabApi(this.url);
    this.api.cookie = lab.api.cookie;
    this.logFile = join(lab.folder, `${name}.log`);
    const inside = namespace === undefined ? [] : ["ip", "netns", "exec", namespace];
    this.command = [...inside, process.execPath, program];
    this.settings = settings;
  }

  /** Starts it, or starts it again; resolves when it is ready. */
  async start(): Promise<void> {
    const [file = "", ...args] = this.command;
    const env = { ...plainEnvironment(), ...this.settings };
    const child = this.lab.keep(startChild(file, args, { env, logFile: this.logFile }));
    this.child = child;
    let ended = false;
    void child.exited.then(() => {
      ended = true;
    });
    await until(`the start of replica ${this.name}`, 40_000, async () => {
      if (ended) throw new Error(`replica ${this.name} did not start; see ${this.logFile}`);
      return this.isReady();
    });
  }

  async isReady(): Promise<boolean> {
    const answer = await fetch(`${this.url}/readyz`, { signal: AbortSignal.timeout(2000) }).catch(() => null);
    return answer?.ok ?? false;
  }

  /** Ends it as a power cut would. */
  async kill(): Promise<void> {
    await killAtOnce(this.child);
  }

  /** Stops its time, as a suspended machine's: its connections stay, and nobody answers on them. */
  freeze(): void {
    if (this.child) process.kill(this.child.pid, "SIGSTOP");
  }

  thaw(): void {
    if (this.child) process.kill(this.child.pid, "SIGCONT");
  }

  async stop(): Promise<void> {
    await this.child?.stop(8000);
  }
}

export class ReplicaLab {
  readonly lab: Lab;
  readonly postgres: PostgresCluster;
  /** `ADDRESS:PORT` of the cluster on the loopback. */
  readonly database: string;
  readonly replicas: Replica[] = [];

  private constructor(lab: Lab, postgres: PostgresCluster, database: string) {
    this.lab = lab;
    this.postgres = postgres;
    this.database = database;
  }

  /**
   * Starts PostgreSQL and the balancer; replicas are added one by one.
   * @param addresses of this machine at which PostgreSQL shall listen beside the loopback
   */
  static async create(addresses: readonly string[] = []): Promise<ReplicaLab> {
    const [lab, port] = [await Lab.create(), await freePort()];
    const postgres = await startPostgres({ tcp: { port, addresses: [loopback, ...addresses] } });
    lab.postgres = postgres;
    const replicas = new ReplicaLab(lab, postgres, `${loopback}:${port}`);
    const balancer = await Balancer.start(lab.port, () => replicas.replicas);
    lab.cleanups.push(
      () => postgres.stop(),
      () => balancer.stop(),
    );
    return replicas;
  }

  /** Starts one more. The first one's start makes the schema; then the admin signs up. */
  async add(wishes: ReplicaWishes): Promise<Replica> {
    const { lab } = this;
    const { host = loopback, database = this.database } = wishes;
    const port = await freePort();
    const replica = new Replica(lab, port, wishes, {
      RM_LISTEN: `${host}:${port}`,
      RM_REPLICA_URL: `http://${host}:${port}`,
      RM_DATA_DIR: await lab.makeFolder(`replica-${wishes.name}`),
      RM_SECRET_KEY_FILE: join(lab.folder, "secret.key"),
      RM_DATABASE_URL: `postgres://postgres@${database}/postgres`,
      RM_COOKIE_SECURE: "false",
      ...wishes.settings,
    });
    await replica.start();
    this.replicas.push(replica);
    if (this.replicas.length > 1) return replica;
    await lab.signUp(replica.logFile);
    replica.api.cookie = lab.api.cookie;
    return replica;
  }

  /** A way to the database of a replica's own; its address goes into the wishes of that replica. */
  async addWire(): Promise<{ wire: PostgresWire; database: string }> {
    const port = await freePort();
    const wire = await PostgresWire.start(this.database, port);
    this.lab.cleanups.push(() => wire.stop());
    return { wire, database: `${loopback}:${port}` };
  }

  /** The replica that has the host's agent, as the database knows it. */
  async placeOf(hostId: string): Promise<Replica | undefined> {
    const query =
      "select url from agent_links join replicas on replicas.id = agent_links.replica_id where host_id = $1";
    const [row] = await this.postgres.query<{ url: string }>(query, [hostId]);
    return this.replicas.find(({ url }) => url === row?.url);
  }

  /** Waits until the database knows the host's agent at that replica. */
  async untilAt(replica: Replica, hostId: string, limitMs = 30_000): Promise<void> {
    await until(`the agent at replica ${replica.name}`, limitMs, async () => {
      return (await this.placeOf(hostId)) === replica;
    });
  }

  close = (): Promise<void> => this.lab.close();
}
