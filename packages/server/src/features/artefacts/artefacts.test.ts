/** What is served of a folder: whole sets only, and never other bytes than were looked at. */
import { appendFile, mkdir, mkdtemp, rm, symlink, truncate, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  buildTestApp,
  createReleaseKey,
  FakeClock,
  releaseContent,
  writeRelease,
} from "@restic-manager/testkit";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { App } from "../../platform/http/route.ts";
import { createLog } from "../../platform/log.ts";
import { registerArtefactRoutes } from "./artefacts.api.ts";
import { driftOf, ReleaseShelf, servedVersion } from "./artefacts.ts";

let root: string;
let clock: FakeClock;
let shelf: ReleaseShelf;
let app: App;
const data = () => join(root, "data");
const builtIn = () => join(root, "built-in");

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "rm-release-"));
  clock = new FakeClock();
  shelf = new ReleaseShelf({
    ...{ clock, log: createLog("silent"), dataFolder: data(), builtInFolder: builtIn() },
  });
  app = (await buildTestApp()).app;
  registerArtefactRoutes(app, { shelf });
});
afterEach(async () => {
  await app.close();
  await rm(root, { recursive: true, force: true });
});

const get = (url: string, headers: Record<string, string> = {}) =>
  app.inject({ method: "GET", url, headers });
/** A change of a folder is seen with the next look. */
async function look() {
  await clock.advance(6000);
  return shelf.current();
}

describe("the set that is served", () => {
  it("is none while there are no files, and says so to whoever asks", async () => {
    expect(await shelf.current()).toEqual({ kind: "none", dataFolder: data() });
    const answer = await get("/install/install.sh");
    expect(answer.statusCode).toBe(404);
    expect(answer.json()).toMatchObject({ code: "artefacts.none" });
  });

  it("is the one that came with the server, until there is one in the data folder", async () => {
    await writeRelease(builtIn(), releaseContent("0.1.0"));
    expect(await shelf.current()).toMatchObject({ kind: "whole", source: "built_in" });
    await writeRelease(data(), releaseContent("0.2.0"));
    expect(await look()).toMatchObject({ kind: "whole", source: "data" });
    const answer = await get("/agent/binary?os=linux&arch=x64");
    expect(answer.headers["x-artefact-version"]).toBe("0.2.0");
    await rm(data(), { recursive: true });
    expect(await look()).toMatchObject({ kind: "whole", source: "built_in" });
  });

  it("is read half a minute after the start, so that a fleet that comes back goes first", async () => {
    await writeRelease(data(), releaseContent("0.2.0"));
    const said: string[] = [];
    const log = pino({}, { write: (line: string) => void said.push(line) });
    const started = new ReleaseShelf({ clock, log, dataFolder: data(), builtInFolder: undefined });
    started.start();
    await clock.advance(29_999);
    expect(said).toEqual([]);
    await clock.advance(1);
    await vi.waitFor(() => expect(said.join()).toContain("the files for hosts are served"));
    await started.stop();
  });

  it("is outlined by its signed list, for pages that can't wait until every file was read", async () => {
    expect(await shelf.outline()).toEqual({ kind: "none" });
    await writeRelease(builtIn(), releaseContent("0.1.0"));
    await rm(join(builtIn(), "install.sh"));
    const system = { os: "linux", arch: "x64" };
    const version = async () => servedVersion(await shelf.outline(), "restic-manager-agent", system);
    expect(await version()).toBeUndefined();
    await clock.advance(6000);
    expect(await version()).toBe("0.1.0");
    // Once the files were looked at, a set that may not be served has no versions either.
    expect(await shelf.current()).toMatchObject({ kind: "broken" });
    expect(await version()).toBeUndefined();
    await writeRelease(builtIn(), releaseContent("0.2.0"));
    expect(await version()).toBeUndefined();
    await clock.advance(6000);
    expect(await version()).toBe("0.2.0");
    expect(await shelf.current()).toMatchObject({ kind: "whole" });
  });

  it("is looked at once: a request does not read it again", async () => {
    await writeRelease(data(), releaseContent("0.2.0"));
    const first = await shelf.current();
    expect(await shelf.current()).toBe(first);
    expect(await look()).toBe(first);
  });

  it("is looked at anew after the clock was set back", async () => {
    await writeRelease(data(), releaseContent("0.1.0"));
    const version = async () =>
      servedVersion(await shelf.current(), "restic-manager-agent", { os: "linux", arch: "x64" });
    expect(await version()).toBe("0.1.0");
    await writeRelease(data(), releaseContent("0.2.0"));
    clock.jump(-3_600_000);
    expect(await version()).toBe("0.2.0");
  });

  it.each<[string, () => Promise<void>, RegExp]>([
    ["with a file that is missing", () => rm(join(data(), "install.sh")), /install\.sh.* is not there/],
    ["with other bytes in a file", () => appendFile(join(data(), "install.sh"), "x"), /another digest/],
    ["with a file cut off", () => truncate(join(data(), "restic-0.19.1-linux-x64"), 3), /another digest/],
    ["without a signature", () => rm(join(data(), "SHA256SUMS.sig")), /SHA256SUMS\.sig is missing/],
    ["without a key", () => rm(join(data(), "release.pub")), /release\.pub is missing/],
    ["without a list", () => rm(join(data(), "SHA256SUMS")), /SHA256SUMS is missing/],
    ["with a list that is none", () => writeFile(join(data(), "SHA256SUMS"), "hello\n"), /not a list/],
    [
      "with a line more in the list",
      () => appendFile(join(data(), "SHA256SUMS"), `${"a".repeat(64)}  evil\n`),
      /signature/,
    ],
    [
      "with another's key",
      () => writeFile(join(data(), "release.pub"), createReleaseKey().publicKey),
      /signature/,
    ],
    ["with a key that is none", () => writeFile(join(data(), "release.pub"), "\0\0"), /signature/],
    ["with a folder in a file's place", () => swapForFolder(join(data(), "install.sh")), /is not there/],
  ])("%s is broken as a whole, and the built-in one does not step in", async (_what, breakIt, problem) => {
    await writeRelease(builtIn(), releaseContent("0.1.0"));
    await writeRelease(data(), releaseContent("0.2.0"));
    await breakIt();
    const release = await shelf.current();
    expect(release).toMatchObject({ kind: "broken", source: "data", folder: data() });
    expect(release.kind === "broken" && release.problem).toMatch(problem);
    const answer = await get("/agent/binary?os=linux&arch=x64");
    expect(answer.statusCode).toBe(503);
    expect(answer.json()).toMatchObject({ code: "artefacts.broken" });
    expect(answer.body).not.toContain(root);
  });

  it("is mended by putting the right files there, without a restart", async () => {
    await writeRelease(data(), releaseContent("0.2.0"));
    await rm(join(data(), "install.sh"));
    expect((await shelf.current()).kind).toBe("broken");
    await writeRelease(data(), releaseContent("0.2.0"));
    expect((await look()).kind).toBe("whole");
  });
});

async function swapForFolder(path: string) {
  await rm(path);
  await mkdir(path);
}

describe("a file of the set", () => {
  beforeEach(() => writeRelease(data(), releaseContent("0.2.0")));

  it("is sent with its name, digest, version and tag", async () => {
    const answer = await get("/agent/binary?os=linux&arch=arm64");
    expect(answer.statusCode).toBe(200);
    expect(answer.body).toBe("agent 0.2.0 linux-arm64");
    const sha256 = answer.headers["x-artefact-sha256"];
    expect(answer.headers).toMatchObject({
      "x-artefact-name": "restic-manager-agent-0.2.0-linux-arm64",
      "x-artefact-version": "0.2.0",
      etag: `"${String(sha256)}"`,
      "cache-control": "no-cache",
      "accept-ranges": "bytes",
      "content-length": "23",
    });
  });

  it("is the newest that the list has", async () => {
    const key = createReleaseKey();
    await writeRelease(data(), { ...releaseContent("0.9.0"), ...releaseContent("0.10.0") }, key);
    await look();
    expect((await get("/agent/binary?os=win32&arch=x64")).body).toBe("agent 0.10.0 windows-x64.exe");
    expect((await get("/agent/restic?os=windows&arch=x64")).body).toBe("restic 0.19.1 windows-x64.exe");
  });

  it("is sent in parts, and not again to a client that has it", async () => {
    const url = "/install/restic-manager-agent-0.2.0-linux-x64";
    const part = await get(url, { range: "bytes=6-10" });
    expect(part.statusCode).toBe(206);
    expect(part.body).toBe("0.2.0");
    expect(part.headers).toMatchObject({ "content-range": "bytes 6-10/21", "content-length": "5" });
    const late = await get(url, { range: "bytes=21-" });
    expect(late.statusCode).toBe(416);
    expect(late.headers["content-range"]).toBe("bytes */21");
    const again = await get(url, { "if-none-match": String(part.headers.etag) });
    expect(again.statusCode).toBe(304);
    expect(again.body).toBe("");
  });

  it("answers HEAD with its length and no bytes", async () => {
    const answer = await app.inject({ method: "HEAD", url: "/install/install.sh" });
    expect(answer.statusCode).toBe(200);
    expect(answer.headers["content-length"]).toBe("10");
    expect(answer.body).toBe("");
  });

  it.each(["SHA256SUMS", "SHA256SUMS.sig", "release.pub", "install.sh", "install.ps1"])(
    "%s can be read in a browser",
    async (name) => {
      const answer = await get(`/install/${name}`);
      expect(answer.statusCode).toBe(200);
      expect(answer.headers["content-type"]).toBe("text/plain; charset=utf-8");
    },
  );

  it.each([
    "/agent/binary?os=plan9&arch=x64",
    "/agent/binary?os=linux&arch=riscv64",
    "/agent/binary?os=windows&arch=arm64",
  ])("%s is not there, and the answer says what is", async (url) => {
    const answer = await get(url);
    expect(answer.statusCode).toBe(404);
    expect(answer.json()).toMatchObject({ code: "artefacts.not_found" });
    expect(answer.json().message).toContain("linux/x64");
  });

  it.each([
    "/install/..%2fsecret",
    "/install/%2e%2e%2fsecret",
    "/install/../secret",
    "/install/notes.txt",
    "/install/constructor",
    "/install/SHA256SUMS%00",
    "/apt/..%2fSHA256SUMS",
    "/apt/%2e%2e/SHA256SUMS",
    "/apt/.hidden",
    "/apt/",
    "/apt/link",
    "/apt/dists",
  ])("is none of what lies beside: %s", async (url) => {
    await writeFile(join(root, "secret"), "the secret");
    await writeFile(join(data(), "notes.txt"), "the secret");
    await mkdir(join(data(), "apt", "dists"), { recursive: true });
    await writeFile(join(data(), "apt", ".hidden"), "the secret");
    await symlink(join(root, "secret"), join(data(), "apt", "link"));
    await look();
    const answer = await get(url);
    expect(answer.statusCode).toBe(404);
    expect(answer.body).not.toContain("the secret");
  });

  it("of the apt repository is served from its folder", async () => {
    await mkdir(join(data(), "apt", "dists", "stable"), { recursive: true });
    await writeFile(join(data(), "apt", "dists", "stable", "InRelease"), "signed");
    const answer = await get("/apt/dists/stable/InRelease");
    expect(answer.statusCode).toBe(200);
    expect(answer.body).toBe("signed");
  });

  it("that was replaced since it was looked at is not sent under the old digest", async () => {
    await shelf.current();
    const path = join(data(), "install.sh");
    await writeFile(path, "#!/bin/oh\n");
    await utimes(path, 1, 1);
    const answer = await get("/install/install.sh");
    expect(answer.statusCode).toBe(503);
    expect(answer.json()).toMatchObject({ code: "request.file_changed" });
    await look();
    expect((await get("/install/install.sh")).json()).toMatchObject({ code: "artefacts.broken" });
  });
});

describe("a host's version", () => {
  it.each([
    ["0.1.0", "0.2.0", "behind"],
    ["0.2.0", "0.2.0", "current"],
    ["0.3.0", "0.2.0", "ahead"],
    ["0.2.0-rc.1", "0.2.0", "behind"],
    ["built by me", "0.2.0", "unknown"],
    [null, "0.2.0", "unknown"],
    ["0.1.0", undefined, "unknown"],
  ] as const)("%s beside %s is %s", (version, served, drift) => {
    expect(driftOf(version, served)).toBe(drift);
  });

  it("is compared with what is served for its system, by Node's names too", async () => {
    await writeRelease(data(), releaseContent("0.2.0"));
    const release = await shelf.current();
    const of = (os: string, arch: string) => servedVersion(release, "restic-manager-agent", { os, arch });
    expect([
      of("linux", "x64"),
      of("win32", "x64"),
      of("windows", "x64"),
      of("win32", "arm64"),
      of("linux", "mips"),
    ]).toEqual([...["0.2.0", "0.2.0", "0.2.0"], ...[undefined, undefined]]);
  });
});
