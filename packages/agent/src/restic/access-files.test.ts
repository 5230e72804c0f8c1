/** restic's files of an access: private, complete, and gone with what they came from. */
import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RepositoryAccess } from "@restic-manager/protocol";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { placeAccessFiles } from "./access-files.ts";

let root: string;
let dir: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "agent-access-"));
  dir = join(root, "everyday");
});
afterEach(() => rm(root, { recursive: true, force: true }));

const access = (settings: Partial<RepositoryAccess>): RepositoryAccess => ({
  ...{ location: "gs:b:/", password: "x", rest_username: null, rest_password: null },
  ...settings,
});
const both = access({
  environment: { GOOGLE_PROJECT_ID: "p", GOOGLE_APPLICATION_CREDENTIALS: "the account" },
  ca_certificate: "the certificate",
});

describe("placeAccessFiles", () => {
  it("writes what restic takes as a file, for this user only, and gives its path", async () => {
    const environment = await placeAccessFiles(dir, both);
    expect(environment).toEqual({
      GOOGLE_PROJECT_ID: "p",
      GOOGLE_APPLICATION_CREDENTIALS: join(dir, "google.json"),
      RESTIC_CACERT: join(dir, "ca.pem"),
    });
    expect(await readFile(join(dir, "google.json"), "utf8")).toBe("the account");
    expect(await readFile(join(dir, "ca.pem"), "utf8")).toBe("the certificate");
    expect((await stat(dir)).mode & 0o777).toBe(0o700);
    expect((await stat(join(dir, "google.json"))).mode & 0o777).toBe(0o600);
  });

  it("removes what is no longer configured", async () => {
    await placeAccessFiles(dir, both);
    await placeAccessFiles(dir, access({ ca_certificate: "another" }));
    expect(await readdir(dir)).toEqual(["ca.pem"]);
    expect(await readFile(join(dir, "ca.pem"), "utf8")).toBe("another");
    expect(await placeAccessFiles(dir, undefined)).toEqual({});
    expect(await readdir(dir)).toEqual([]);
  });

  it("makes no folder for an access that needs no file", async () => {
    await placeAccessFiles(dir, access({ environment: { GOOGLE_PROJECT_ID: "p" } }));
    expect(await readdir(root)).toEqual([]);
  });
});
