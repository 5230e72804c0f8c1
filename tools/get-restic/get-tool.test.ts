/** The order of places, with small scripts in the place of restic. Nothing here uses the network. */
import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { findInstalled } from "./get-tool.ts";
import { keepInCache } from "./installed.ts";
import { checkSum, fetchRelease } from "./release.ts";
import { onlyVersion, tools } from "./tools.ts";

const restic = tools.restic;
let root: string;
let said: string[];

function program(path: string, body: string): string {
  const file = join(root, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `#!/bin/sh\n${body}\n`);
  chmodSync(file, 0o755);
  return file;
}

const printing = (version: string) => `echo "restic ${version} compiled with go1.24 on linux/amd64"`;

function find(environment: Record<string, string>) {
  const say = (line: string) => void said.push(line);
  return findInstalled(restic, { environment, cacheFolder: join(root, "cache"), say });
}

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "rm-get-restic-"));
  said = [];
});

afterEach(() => rmSync(root, { recursive: true }));

describe("looking on this machine", () => {
  it("takes what RM_RESTIC names before anything else", () => {
    const named = program("named", printing("0.18.1"));
    program("bin/restic", printing("0.18.0"));

    expect(find({ RM_RESTIC: named, PATH: join(root, "bin") })).toEqual({ path: named, version: "0.18.1" });
    expect(said).toEqual(["restic: 0.18.1 from RM_RESTIC"]);
  });

  it("refuses a named program that is too old or absent instead of looking elsewhere", () => {
    const old = program("old", printing("0.16.4"));
    program("bin/restic", printing("0.18.0"));
    const path = join(root, "bin");

    expect(() => find({ RM_RESTIC: old, PATH: path })).toThrow("is 0.16.4, at least 0.18.0 is needed");
    expect(() => find({ RM_RESTIC: join(root, "absent"), PATH: path })).toThrow("cannot be run");
  });

  it("passes over an old program on PATH and says so", () => {
    const old = program("a/restic", printing("0.14.0"));
    const good = program("b/restic", printing("0.18.0"));

    expect(find({ PATH: `${dirname(old)}:${dirname(good)}` })?.path).toBe(good);
    expect(said).toEqual([`restic: ${old} is 0.14.0, at least 0.18.0 is needed`, "restic: 0.18.0 from PATH"]);
  });

  it("takes the newest program of the cache that runs", () => {
    program("cache/restic-0.9.9", printing("0.9.9"));
    const good = program("cache/restic-0.18.1", printing("0.18.1"));
    program("cache/restic-0.18.2", "exit 127");
    program("cache/restic-0.19.1.4711", printing("0.19.1"));
    program("cache/rest-server-0.14.0", printing("0.14.0"));

    expect(find({ PATH: "" })?.path).toBe(good);
    expect(said[0]).toContain("restic-0.18.2 prints no version (exit 127)");
  });

  it("takes only the version that is wanted, newer or older", () => {
    program("cache/restic-0.14.0", printing("0.14.0"));
    program("cache/restic-0.19.1", printing("0.19.1"));
    const places = { environment: {}, cacheFolder: join(root, "cache"), say: () => undefined };

    expect(findInstalled(onlyVersion(restic, "0.14.0"), places)?.version).toBe("0.14.0");
    expect(findInstalled(onlyVersion(restic, "0.18.0"), places)).toBeUndefined();
  });

  it("finds nothing on an empty machine", () => {
    expect(find({})).toBeUndefined();
    expect(said).toEqual([]);
  });
});

describe("keeping what was fetched", () => {
  it("names the file by the version that it prints", () => {
    const file = program("unpacked", printing("0.19.1"));
    const cacheFolder = join(root, "cache");

    expect(keepInCache(restic, file, cacheFolder)).toEqual({
      path: join(cacheFolder, "restic-0.19.1"),
      version: "0.19.1",
    });
    expect(readdirSync(cacheFolder)).toEqual(["restic-0.19.1"]);
  });

  it("keeps nothing that does not run or is too old", () => {
    expect(keepInCache(restic, program("a", printing("0.16.4")), join(root, "cache"))).toHaveProperty(
      "reason",
    );
    expect(readdirSync(root)).toEqual(["a"]);
  });

  it("keeps no other version than the one that is wanted, and asks no release for it", async () => {
    const wanted = onlyVersion(restic, "0.18.0");
    const file = program("unpacked", printing("0.19.1"));

    expect(keepInCache(wanted, file, join(root, "cache"))).toHaveProperty(
      "reason",
      "is 0.19.1, 0.18.0 is wanted",
    );
    await expect(fetchRelease(wanted, join(root, "cache"))).rejects.toThrow("of 0.18.0 no release is pinned");
  });

  it("refuses bytes with another sum than the pinned one", () => {
    const bytes = Buffer.from("restic");
    const sum = createHash("sha256").update(bytes).digest("hex");

    expect(() => checkSum(bytes, sum)).not.toThrow();
    expect(() => checkSum(Buffer.from("restik"), sum)).toThrow(/SHA-256/);
  });
});

describe("the pinned releases", () => {
  it("have a sum each, match the version they claim, and are new enough", () => {
    for (const tool of Object.values(tools)) {
      for (const release of Object.values(tool.releases)) {
        expect(release.sha256).toMatch(/^[0-9a-f]{64}$/);
        expect(release.url).toMatch(
          new RegExp(`/v${tool.releaseVersion}/${tool.name}_${tool.releaseVersion}_(linux|windows)_`),
        );
      }
    }
    expect(restic.releases).toHaveProperty("linux-x64");
  });
});
