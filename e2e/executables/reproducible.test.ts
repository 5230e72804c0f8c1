/** Two people who build the same sources in different places get the same bytes, and so the same digests. */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bundleProgram } from "../../tools/package/bundle.ts";
import { debFileName, writeDeb } from "../../tools/package/deb.ts";
import { writeExecutable } from "../../tools/package/executable.ts";
import { listPrograms } from "../../tools/package/programs.ts";

const run = promisify(execFile);
const root = resolve(import.meta.dirname, "../..");
const publicKey = "a key";
const programs = listPrograms(root);

let work: string;
let copy: string;

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), "rm-reproducible-"));
  copy = join(work, "another", "place");
  await copySources();
});
afterAll(() => rm(work, { recursive: true, force: true }));

/** The files that the programs are made of, elsewhere. */
async function copySources(): Promise<void> {
  const paths = new Set(["tsconfig.base.json", "packages/server/build-assets.ts"]);
  for (const { entry, assetInputs } of programs) {
    const { inputs } = await bundleProgram({ root, entry, publicKey });
    for (const path of Object.keys(inputs)) paths.add(path);
    const listed = assetInputs === undefined ? "[]" : await readFile(join(root, assetInputs), "utf8");
    for (const path of JSON.parse(listed) as string[]) paths.add(path);
  }
  paths.add("packages/server/src/platform/html/styles/favicon.svg");
  const folders = new Set<string>();
  for (const path of paths) {
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
  for (const name of ["protocol", "agent"]) await keepLink(`@restic-manager/${name}`);
  await symlink(join(root, "node_modules/esbuild"), join(copy, "node_modules/esbuild"));
}

/** Packages of the project are links in node_modules. */
async function keepLink(name: string): Promise<void> {
  const [from, to] = [root, copy].map((place) => join(place, "node_modules", name));
  if (from === undefined || to === undefined) return;
  await mkdir(dirname(to), { recursive: true });
  await cp(from, to, { recursive: true, verbatimSymlinks: true });
}

const sha256 = async (file: string): Promise<string> =>
  createHash("sha256")
    .update(await readFile(file))
    .digest("hex");

describe("a build", () => {
  it.each(programs)(
    "gives the same $name from another folder, and nothing in it names either",
    async (program) => {
      const { name, entry, assets } = program;
      if (assets !== undefined) await run(process.execPath, [join(copy, "packages/server/build-assets.ts")]);
      const digests: string[] = [];
      for (const [index, place] of [root, copy].entries()) {
        const { code } = await bundleProgram({ root: place, entry, publicKey });
        const parts = [code, ...(await readAll(assets === undefined ? undefined : join(place, assets)))];
        for (const part of parts) expect(Buffer.from(part).includes(place)).toBe(false);
        const target = join(work, `built-${index}`, name);
        await writeExecutable(
          { root, nodePath: process.execPath, code, assets: assets && join(place, assets) },
          target,
        );
        digests.push(await sha256(target));
      }
      expect(digests[1]).toBe(digests[0]);
    },
  );

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

/** The content of a folder's files; of no folder none. */
async function readAll(folder: string | undefined): Promise<Buffer[]> {
  if (folder === undefined) return [];
  const names = await readdir(folder);
  expect(names.length).toBeGreaterThan(5);
  return Promise.all(names.map((name) => readFile(join(folder, name))));
}
