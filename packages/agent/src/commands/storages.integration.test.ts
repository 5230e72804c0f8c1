/**
 * Every operation on every kind of rest-server that people run: one that asks nobody, one with users, one that only adds
 * (with a second door that may delete), one with a certificate of its own authority. And whoever has no right is told so.
 */
import { existsSync, readdirSync, rmSync } from "node:fs";
import { cp, mkdir, readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { JobSpec, RepositoryAccess } from "@restic-manager/protocol";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type AgentLab, createAgentLab, runJob, startInProgram } from "../../fixtures/agent/lab.ts";
import { createLab, createRepository, fillSource, type Lab } from "../../fixtures/restic/lab.ts";
import { writeLock } from "../../fixtures/restic/lock-file.ts";
import { type RestServer, startRestServer } from "../../fixtures/restic/rest-server.ts";

const EVERYDAY = "everyday password of the host";
const ADMIN = "admin password that may delete";
const tlsFile = (name: string) => fileURLToPath(new URL(`../../fixtures/tls/${name}`, import.meta.url));
/** No process has it: it is above every limit. */
const DEAD_PID = 2 ** 30;

let template: Lab;
beforeAll(async () => {
  template = await createLab();
  await createRepository(template);
});
afterAll(() => template.remove());

let lab: AgentLab;
let jobs: number;
const servers: RestServer[] = [];
beforeEach(async () => {
  lab = await createAgentLab();
  jobs = 0;
  await mkdir(join(folder(), "web"), { recursive: true });
  await cp(template.repository.url, repository(), { recursive: true });
  await fillSource(lab, 1);
  await startInProgram(lab);
});
afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop();
  await lab.remove();
});

const folder = () => join(lab.dir, "rest");
const repository = () => join(folder(), "web", "repository");

/** What a job gets: an access for every day, and one that may delete where that is another. */
type Storage = { everyday: RepositoryAccess; admin?: RepositoryAccess };

async function serve(
  options: Omit<Parameters<typeof startRestServer>[0], "folder"> = {},
): Promise<RepositoryAccess> {
  const server = await startRestServer({ folder: folder(), ...options });
  servers.push(server);
  const [user] = Object.entries(options.users ?? {});
  return {
    location: server.urlOf("web/repository"),
    password: template.repository.password,
    ...{ rest_username: user?.[0] ?? null, rest_password: user?.[1] ?? null },
  };
}

const storages: Record<string, () => Promise<Storage>> = {
  "that asks nobody": async () => ({ everyday: await serve() }),
  "with users": async () => ({ everyday: await serve({ users: { web: EVERYDAY } }) }),
  "that only adds, and its second door": async () => ({
    everyday: await serve({ users: { web: EVERYDAY }, flags: ["--append-only"] }),
    admin: await serve({ users: { web: ADMIN } }),
  }),
  "with a certificate of its own authority": async () => {
    const tls = { cert: tlsFile("storage-cert.pem"), key: tlsFile("storage-key.pem") };
    const access = await serve({ users: { web: EVERYDAY }, tls });
    return { everyday: { ...access, ca_certificate: await readFile(tlsFile("authority.pem"), "utf8") } };
  },
};

const backup = (): JobSpec => ({
  ...{ kind: "backup", host_name: "web-1", source_group: "default" },
  ...{ includes: [lab.source], excludes: [] },
});
const forget: JobSpec = {
  ...{ kind: "forget", host_name: "web-1", max_removed_percent: 50, confirmed: false },
  groups: [{ source_group: "default", policy: { keep_last: 1 } }],
};
const repair: JobSpec = { kind: "repair", what: "index" };
const succeeded = (result: object = {}) => expect.objectContaining({ status: "succeeded", ...result });
const refused = (code: string) =>
  expect.objectContaining({ status: "failed", error: expect.objectContaining({ code }) });

/** Runs a job of its own id with this access. */
function run(spec: JobSpec, access: RepositoryAccess) {
  jobs += 1;
  return runJob(lab, `01KAQ2W4T9B3E6R8M1N5P7S1${String(jobs).padStart(2, "0")}`, spec, access);
}

/** Someone with access to the disk takes the files of a folder away. */
function takeAway(name: string, count = Number.POSITIVE_INFINITY): void {
  const files = readdirSync(join(repository(), name), { recursive: true, withFileTypes: true });
  const taken = files.filter((entry) => entry.isFile()).slice(0, count);
  for (const { parentPath, name: file } of taken) rmSync(join(parentPath, file));
  rmSync(join(lab.dir, "data", "cache"), { recursive: true, force: true });
}

describe.each(Object.keys(storages))("a storage %s", (name) => {
  test("takes every operation, and each that deletes from whoever may", { timeout: 120_000 }, async () => {
    const { everyday, admin } = (await storages[name]?.()) ?? {};
    if (everyday === undefined) throw new Error("there is no such storage");
    const mayDelete = admin ?? everyday;

    const elsewhere = everyday.location.replace("repository", "new");
    expect(await run({ kind: "init" }, { ...everyday, location: elsewhere })).toEqual(succeeded());
    expect(existsSync(join(folder(), "web", "new", "config"))).toBe(true);
    expect(await run({ kind: "init", host_name: "web-1" }, everyday)).toEqual(succeeded());

    for (let time = 1; time <= 2; time++) expect(await run(backup(), everyday)).toEqual(succeeded());
    for (const read_data of [undefined, { percent: 50 }, { slice: 1, of: 1 }]) {
      const spec: JobSpec = { kind: "check", ...(read_data === undefined ? {} : { read_data }) };
      expect(await run(spec, everyday)).toEqual(succeeded());
    }

    const dead = { hostname: hostname(), pid: DEAD_PID, exclusive: true };
    await writeLock({ url: repository(), password: everyday.password }, dead);
    const unlocked = { result: { kind: "unlock", removed: 1, remaining: 0 } };
    expect(await run({ kind: "unlock", remove_all: false }, everyday)).toEqual(succeeded(unlocked));

    if (admin !== undefined) expect(await run(forget, everyday)).toEqual(refused("forget.not_removed"));
    const gone = { groups: [expect.objectContaining({ kept: 1, removed: 1 })] };
    expect(await run(forget, mayDelete)).toEqual(succeeded({ result: expect.objectContaining(gone) }));

    if (admin !== undefined) expect(await run({ kind: "prune" }, everyday)).toEqual(refused("prune.refused"));
    expect(await run({ kind: "prune" }, mayDelete)).toEqual(succeeded());

    takeAway("index");
    expect(await run(repair, everyday)).toEqual(succeeded());
    const everything: JobSpec = { kind: "check", read_data: { percent: 100 } };
    expect(await run(everything, everyday)).toEqual(succeeded());
    takeAway("data", 1);
    if (admin !== undefined) expect(await run(repair, everyday)).toEqual(refused("repair.refused"));
    expect(await run(repair, mayDelete)).toEqual(succeeded());
  });
});

describe("a storage with users", () => {
  const strangers: [string, (access: RepositoryAccess) => RepositoryAccess][] = [
    ["another password", (access) => ({ ...access, rest_password: "wrong" })],
    ["another user", (access) => ({ ...access, rest_username: "nobody" })],
    ["no user at all", (access) => ({ ...access, rest_username: null, rest_password: null })],
    [
      "the path of somebody else",
      (access) => ({ ...access, location: access.location.replace("/web/", "/mail/") }),
    ],
  ];

  test.each(strangers)("refuses %s in every operation, with a code of its own", async (_, change) => {
    const access = change(await serve({ users: { web: EVERYDAY, mail: "another password of mail" } }));
    const specs: JobSpec[] = [
      ...[backup(), forget, repair],
      ...([
        { kind: "init" },
        { kind: "check" },
        { kind: "prune" },
        { kind: "unlock", remove_all: false },
      ] as const),
    ];
    for (const spec of specs)
      expect([spec.kind, await run(spec, access)]).toEqual([spec.kind, refused("restic.unauthorised")]);
    expect(readdirSync(join(folder(), "web"))).toEqual(["repository"]);
    expect(existsSync(join(folder(), "mail"))).toBe(false);
  });
});
