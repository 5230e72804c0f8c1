/** What `make package` has just made, looked at as its readers do: complete, signed, and each program what it is called. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openSums, parseArtefactName, parseSums } from "../../packages/protocol/src/release.ts";
import { productVersion as version } from "../../packages/protocol/src/version.ts";
import { verifyEd25519 } from "../../tools/package/signing.ts";

const execute = promisify(execFile);
const run = async (program: string, ...args: string[]): Promise<string> =>
  (await execute(program, args, { cwd: work, timeout: 60_000 })).stdout;

const root = resolve(import.meta.dirname, "../..");
const release = join(root, "build/package");
/** Links to every file of the release: what a reader makes beside them is not left there. */
let work: string;
let names: string[];

beforeAll(async () => {
  if (!existsSync(release)) throw new Error(`There is no release in ${release}: run make package.`);
  names = (await readdir(release)).filter((name) => name !== "apt").sort();
  work = await mkdtemp(join(tmpdir(), "rm-release-"));
  for (const name of [...names, "apt"]) await symlink(join(release, name), join(work, name));
});
afterAll(() => rm(work, { recursive: true, force: true }));

const platforms = ["linux-x64", "linux-arm64", "windows-x64.exe"];
const ours = [
  ...platforms.flatMap((platform) => [
    `restic-manager-agent-${version}-${platform}`,
    `rmctl-${version}-${platform}`,
  ]),
  `restic-manager-server-${version}-linux-x64`,
  `restic-manager-server-${version}-linux-arm64`,
];
const beside = [
  ...[
    "install.sh",
    "install.ps1",
    "restic-manager-agent.service",
    "sbom.cdx.json",
    "THIRD-PARTY-LICENSES.txt",
  ],
  ...["SHA256SUMS", "SHA256SUMS.sig", "release.pub"],
];
const debs = ["restic-manager-agent", "rmctl"].flatMap((name) =>
  ["amd64", "arm64"].map((arch) => `${name}_${version.replace("-", "~")}_${arch}.deb`),
);
/** restic is left out for a platform whose release can't be reached, but for the machine's own. */
const resticName =
  /^restic-[\d.]+-(linux-x64|linux-arm64|windows-x64\.exe)$|^restic-manager-restic_[\d.]+_\w+\.deb$/;

test("every file of the list is there, and none that is not of it", () => {
  const restic = names.filter((name) => resticName.test(name));
  expect(names.filter((name) => !restic.includes(name))).toEqual([...ours, ...beside, ...debs].sort());
  const own = process.arch === "arm64" ? "arm64" : "x64";
  expect(restic.some((name) => name.endsWith(`-linux-${own}`))).toBe(true);
  for (const [linux, debian] of [
    ["linux-x64", "_amd64.deb"],
    ["linux-arm64", "_arm64.deb"],
  ] as const)
    expect(restic.some((name) => name.endsWith(debian))).toBe(restic.some((name) => name.endsWith(linux)));
});

test("the list names every file, and the documentation's commands find it signed and each file as it says", async () => {
  const guide = await readFile(join(root, "docs/packaging.md"), "utf8");
  const commands = /## Checking a release by hand\n\n```\n([^`]+)```/.exec(guide)?.[1] ?? "";
  expect(commands.trim().split("\n")).toHaveLength(3);
  const said = await run("sh", "-euc", commands);
  expect(said).toContain("Signature Verified Successfully");
  const sums = parseSums(await readFile(join(release, "SHA256SUMS"), "utf8"));
  const own = ["SHA256SUMS", "SHA256SUMS.sig", "release.pub"];
  expect([...(sums?.keys() ?? [])].sort()).toEqual(names.filter((name) => !own.includes(name)));
  for (const name of sums?.keys() ?? []) expect(said).toContain(`${name}: OK`);
});

test("agents believe the list by the key that was built into each of them", async () => {
  const [sums, signature, key] = await Promise.all(
    ["SHA256SUMS", "SHA256SUMS.sig", "release.pub"].map((name) => readFile(join(release, name), "utf8")),
  );
  expect(
    openSums({ sums: sums ?? "", signature: signature ?? "" }, key ?? "", verifyEd25519)?.size,
  ).toBeGreaterThan(15);
  const inside = (key ?? "").split("\n")[1] ?? "";
  expect(inside).toMatch(/^[\w+/=]{60}$/);
  for (const platform of platforms)
    expect(
      (await readFile(join(release, `restic-manager-agent-${version}-${platform}`))).includes(inside),
    ).toBe(true);
});

/** The words before a program of that platform; undefined where nothing here runs it. */
function runnerOf(name: string): string[] | undefined {
  const { os, arch } = parseArtefactName(name) ?? {};
  if (os !== "linux") return undefined;
  if (arch === process.arch) return [];
  const libraries = "/usr/aarch64-linux-gnu";
  const isThere =
    arch === "arm64" && existsSync("/usr/bin/qemu-aarch64-static") && existsSync(`${libraries}/lib`);
  return isThere ? ["qemu-aarch64-static", "-L", libraries] : undefined;
}

test.each(ours)("%s is of its system, and says its version where it runs", async (name) => {
  const start = (await readFile(join(release, name))).subarray(0, 4096);
  const { os, arch } = parseArtefactName(name) ?? {};
  if (os === "windows") expect(start.subarray(0, 2).toString()).toBe("MZ");
  // ELF of 64 bits; the machine's number is 62 for x86-64 and 183 for AArch64.
  else
    expect([start.readUInt32BE(0), start[4], start.readUInt16LE(18)]).toEqual([
      0x7f454c46,
      2,
      arch === "x64" ? 62 : 183,
    ]);
  const runner = runnerOf(name);
  if (runner === undefined) return;
  const [program = "", ...args] = [...runner, join(work, name), "--version"];
  expect((await run(program, ...args)).trim().split(" ").at(-1)).toBe(version);
});

const packed = [
  ["restic-manager-agent", "opt/restic-manager/bin/restic-manager-agent", "restic-manager-agent"],
  ["rmctl", "usr/bin/rmctl", "rmctl"],
  ["restic-manager-restic", "opt/restic-manager/bin/restic", "restic"],
] as const;

test.each(packed)("the packages %s hold the very programs of the list", async (deb, path, program) => {
  for (const name of names.filter((file) => file.startsWith(`${deb}_`))) {
    const arch = name.endsWith("_amd64.deb") ? "x64" : "arm64";
    const wanted = names.find((file) => {
      const artefact = parseArtefactName(file);
      return artefact?.program === program && artefact.os === "linux" && artefact.arch === arch;
    });
    const folder = join(work, `unpacked-${name}`);
    await run("dpkg-deb", "-x", name, folder);
    const [inside, beside] = [
      await readFile(join(folder, path)),
      await readFile(join(release, wanted ?? "")),
    ];
    expect(inside.equals(beside)).toBe(true);
    await rm(folder, { recursive: true });
  }
});

test("the repository for apt is signed by its key, and its lists name the packages that lie beside them", async () => {
  const dist = "apt/dists/stable";
  await run("sh", "-euc", "gpg --dearmor <apt/restic-manager.asc >apt.gpg 2>/dev/null");
  await run("gpgv", "--quiet", "--output", "Release", "--keyring", "./apt.gpg", `${dist}/InRelease`);
  const signed = await readFile(join(work, "Release"), "utf8");
  for (const arch of ["amd64", "arm64"]) {
    const path = `main/binary-${arch}/Packages`;
    const [sum] = (await run("sha256sum", `${dist}/${path}`)).split(" ");
    expect(signed).toMatch(new RegExp(`^ ${sum} +\\d+ ${path}$`, "m"));
    const list = await readFile(join(release, dist, path), "utf8");
    const packages = [...list.matchAll(/^Filename: (\S+)$/gm)].map(([, file = ""]) => file);
    expect(packages.length).toBeGreaterThan(1);
    for (const file of packages) {
      const [digest] = (await run("sha256sum", `apt/${file}`)).split(" ");
      expect(list).toContain(`SHA256: ${digest}`);
    }
  }
});

test("the bill of materials names every program with its digest, and the licences every part inside", async () => {
  const sums = parseSums(await readFile(join(release, "SHA256SUMS"), "utf8"));
  const bill = JSON.parse(await readFile(join(release, "sbom.cdx.json"), "utf8")) as {
    bomFormat: string;
    components: { name: string; version?: string; hashes?: { alg: string; content: string }[] }[];
  };
  expect(bill.bomFormat).toBe("CycloneDX");
  for (const name of ours)
    expect(bill.components.find((one) => one.name === name)?.hashes).toEqual([
      { alg: "SHA-256", content: sums?.get(name) },
    ]);
  const licences = await readFile(join(release, "THIRD-PARTY-LICENSES.txt"), "utf8");
  for (const { name, version: its } of bill.components.filter((one) => !ours.includes(one.name)))
    expect([name, licences.includes(name), its !== undefined]).toEqual([name, true, true]);
});
