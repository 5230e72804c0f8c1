import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { removeTree } from "../platform/files.ts";
import { buildResticEnv, prepareCacheDir, repositorySecrets } from "./env.ts";

const repository = { url: "rest:https://host/repo", password: "repo-pass" };

const build = (inherited: Record<string, string>, platform: NodeJS.Platform = "linux") =>
  buildResticEnv({ repository, cacheDir: "/var/cache/agent", inherited, platform });

describe("buildResticEnv", () => {
  it("holds what restic needs and nothing else", () => {
    expect(build({})).toEqual({
      RESTIC_REPOSITORY: "rest:https://host/repo",
      RESTIC_PASSWORD: "repo-pass",
      RESTIC_CACHE_DIR: "/var/cache/agent",
      RESTIC_PROGRESS_FPS: "1",
      HOME: "/",
      PATH: expect.stringContaining("/usr/bin"),
      LANG: "C.UTF-8",
      TZ: "UTC",
      GOTRACEBACK: "single",
    });
  });

  it.each([
    ...["RESTIC_HOST", "RESTIC_PASSWORD_FILE", "RESTIC_PASSWORD_COMMAND", "RESTIC_REPOSITORY_FILE"],
    ...[
      "RESTIC_COMPRESSION",
      "RM_TOKEN",
      "NODE_OPTIONS",
      "AWS_SECRET_ACCESS_KEY",
      "LD_PRELOAD",
      "SystemRoot",
    ],
  ])("does not pass %s on", (name) => {
    expect(build({ [name]: "x" })).not.toHaveProperty(name);
  });

  it("cannot be overruled by what is inherited", () => {
    const env = build({ RESTIC_PASSWORD: "other", TZ: "Asia/Tokyo", GOTRACEBACK: "crash", LANG: "de_DE" });
    expect(env).toMatchObject({
      RESTIC_PASSWORD: "repo-pass",
      TZ: "UTC",
      GOTRACEBACK: "single",
      LANG: "C.UTF-8",
    });
  });

  it("passes proxies and the user's directories on", () => {
    const inherited = {
      HTTPS_PROXY: "http://proxy:3128",
      no_proxy: "localhost",
      HOME: "/root",
      TMPDIR: "/var/tmp",
    };
    expect(build(inherited)).toMatchObject(inherited);
  });

  it("passes SystemRoot on where programs need it", () => {
    expect(build({ SystemRoot: "C:\\Windows" }, "win32")).toMatchObject({ SystemRoot: "C:\\Windows" });
  });

  it("gives the credentials of a rest server raw", () => {
    const env = buildResticEnv({
      repository: { ...repository, restUsername: "al:ice", restPassword: "p@ss/w%rd" },
      ...{ cacheDir: "/c", inherited: {}, platform: "linux" },
    });
    expect(env).toMatchObject({ RESTIC_REST_USERNAME: "al:ice", RESTIC_REST_PASSWORD: "p@ss/w%rd" });
  });
});

describe("the variables of a backend", () => {
  it("go along, and never in place of restic's own", () => {
    const environment = { AWS_ACCESS_KEY_ID: "id", RESTIC_PASSWORD: "another", RESTIC_REPOSITORY: "another" };
    const env = buildResticEnv({
      repository: { ...repository, environment },
      ...{ cacheDir: "/c", inherited: {}, platform: "linux" },
    });
    expect(env).toMatchObject({
      ...{ AWS_ACCESS_KEY_ID: "id", RESTIC_PASSWORD: "repo-pass" },
      RESTIC_REPOSITORY: "rest:https://host/repo",
    });
  });
});

describe("repositorySecrets", () => {
  it("knows a password inside the URL, encoded and decoded", () => {
    const url = "rest:https://alice:p%40ss@host/x";
    expect(repositorySecrets({ url, password: "one", restPassword: "two" })).toEqual([
      "one",
      "two",
      "p%40ss",
      "p@ss",
    ]);
  });

  it("survives a URL that is wrongly encoded", () => {
    expect(repositorySecrets({ url: "rest:http://a:100%@h/", password: "one" })).toEqual(["one", "100%"]);
  });
});

describe("prepareCacheDir", () => {
  it("creates the directory, or says why it cannot be used", async () => {
    const dir = await mkdtemp(join(tmpdir(), "agent-cache-"));
    try {
      expect(await prepareCacheDir(join(dir, "a", "b"))).toEqual({ kind: "ok" });
      await writeFile(join(dir, "file"), "");
      expect(await prepareCacheDir(join(dir, "file", "cache"))).toMatchObject({
        ...{ kind: "unusable", code: "restic.cache_unusable" },
        message: expect.stringContaining("cache directory"),
      });
    } finally {
      await removeTree(dir);
    }
  });
});
