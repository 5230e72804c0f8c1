/**
 * An installation moves from SQLite to PostgreSQL by the command that operators type, with the role and the rights that
 * docs/user/postgresql.md names: agents, history, logs and sessions are there afterwards.
 */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { freePort } from "../packages/testkit/src/free-port.ts";
import { type PostgresCluster, startPostgres } from "../packages/testkit/src/postgres-cluster.ts";
import { type JobJson, LabHost, type LineJson } from "./lab/host.ts";
import { createSecret, Lab, serverProgram, writeRandomFiles } from "./lab/lab.ts";

const run = promisify(execFile);
const password = createSecret("database");

let lab: Lab;
let cluster: PostgresCluster;
let host: LabHost;
let backup: JobJson;
let log: LineJson[];
/** Without the password. */
let target: string;

beforeAll(async () => {
  lab = await Lab.create();
  const port = await freePort();
  cluster = await startPostgres({ tcp: { port, addresses: [] } });
  lab.cleanups.push(() => cluster.stop());
  await cluster.query(`CREATE ROLE rm LOGIN PASSWORD '${password}'`);
  await cluster.query("CREATE DATABASE rm OWNER rm");
  // By the socket as well, the password is asked for.
  const [row] = await cluster.query<{ hba_file: string }>("SHOW hba_file");
  const rules = "VALUES ('local all rm scram-sha-256'), ('local all postgres trust')";
  await cluster.query(`COPY (${rules}) TO '${row?.hba_file}'`);
  await cluster.query("SELECT pg_reload_conf()");
  const url = new URL(cluster.url);
  url.username = "rm";
  url.pathname = "/rm";
  target = url.href;
  await lab.startServer();
  await lab.signUp();
  const folder = await writeRandomFiles(await lab.makeFolder("files"), 3, 10_000);
  host = await LabHost.add(lab, { name: "moved", paths: [folder], isQuick: true });
  backup = await host.backUp();
  log = await host.log(backup.id);
});
afterAll(() => lab?.close());

interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

async function move(to: string | undefined, settings: NodeJS.ProcessEnv): Promise<Ended> {
  const args = [serverProgram, "move-database", ...(to === undefined ? [] : ["--to", to])];
  const env = { ...lab.serverEnvironment(), ...settings };
  return run(process.execPath, args, { env, timeout: 60_000 }).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    ({ code, stdout, stderr }: Ended) => ({ code, stdout, stderr }),
  );
}

const withPassword = (): string => {
  const url = new URL(target);
  url.password = password;
  return url.href;
};

describe("move-database", () => {
  it("takes no password by an argument, and does not repeat it", async () => {
    const ended = await move(withPassword(), {});
    expect(ended).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining("PGPASSFILE") });
    expect(ended.stderr).not.toContain(password);
  });

  it("does nothing while the server runs, which goes on working", async () => {
    const ended = await move(target, { PGPASSWORD: password });
    expect(ended).toMatchObject({ code: 1, stderr: expect.stringContaining("stop the server") });
    expect((await host.backUp()).status).toBe("succeeded");
  });

  it("says what PostgreSQL says of a wrong password", async () => {
    await lab.server?.stop(6000);
    const ended = await move(target, { PGPASSWORD: "wrong" });
    expect(ended).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("password authentication failed"),
    });
  });

  it("says that nobody answers there", async () => {
    const ended = await move(`postgres://rm@localhost:${await freePort()}/rm`, {});
    expect(ended).toMatchObject({ code: 1, stderr: expect.stringContaining("ECONNREFUSED") });
  });

  it("copies everything, compares it and says what is to be done", async () => {
    const ended = await move(target, { PGPASSWORD: password });
    expect(ended).toMatchObject({ code: 0, stderr: "" });
    expect(ended.stdout).toMatch(/^jobs: 3 rows, the same in both, digest [0-9a-f]{16}$/m);
    expect(ended.stdout).toMatch(/^Moved: \d+ tables, \d+ rows, each table compared/m);
    expect(ended.stdout).toContain("set RM_DATABASE_URL");
    expect(ended.stdout).toContain("secret.key");
    expect(ended.stdout).not.toContain(password);
  });

  it("is refused a second time: the database is not empty", async () => {
    const ended = await move(undefined, { RM_DATABASE_URL: withPassword() });
    expect(ended).toMatchObject({ code: 1, stderr: expect.stringContaining("not empty") });
  });

  it("the server goes on there: agent, job, log, session and secrets are as they were", async () => {
    lab.settings = { RM_DATABASE_URL: withPassword() };
    await lab.startServer();
    await host.untilOnline();
    expect(await host.job(backup.id)).toEqual(backup);
    expect(await host.log(backup.id)).toEqual(log);
    expect(await lab.api.getText("/")).toContain("PostgreSQL");
    const again = await host.backUp();
    expect(again.status).toBe("succeeded");
    expect((await host.log(again.id)).length).toBeGreaterThan(0);
  });
});
