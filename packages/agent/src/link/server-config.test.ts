/** What the server tells about the repository: newer counts, older does not, and a new connection is always right. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ConfigUpdate } from "@restic-manager/protocol";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Secrets } from "../platform/secrets.ts";
import { ServerConfig } from "./server-config.ts";

const HOST = "01KAQ2TZY8X6W4V2T0S9R7Q5PN";
let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "agent-config-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

async function openConfig(hostId = HOST): Promise<ServerConfig> {
  const secrets = await Secrets.open(join(dir, "secrets.enc"), Buffer.alloc(32, 1));
  return new ServerConfig(secrets, hostId, ["the-bearer"]);
}

const version = (number: number, location = `/repository/${number}`): ConfigUpdate => ({
  type: "config.update",
  version: number,
  repository: { location, password: `password of ${location}`, rest_username: null, rest_password: null },
});

describe("within a connection", () => {
  test("a newer version counts, and survives a restart", async () => {
    const config = await openConfig();
    expect(await config.update(version(1), true)).toBe("updated");
    expect(await config.update(version(2), false)).toBe("updated");
    expect((await openConfig()).findRepository()?.location).toBe("/repository/2");
  });

  test.each([1, 2])("version %i after version 2 changes nothing", async (number) => {
    const config = await openConfig();
    await config.update(version(2), true);
    expect(await config.update(version(number, "/older"), false)).toBe("unchanged");
    expect(config.findRepository()?.location).toBe("/repository/2");
  });
});

describe("the first of a connection", () => {
  test.each([1, 7])(
    "counts with version %i after version 7: the server was set back to an older copy",
    async (number) => {
      const config = await openConfig();
      await config.update(version(7), true);
      expect(await config.update(version(number, "/edited after that"), true)).toBe("updated");
      expect(config.findRepository()?.location).toBe("/edited after that");
      expect(config.redact("password of /edited after that")).toBe("***");
      expect(await config.update(version(number + 1), false)).toBe("updated");
    },
  );

  test("that says what is known already writes nothing", async () => {
    await (await openConfig()).update(version(3), true);
    expect(await (await openConfig()).update(version(3), true)).toBe("unchanged");
  });
});

test("secrets of the storage are masked as the passwords are", async () => {
  const config = await openConfig();
  const environment = { AWS_ACCESS_KEY_ID: "the-key-id", AWS_SECRET_ACCESS_KEY: "the-secret-key" };
  const repository = { location: "s3:h/b", password: "pass", rest_username: null, rest_password: null };
  await config.update(
    { type: "config.update", version: 1, repository: { ...repository, environment } },
    true,
  );
  expect(config.redact("the-key-id the-secret-key")).toBe("the-key-id ***");
});

test("what another enrolment was told does not count", async () => {
  await (await openConfig()).update(version(3), true);
  expect((await openConfig("01KAQ2TZY8X6W4V2T0S9R7Q5PM")).findRepository()).toBeUndefined();
});
