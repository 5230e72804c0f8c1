/** Two people who build the same sources in different places get the same bytes, and so the same digests. */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bundleProgram } from "../../tools/package/bundle.ts";
import { debFileName, writeDeb } from "../../tools/package/deb.ts";
import { writeExecutable } from "../../tools/package/executable.ts";

const root = resolve(import.meta.dirname, "../..");
const entry = "packages/agent/src/main.ts";
const publicKey = "a key";

let work: string;
let copy: string;

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), "rm-reproducible-"));
  copy = join(work, "another", "place");
  await copySources();
});
afterAll(() => rm(work, { recursive: true, force: true }));

/** The files that the program is made of, elsewhere. */
async function copySources(): Promise<void> {
  const { inputs } = await bundleProgram({ root, entry, publicKey });
  const folders = new Set<string>();
  for (const path of Object.keys(inputs)) {
    await cp(join(root, path), join(copy, path), { recursive: true });
    for (let folder = dirname(path); folder !== "."; folder = dirname(folder)) folders.add(folder);
  }
  // What else the bundler reads.
  for (const folder of folders) {
    for (const name of ["package.json", "tsconfig.json"]) {
      const file = join(root, folder, name);
      if (existsSync(file)) await cp(file, join(copy, folder, name));
    }
  }
  await cp(join(root, "tsconfig.base.json"), join(copy, "tsconfig.base.json"));
  for (const name of ["protocol", "agent"]) {
    const link = join(copy, "node_modules/@restic-manager", name);
    await mkdir(dirname(link), { recursive: true });
    await cp(join(root, "node_modules/@restic-manager", name), link, {
      recursive: true,
      verbatimSymlinks: true,
    });
  }
}

const sha256 = async (file: string): Promise<string> =>
  createHash("sha256")
    .update(await readFile(file))
    .digest("hex");

describe("a build", () => {
  it("gives the same executable from another folder, and nothing in it names either", async () => {
    const digests: string[] = [];
    for (const [index, place] of [root, copy].entries()) {
      const { code } = await bundleProgram({ root: place, entry, publicKey });
      expect(Buffer.from(code).includes(place)).toBe(false);
      const target = join(work, `built-${index}`, "agent");
      await writeExecutable({ root, nodePath: process.execPath, code }, target);
      digests.push(await sha256(target));
    }
    expect(digests[1]).toBe(digests[0]);
  });

  it("gives the same package for Debian whenever and wherever it is packed", async () => {
    const files = [
      { path: "usr/bin/one", content: { copyOf: join(root, "LICENSE") }, isProgram: true },
      { path: "usr/share/doc/one/copyright", content: { text: "free" } },
      { path: "usr/bin/two", content: { linkTo: "/usr/bin/one" } },
    ];
    const deb = {
      name: "one",
      version: "1.0.0-rc.1",
      arch: "amd64",
      summary: "one",
      fields: {},
      files,
    } as const;
    const digests: string[] = [];
    for (const place of ["first", "second"]) {
      const folder = join(work, place);
      await mkdir(folder, { mode: place === "first" ? 0o700 : 0o755 });
      await writeDeb(deb, folder, { epochSeconds: 1_700_000_000 });
      digests.push(await sha256(join(folder, debFileName(deb))));
    }
    expect(debFileName(deb)).toBe("one_1.0.0~rc.1_amd64.deb");
    expect(digests[1]).toBe(digests[0]);
  });
});
