/**
 * Every kind of storage that can run on one machine, with the real restic: tried, filled, checked and pruned by an agent that
 * has nothing but what the server told it; and what goes wrong, in words.
 */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { JobSpec, RepositoryAccess } from "@restic-manager/protocol";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { S3Server } from "../../../testkit/src/s3-server.ts";
import {
  type AgentLab,
  createAgentLab,
  JOB,
  OTHER_JOB,
  runJob,
  startInProgram,
} from "../../fixtures/agent/lab.ts";
import { fillSource, until } from "../../fixtures/restic/lab.ts";
import { startRestServer } from "../../fixtures/restic/rest-server.ts";
import { pathWithRclone, startSftpServer } from "../../fixtures/restic/sftp-server.ts";
import { systemClock } from "../platform/clock.ts";

let lab: AgentLab;
let stops: (() => Promise<unknown>)[];
beforeEach(async () => {
  lab = await createAgentLab();
  stops = [];
});
afterEach(async () => {
  for (const stop of stops) await stop();
  await lab.remove();
});

const tlsFile = (name: string) => fileURLToPath(new URL(`../../fixtures/tls/${name}`, import.meta.url));
const AUTHORITY = await readFile(tlsFile("authority.pem"), "utf8");
const STRANGER = await readFile(tlsFile("cert.pem"), "utf8");
const REST_PASSWORD = "password of the rest-server's user";
const REQUEST = "01KAQ2W4T9B3E6R8M1N5P7S0R";

const access = (location: string, settings: Partial<RepositoryAccess> = {}): RepositoryAccess => ({
  ...{ location, password: lab.repository.password, rest_username: null, rest_password: null },
  ...settings,
});

/** Starts the agent with what the server tells it. */
async function startWith(repository: RepositoryAccess | null, env?: Record<string, string>): Promise<void> {
  lab.server.config = { type: "config.update", version: 1, repository };
  await startInProgram(lab, lab.config, systemClock(), { env });
  await lab.server.until(() => lab.server.hellos.length > 0, "the agent");
}

let requests = 0;
async function tryAccess(tried: RepositoryAccess, timeout_seconds = 15) {
  requests += 1;
  const request_id = `${REQUEST}${String.fromCharCode(64 + (requests % 8) + 1)}`;
  lab.server.send({ type: "repository.test", request_id, access: tried, timeout_seconds });
  const answers = () => lab.server.all("repository.tested").filter((one) => one.request_id === request_id);
  await lab.server.until(() => answers().length > 0, "the answer to a test");
  return answers()[0];
}

/** The ids of jobs: each is another one. */
const jobId = (index: number) => `01KAQ2W4T9B3E6R8M1N5P7S0W${index}`;

/** What a host does with its repository in its life. */
async function liveWith(): Promise<void> {
  await fillSource(lab, 1);
  const backup: JobSpec = {
    ...{ kind: "backup", host_name: "web-1", source_group: "default" },
    ...{ includes: [lab.source], excludes: [] },
  };
  const specs: JobSpec[] = [
    { kind: "init" },
    backup,
    { kind: "check", read_data: { percent: 100 } },
    { kind: "prune" },
  ];
  for (const [index, spec] of specs.entries()) {
    const ended = await runJob(lab, jobId(index), spec);
    expect(ended, JSON.stringify(ended)).toMatchObject({ status: "succeeded", error: null });
  }
}

describe("a rest-server with a certificate of its own authority", () => {
  const rest = { rest_username: "web", rest_password: REST_PASSWORD };
  async function start(): Promise<string> {
    const server = await startRestServer({
      ...{ folder: join(lab.dir, "rest"), users: { web: REST_PASSWORD } },
      tls: { cert: tlsFile("storage-cert.pem"), key: tlsFile("storage-key.pem") },
    });
    stops.push(server.stop);
    return server.urlOf("web/repository");
  }

  test("is not trusted without that, and the error names the field", async () => {
    const location = await start();
    await startWith(null);
    for (const settings of [{}, { ca_certificate: STRANGER }]) {
      const tested = await tryAccess(access(location, { ...rest, ...settings }));
      expect(tested).toMatchObject({
        outcome: "failed",
        error: { code: "restic.certificate_untrusted" },
      });
      expect(tested?.error?.message).toContain("CA certificate");
    }
  });

  test("works with it through all that a host does, and its file is private", async () => {
    const location = await start();
    const repository = access(location, { ...rest, ca_certificate: AUTHORITY });
    await startWith(repository);
    expect(await tryAccess(repository)).toMatchObject({ outcome: "absent", error: null });
    await liveWith();
    expect(await tryAccess(repository)).toMatchObject({ outcome: "ok", error: null });
    const path = join(lab.config.data_dir, "access", "everyday", "ca.pem");
    expect(await readFile(path, "utf8")).toBe(AUTHORITY);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  test("says that the password is wrong, or the repository's", async () => {
    const location = await start();
    const repository = access(location, { ...rest, ca_certificate: AUTHORITY });
    await startWith(repository);
    await runJob(lab, JOB, { kind: "init" });
    expect(await tryAccess({ ...repository, rest_password: "another" })).toMatchObject({
      error: { code: "restic.unauthorised" },
    });
    expect(await tryAccess({ ...repository, password: "another" })).toMatchObject({
      error: { code: "restic.wrong_password" },
    });
  });

  test("leaves nothing of an access that was tried, or of one that came with a job", async () => {
    const location = await start();
    const admin = access(location, { ...rest, ca_certificate: AUTHORITY });
    await startWith(access(join(lab.dir, "elsewhere")));
    expect(await tryAccess(admin)).toMatchObject({ outcome: "absent" });
    expect(await runJob(lab, JOB, { kind: "init" }, admin)).toMatchObject({ status: "succeeded" });
    const files = () => readdir(lab.config.data_dir, { recursive: true });
    // The job's folder goes once the server has its end.
    await until(
      "no certificate is left",
      async () => !(await files()).some((name) => name.endsWith("ca.pem")),
    );
    // grep ends with 1 when it finds nothing.
    expect(() => execFileSync("grep", ["-rF", REST_PASSWORD, lab.config.data_dir])).toThrow();
  });
});

describe("an S3 storage", () => {
  const KEYS = {
    "full-key": { secret: "Secret-Of-The-Full-Key", rights: "all" },
    "weak-key": { secret: "Secret-Of-The-Weak-Key", rights: "none" },
    "reading-key": { secret: "Secret-Of-The-Reading-Key", rights: "read" },
  } as const;
  let server: S3Server;
  beforeEach(async () => {
    server = new S3Server("backups", KEYS);
    await server.start();
    stops.push(() => server.stop());
  });
  const withKey = (id: keyof typeof KEYS, secret: string = KEYS[id].secret) => ({
    environment: { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret },
  });

  test("works with its key and options through all that a host does", async () => {
    const repository = access(server.locationOf("web"), {
      ...withKey("full-key"),
      options: { "s3.bucket-lookup": "path", "s3.connections": "2" },
    });
    await startWith(repository);
    expect(await tryAccess(repository)).toMatchObject({ outcome: "absent" });
    await liveWith();
    expect(await tryAccess(repository)).toMatchObject({ outcome: "ok" });
    expect([...server.objects.keys()].some((key) => key.startsWith("web/snapshots/"))).toBe(true);
  });

  test.each([
    ["a wrong secret", withKey("full-key", "Another-Secret"), "restic.unauthorised"],
    [
      "an unknown key",
      { environment: { AWS_ACCESS_KEY_ID: "x", AWS_SECRET_ACCESS_KEY: "y" } },
      "restic.unauthorised",
    ],
    ["no key", {}, "restic.unauthorised"],
    ["a key without rights", withKey("weak-key"), "restic.no_rights"],
  ])("says what is wrong with %s, and shows no secret", async (_what, settings, code) => {
    await startWith(null);
    const tested = await tryAccess(access(server.locationOf("web"), settings));
    expect(tested).toMatchObject({ outcome: "failed", error: { code } });
    expect(JSON.stringify(tested) + lab.logLines.join("")).not.toMatch(/Another-Secret|Secret-Of/);
  });

  test("with a key that may only read opens, and the backup says that it has no right", async () => {
    const location = server.locationOf("web");
    await startWith(access(location, withKey("reading-key")));
    await runJob(lab, JOB, { kind: "init" }, access(location, withKey("full-key")));
    expect(await tryAccess(access(location, withKey("reading-key")))).toMatchObject({ outcome: "ok" });
    await fillSource(lab, 1);
    const ended = await runJob(lab, OTHER_JOB, {
      ...{ kind: "backup", host_name: "web-1", source_group: "default" },
      ...{ includes: [lab.source], excludes: [] },
    });
    expect(ended).toMatchObject({ status: "failed", error: { code: "restic.no_rights" } });
  });

  test("without the bucket is absent, as a new one is", async () => {
    await startWith(null);
    const tested = await tryAccess(access(server.locationOf("web", "missing"), withKey("full-key")));
    expect(tested).toMatchObject({ outcome: "absent" });
  });
});

describe("storages that restic reaches through another program", () => {
  test("rclone works with a remote of the host's own configuration", async () => {
    const env = await pathWithRclone(lab.dir);
    const repository = access("rclone:store:web", { options: { "rclone.connections": "2" } });
    await startWith(repository, env);
    await liveWith();
    expect(await tryAccess(repository)).toMatchObject({ outcome: "ok" });
    expect(existsSync(join(lab.dir, "store", "web", "config"))).toBe(true);
    expect(await tryAccess(access("rclone:nothing:web"))).toMatchObject({
      error: { code: "restic.helper_failed" },
    });
  });

  test("SFTP works with the key of the host's user", async () => {
    const server = await startSftpServer(lab.dir);
    stops.push(server.stop);
    const repository = access(server.locationOf("/web"), { options: { "sftp.connections": "2" } });
    await startWith(repository, server.env);
    await liveWith();
    expect(await tryAccess(repository)).toMatchObject({ outcome: "ok" });
  });

  test("a host without the program says which one is missing", async () => {
    await startWith(null, { PATH: lab.dir });
    expect(await tryAccess(access("rclone:store:web"))).toMatchObject({
      error: { code: "restic.helper_missing" },
    });
  });
});

/** Longer than a part of a name may be: known to be nobody without asking a name server, which could fail in its own way. */
const NOBODY = `${"no-such-host".repeat(6)}.invalid`;

describe("a storage that can't be reached", () => {
  test.each([
    [`rest:https://${NOBODY}/web`, {}],
    [`s3:${NOBODY}/bucket`, { AWS_ACCESS_KEY_ID: "x", AWS_SECRET_ACCESS_KEY: "y" }],
  ])("by its name: %s is told long before restic would give up", async (location, environment) => {
    await startWith(null);
    const tested = await tryAccess(access(location, { environment }));
    expect(tested).toMatchObject({ outcome: "failed", error: { code: "restic.host_unknown" } });
  });

  test("at its port", async () => {
    await startWith(null);
    const tested = await tryAccess(access("rest:http://127.0.0.1:1/web"));
    expect(tested).toMatchObject({ outcome: "failed", error: { code: "restic.unreachable" } });
  });
});

describe("a storage that takes every connection and never answers", () => {
  let silent: Server;
  let location: string;
  beforeEach(async () => {
    const open = new Set<Socket>();
    silent = createServer((socket) => void open.add(socket));
    await new Promise<void>((done) => {
      silent.listen(0, "127.0.0.1", done);
    });
    const address = silent.address();
    location = `rest:http://127.0.0.1:${typeof address === "object" ? address?.port : 0}/web`;
    stops.push(async () => {
      for (const socket of open) socket.destroy();
      await new Promise((done) => silent.close(done));
    });
  });

  test("ends a test in its time, and a second one waits for no turn", async () => {
    await startWith(null);
    const [first, second] = await Promise.all([
      tryAccess(access(location), 2),
      tryAccess(access(location), 2),
    ]);
    const codes = [first, second].map((tested) => tested?.error?.code).sort();
    expect(codes).toEqual(["agent.busy", "restic.timeout"]);
    expect(existsSync(join(lab.config.data_dir, "access"))).toBe(false);
  });

  test("does not keep a job from being cancelled", async () => {
    await startWith(access(location));
    lab.server.send({ type: "command.run", job_id: JOB, attempt: 1, spec: { kind: "check" } });
    await until("the job's start", () => lab.server.all("job.started").length > 0);
    lab.server.send({ type: "command.cancel", job_id: JOB });
    await lab.server.until(() => lab.server.all("job.finished").length > 0, "the end of the job");
    expect(lab.server.all("job.finished")[0]).toMatchObject({ status: "cancelled" });
  });
});
