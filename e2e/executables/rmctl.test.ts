/** The command line as an operator gets it: one executable, against a real server. */
import { execFile } from "node:child_process";
import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { productVersion } from "../../packages/protocol/src/version.ts";
import { quickBuild } from "../../tools/package/quick.ts";
import { Lab } from "../lab/lab.ts";

const run = promisify(execFile);

let lab: Lab;
let rmctl: string;

beforeAll(async () => {
  lab = await Lab.create();
  rmctl = join(await lab.makeFolder("bin"), "rmctl");
  await copyFile(await quickBuild("rmctl"), rmctl);
  await lab.startServer();
  await lab.signUp();
});
afterAll(() => lab.close());

describe("rmctl's executable", () => {
  it("tells its version and its commands", async () => {
    expect((await run(rmctl, ["--version"])).stdout).toBe(`rmctl ${productVersion}\n`);
    expect((await run(rmctl, ["--help"])).stdout).toContain("hosts");
  });

  it("refuses what it doesn't know, and tells a server that is not there by its exit code", async () => {
    await expect(run(rmctl, ["frobnicate"])).rejects.toMatchObject({ code: 2 });
    const env = { ...process.env, RM_SERVER: "http://127.0.0.1:1", RM_API_TOKEN: "unused" };
    await expect(run(rmctl, ["hosts", "list", "--json"], { env })).rejects.toMatchObject({ code: 17 });
  });

  it("asks a server with a token", async () => {
    const { token } = await lab.api.post<{ token: string }>("/api/auth/tokens", {
      name: "test",
      role: "viewer",
    });
    const env = { ...process.env, RM_SERVER: lab.url, RM_API_TOKEN: token };
    const { stdout } = await run(rmctl, ["hosts", "list", "--json"], { env });
    expect(JSON.parse(stdout)).toMatchObject({ hosts: [] });
  });
});
