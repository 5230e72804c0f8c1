/** The server as one executable: its pages' files, migrations and plugins are all inside. */
import { execFile } from "node:child_process";
import { copyFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { productVersion } from "../../packages/protocol/src/version.ts";
import { quickBuild } from "../../tools/package/quick.ts";
import { admin, Lab } from "../lab/lab.ts";

const run = promisify(execFile);

let lab: Lab;
let server: string;

beforeAll(async () => {
  lab = await Lab.create();
  server = join(await lab.makeFolder("bin"), "restic-manager-server");
  await copyFile(await quickBuild("restic-manager-server"), server);
  lab.serverExecutable = server;
  await lab.startServer();
  await lab.signUp();
});
afterAll(() => lab.close());

describe("the server's executable", () => {
  it("tells its version", async () => {
    expect((await run(server, ["--version"])).stdout).toBe(`${productVersion}\n`);
  });

  it("serves its pages with every file that they name", async () => {
    const page = await (await fetch(`${lab.url}/login`)).text();
    const names = [...page.matchAll(/\/assets\/[\w.-]+/g)].map(([path]) => path);
    expect(names.some((path) => path.endsWith(".css"))).toBe(true);
    for (const path of names) {
      const answer = await fetch(lab.url + path);
      expect([path, answer.status, (await answer.bytes()).length > 100]).toEqual([path, 200, true]);
    }
  });

  it("has made its database, and starts again on it", async () => {
    expect(await readdir(lab.dataFolder)).toContain("secret.key");
    expect(await lab.server?.stop(10_000)).toBeUndefined();
    expect(await lab.server?.exited).toBe(0);
    await lab.startServer();
    await lab.api.post("/api/auth/login", admin);
    expect(await lab.api.get("/api/hosts")).toMatchObject({ hosts: [] });
  });

  it("copies its database while it runs", async () => {
    const copy = join(lab.folder, "copy.db");
    const env = { ...lab.serverEnvironment() };
    expect((await run(server, ["backup-database", copy], { env })).stdout).toContain(`${copy}: `);
  });
});
