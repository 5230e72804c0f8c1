/**
 * Two versions at once, as in an upgrade without a pause: a newer build joins, brings the database to its schema, and the
 * older one goes on until it is replaced. The newer build is this one with another version and one more migration,
 * which only adds: a table, and a column of a table that the older one writes.
 */
import { cp, mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { productVersion } from "@restic-manager/protocol/version";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sized, testTimeout } from "../chaos/faults.ts";
import type { ChaosHost } from "../chaos/host.ts";
import { type Replica, ReplicaLab } from "../lab/replicas.ts";
import { addHosts, Load } from "./load.ts";

const root = resolve(import.meta.dirname, "../..");
const laterVersion = "99.0.0";
const laterMigration = `
    "9999-later": {
        async up({ schema }) {
            await schema.createTable("later_notes").addColumn("id", "text", (c) => c.primaryKey()).execute();
            await schema.alterTable("jobs").addColumn("later_note", "text").execute();
            await schema.alterTable("hosts").addColumn("later_count", "bigint", (c) => c.notNull().defaultTo(0)).execute();
        },
    },
});`;

let replicas: ReplicaLab;
let older: Replica;
let newer: Replica;
let hosts: ChaosHost[];

beforeAll(async () => {
  replicas = await ReplicaLab.create();
  older = await replicas.add({ name: "older" });
  hosts = await addHosts(replicas, sized(2, 6), { name: "upgraded", spoken: 60, restSeconds: 0.1 });
}, testTimeout);
afterAll(() => replicas?.close());

/** Replaces a text that must be there in a built file. */
async function patch(path: string, was: string, becomes: string): Promise<void> {
  const text = await readFile(path, "utf8");
  if (!text.includes(was)) throw new Error(`${path} has no "${was}" any more`);
  await writeFile(path, text.replace(was, becomes));
}

/** A later version's build in the laboratory's folder. @returns its main.js */
async function buildLater(): Promise<string> {
  const folder = await replicas.lab.makeFolder("later");
  const modules = join(folder, "node_modules");
  await mkdir(join(modules, "@restic-manager"), { recursive: true });
  for (const name of ["server", "protocol"]) {
    const [from, to] = [join(root, "packages", name), join(folder, "packages", name)];
    for (const part of ["package.json", "dist"])
      await cp(join(from, part), join(to, part), { recursive: true });
    await symlink(to, join(modules, "@restic-manager", name));
  }
  for (const name of await readdir(join(root, "node_modules")))
    if (name !== "@restic-manager") await symlink(join(root, "node_modules", name), join(modules, name));
  await patch(join(folder, "packages/protocol/dist/version.js"), `"${productVersion}"`, `"${laterVersion}"`);
  await patch(join(folder, "packages/server/dist/migrations/index.js"), "\n});", laterMigration);
  return join(folder, "packages/server/dist/src/main.js");
}

const versionOf = ({ api }: Replica) => api.get("/api/version");

describe("an upgrade", () => {
  test("begins with a newer replica beside the older one: both work, and nothing is lost", {
    timeout: testTimeout,
  }, async () => {
    const load = new Load(replicas, hosts);
    newer = await replicas.add({ name: "newer", program: await buildLater() });
    expect(await versionOf(newer)).toEqual({ version: laterVersion });
    expect(await versionOf(older)).toEqual({ version: productVersion });
    const [applied] = await replicas.postgres.query(
      "select name from kysely_migration where name = '9999-later'",
    );
    expect(applied).toBeDefined();
    for (const host of hosts) expect((await replicas.placeOf(host.id))?.name).toBe("older");
    await load.expectNothingLost("two versions at once");
  });

  test("goes on: what is asked at either one is done by agents of the other", {
    timeout: testTimeout,
  }, async () => {
    for (const replica of [newer, older])
      for (const host of hosts) {
        const path = `/api/hosts/${host.id}/jobs`;
        const { job_id } = await replica.api.post<{ job_id: string }>(path, { kind: "backup" });
        expect(await host.finished(job_id)).toMatchObject({ status: "succeeded" });
        await replica.api.put(`/api/hosts/${host.id}/bandwidth`, { upload_kib: 50_000, download_kib: null });
      }
  });

  test("ends with the older one stopped under load: its agents are at the newer one", {
    timeout: testTimeout,
  }, async () => {
    const load = new Load(replicas, hosts);
    await older.stop();
    for (const { id } of hosts) await replicas.untilAt(newer, id);
    await load.expectNothingLost("the older one stopped");
  });

  test("leaves no way back: the older one, started again, says what to do", {
    timeout: testTimeout,
  }, async () => {
    await expect(older.start()).rejects.toThrow("did not start");
    expect(await readFile(older.logFile, "utf8")).toContain(
      "The database was written by a newer restic-manager",
    );
    expect(await newer.isReady()).toBe(true);
  });
});
