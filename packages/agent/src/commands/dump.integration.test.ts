/** Downloads with real restic over a real connection: the bytes, the archives, the refusals, and restic's end. */
import { execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmod, cp, mkdir, readdir, readFile, symlink, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { promisify } from "node:util";
import { inflateRawSync } from "node:zlib";
import { type DumpChunk, type DumpEnd, type DumpStart, snapshotPathBytes } from "@restic-manager/protocol";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type AgentLab, createAgentLab, JOB, OTHER_JOB, startInProgram } from "../../fixtures/agent/lab.ts";
import { createLab, createRepository, type Lab, runRestic, until } from "../../fixtures/restic/lab.ts";
import { outermost } from "./dump.ts";

const run = promisify(execFile);
const badName = Buffer.from("bad\xff.txt", "latin1");
const big = randomBytes(3 * 1024 * 1024);

let template: Lab;
let snapshotId: string;
let lab: AgentLab;
/** The tree that was backed up, as the snapshot knows it. */
let root: string;

beforeAll(async () => {
  template = await createLab();
  await createRepository(template);
  root = template.source;
  await mkdir(join(root, "deep", "empty"), { recursive: true });
  await writeFile(join(root, "deep", "big.bin"), big);
  await writeFile(join(root, "deep", 'it\'s "odd"\n<script>.txt'), "odd");
  await writeFile(join(root, "nothing"), "");
  await writeFile(Buffer.concat([Buffer.from(`${root}/`), badName]), "not utf-8");
  await chmod(join(root, "nothing"), 0o4751);
  await utimes(join(root, "nothing"), 1_700_000_000, 1_700_000_000);
  await symlink("nothing", join(root, "link"));
  await run("mkfifo", [join(root, "pipe")]);
  const { stdout } = await backUp();
  snapshotId = /"snapshot_id":"([0-9a-f]{64})"/.exec(stdout)?.[1] ?? "";
});
afterAll(() => template.remove());

const backUp = async () => ({ stdout: await runRestic(["backup", "--json", root], template.envFor()) });

beforeEach(async () => {
  lab = await createAgentLab();
  await cp(template.repository.url, lab.repository.url, { recursive: true });
  await startInProgram(lab);
  await lab.server.until(() => lab.server.hellos.length > 0, "the agent");
});
afterEach(() => lab.remove());

const chunks = (id: string): DumpChunk[] =>
  lab.server.all("dump.chunk").filter(({ request_id }) => request_id === id);
const endOf = (id: string): DumpEnd | undefined =>
  lab.server.all("dump.end").find(({ request_id }) => request_id === id);

function ask(paths: string[], format: DumpStart["format"], change: Partial<DumpStart> = {}): string {
  const request = { request_id: JOB, snapshot_id: snapshotId, paths, format, ...change };
  lab.server.send({ type: "dump.start", ...request });
  return request.request_id;
}

/** Asks, takes everything, and gives what came. */
async function dump(paths: string[], format: DumpStart["format"], change: Partial<DumpStart> = {}) {
  const request_id = ask(paths, format, change);
  let asked = 8;
  lab.server.send({ type: "dump.credit", request_id, chunks: 8 });
  await lab.server.until(() => {
    for (; asked < chunks(request_id).length + 8; asked += 1)
      lab.server.send({ type: "dump.credit", request_id, chunks: 1 });
    return endOf(request_id) !== undefined;
  }, "the dump's end");
  const came = chunks(request_id);
  expect(came.map(({ n }) => n)).toEqual(came.map((_, index) => index));
  const bytes = Buffer.concat(came.map(({ data }) => Buffer.from(data, "base64")));
  return { bytes, error: endOf(request_id)?.error ?? null };
}

/** restic programs that read out of this snapshot now. */
async function dumping(): Promise<string[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(
    pids.map((pid) => readFile(`/proc/${pid}/cmdline`, "latin1").catch(() => "")),
  );
  return lines.filter((line) => line.includes("dump\0--no-lock") && line.includes(snapshotId));
}

const workDirs = () => readdir(join(lab.config.data_dir, "work")).catch(() => []);

/** The entries that a zip archive lists at its end, with their bytes (PKWARE APPNOTE 6.3.10, 4.3.12 and 4.3.7). */
function readZip(archive: Buffer): Map<string, Buffer> {
  const end = archive.length - 22;
  const entries = new Map<string, Buffer>();
  let at = archive.readUInt32LE(end + 16);
  for (let left = archive.readUInt16LE(end + 10); left > 0; left--) {
    const [packed, nameLength] = [archive.readUInt32LE(at + 20), archive.readUInt16LE(at + 28)];
    const name = archive.toString("utf8", at + 46, at + 46 + nameLength);
    const local = archive.readUInt32LE(at + 42);
    const from = local + 30 + archive.readUInt16LE(local + 26) + archive.readUInt16LE(local + 28);
    const bytes = archive.subarray(from, from + packed);
    entries.set(name, archive.readUInt16LE(at + 10) === 8 ? inflateRawSync(bytes) : bytes);
    at += 46 + nameLength + archive.readUInt16LE(at + 30) + archive.readUInt16LE(at + 32);
  }
  return entries;
}

/** What tar says of an archive. */
async function listArchive(bytes: Buffer, ...args: string[]): Promise<string> {
  const tar = spawn("tar", ["-v", "--numeric-owner", "--full-time", "--utc", "-tf", "-", ...args]);
  const listed = text(tar.stdout);
  const complaints = text(tar.stderr);
  tar.stdin.end(bytes);
  expect(await complaints).toBe("");
  return listed;
}

const raw = (path: Buffer) => `base64:${path.toString("base64")}`;

describe("one file", () => {
  it("comes with exactly its bytes, in chunks of one size", async () => {
    const { bytes, error } = await dump([join(root, "deep/big.bin")], "raw");
    expect(error).toBeNull();
    expect(bytes.equals(big)).toBe(true);
    expect(
      new Set(
        chunks(JOB)
          .slice(0, -1)
          .map(({ data }) => data.length),
      ),
    ).toEqual(new Set([65_536]));
    expect(await dumping()).toEqual([]);
    await until("nothing to be left", async () => (await workDirs()).length === 0);
  });

  it("that is empty is an end without a chunk", async () => {
    expect(await dump([join(root, "nothing")], "raw")).toEqual({ bytes: Buffer.alloc(0), error: null });
  });

  it("is found by a name with newline and quotes", async () => {
    const { bytes } = await dump([join(root, "deep", 'it\'s "odd"\n<script>.txt')], "raw");
    expect(bytes.toString()).toBe("odd");
  });

  it("is found by a name that is not UTF-8", async () => {
    const path = Buffer.concat([Buffer.from(`${root}/`), badName]);
    const { bytes, error } = await dump([raw(path)], "raw");
    expect([error, bytes.toString()]).toEqual([null, "not utf-8"]);
  });
});

describe("an archive", () => {
  it("of a folder is restic's own, whole", async () => {
    const { bytes, error } = await dump([join(root, "deep")], "tar");
    expect(error).toBeNull();
    const listed = await listArchive(bytes);
    expect(listed).toContain(`${root.slice(1)}/deep/empty/`);
    expect(listed).toMatch(new RegExp(` ${big.length} .*deep/big.bin`));
  });

  it("of files and folders is one, each under its whole path with its mode, owner and time", async () => {
    const odd = Buffer.concat([Buffer.from(`${root}/`), badName]);
    const paths = [join(root, "nothing"), join(root, "deep"), raw(odd), join(root, "deep/big.bin")];
    const { bytes, error } = await dump(paths, "tar");
    expect(error).toBeNull();
    const lines = (await listArchive(bytes)).trim().split("\n");
    expect(lines[0]).toMatch(/^-rwsr-x--x 0\/0 +0 2023-11-14 22:13:20 .*\/nothing$/);
    // What a chosen folder holds already comes once.
    expect(lines.filter((line) => line.endsWith("big.bin"))).toHaveLength(1);
    expect(lines.at(-1)).toContain("bad\\377.txt");
    await mkdir(join(lab.dir, "out"));
    const tar = spawn("tar", ["-xf", "-", "-C", join(lab.dir, "out")]);
    tar.stdin.end(bytes);
    await new Promise((resolve) => tar.once("close", resolve));
    expect((await readFile(join(lab.dir, "out", root, "deep/big.bin"))).equals(big)).toBe(true);
    expect(await readFile(Buffer.from(`${lab.dir}/out${odd.toString("latin1")}`, "latin1"), "utf8")).toBe(
      "not utf-8",
    );
  });

  it("of a folder as a zip is whole, with what it lists at its end", async () => {
    const { bytes, error } = await dump([join(root, "deep")], "zip");
    expect(error).toBeNull();
    expect(
      readZip(bytes)
        .get(`${root.slice(1)}/deep/big.bin`)
        ?.equals(big),
    ).toBe(true);
    const all = await dump(["/"], "zip", { request_id: OTHER_JOB });
    expect(all.error).toBeNull();
    expect([...readZip(all.bytes).keys()]).toContain(`${root.slice(1)}/nothing`);
  });

  it("of everything is one of the root", async () => {
    const { bytes, error } = await dump(["/"], "tar");
    expect(error).toBeNull();
    expect(await listArchive(bytes)).toContain(`${root.slice(1)}/deep/big.bin`);
  });
});

describe("what can't be had", () => {
  it.each([
    ["a path that is not in the snapshot", ["gone"], "raw", "dump.not_found"],
    ["a folder as the bytes of a file", ["deep"], "raw", "dump.is_folder"],
    ["a link", ["link"], "raw", "dump.not_a_file"],
    ["a pipe in an archive", ["pipe"], "tar", "dump.not_a_file"],
    ["a path below a file", ["nothing/below"], "tar", "dump.not_found"],
    ["a zip of a file", ["nothing"], "zip", "dump.not_a_folder"],
    ["a zip of nothing", ["gone"], "zip", "dump.not_found"],
  ] as const)("%s is refused by name", async (_what, names, format, code) => {
    const { bytes, error } = await dump(
      names.map((name) => join(root, name)),
      format,
    );
    expect([bytes.length, error?.code]).toEqual([0, code]);
    expect(error?.message).toContain(names[0]);
  });

  it("a snapshot that was forgotten meanwhile is told apart", async () => {
    const { error } = await dump(["/etc/hosts"], "raw", { snapshot_id: "ab".repeat(32) });
    expect(error?.code).toBe("dump.snapshot_gone");
  });

  it("a file that was found after others ends the archive with an error, not with an end", async () => {
    const { bytes, error } = await dump([join(root, "nothing"), join(root, "gone")], "tar");
    expect(error?.code).toBe("dump.not_found");
    expect(bytes.length).toBe(0);
  });
});

describe("whoever does not want it any more", () => {
  const waiting = async () => {
    ask([join(root, "deep/big.bin")], "raw");
    lab.server.send({ type: "dump.credit", request_id: JOB, chunks: 1 });
    await lab.server.until(() => chunks(JOB).length === 1, "the first chunk");
    expect(await dumping()).toHaveLength(1);
  };

  it("ends restic by a cancel, and the agent goes on", async () => {
    await waiting();
    lab.server.send({ type: "dump.cancel", request_id: JOB });
    await until("restic to be gone", async () => (await dumping()).length === 0);
    const next = await dump([join(root, "nothing")], "raw", { request_id: OTHER_JOB });
    expect(next.error).toBeNull();
    expect(endOf(JOB)).toBeUndefined();
    expect(chunks(JOB)).toHaveLength(1);
  });

  it("ends restic by a connection that breaks", async () => {
    await waiting();
    lab.server.dropAll();
    await until("restic to be gone", async () => (await dumping()).length === 0);
  });

  it("makes restic wait as long as nothing is asked for", async () => {
    await waiting();
    lab.server.send({ type: "fs.list", request_id: OTHER_JOB, path: "/", after: null, limit: 1 });
    await lab.server.until(() => lab.server.all("fs.entries").length === 1, "another answer");
    expect([chunks(JOB).length, (await dumping()).length]).toEqual([1, 1]);
  });
});

describe("selections", () => {
  it("that others cover are left out", () => {
    const named = (paths: string[]) => outermost(paths.map(snapshotPathBytes)).map(String);
    expect(named(["/a/b", "/a", "/ab", "/a"])).toEqual(["/a", "/ab"]);
    expect(named(["/a", "/"])).toEqual(["/"]);
    expect(named(["base64:L2Ev/w==", "/a"])).toEqual(["/a"]);
  });
});
