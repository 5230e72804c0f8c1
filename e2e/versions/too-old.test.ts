/** A real restic that is older than what is supported, in RM_OLD_RESTIC: the host says so, and nothing is run with it. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { LabHost } from "../lab/host.ts";
import { Lab, writeRandomFiles } from "../lab/lab.ts";

const sentence = /^restic 0\.\d+\.\d+ at .* is too old/;

let lab: Lab;
let host: LabHost;

beforeAll(async () => {
  const resticPath = process.env.RM_OLD_RESTIC;
  if (!resticPath) throw new Error("RM_OLD_RESTIC is not set: run make test-restic");
  lab = await Lab.create();
  await lab.startServer();
  await lab.signUp();
  const paths = [await writeRandomFiles(join(lab.folder, "source"), 1, 1000)];
  host = await LabHost.add(lab, { name: "old", paths, resticPath, awaitsInit: false });
});

afterAll(() => lab?.close());

describe("a restic that is too old", () => {
  test("is not used, not even for the first init", async () => {
    const init = await host.initJob();
    expect(init).toMatchObject({ status: "failed", error: { code: "restic.too_old" } });
    expect(init.error?.message).toMatch(sentence);
    await expect(readdir(host.repository)).rejects.toThrow("ENOENT");
  });

  test("fails a backup with the sentence that says what to do, and the host's page has it too", async () => {
    const failed = await host.backUp();
    expect(failed).toMatchObject({ status: "failed", error: { code: "restic.too_old" } });
    expect(failed.error?.message).toMatch(sentence);
    expect(await lab.api.getText(`/hosts/${host.id}`)).toContain("is too old");
  });
});
