import { resolve } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseConfig, settings } from "./config.ts";
import { AppError } from "./platform/errors.ts";

describe("the configuration", () => {
  it("has a default for everything", () => {
    expect(parseConfig({})).toEqual({
      listenHost: "127.0.0.1",
      listenPort: 8080,
      dataDir: resolve("data"),
      databaseUrl: undefined,
      databasePool: 10,
      replicaUrl: undefined,
      baseUrl: undefined,
      trustedProxies: [],
      cookieSecure: true,
      secretKeyFile: resolve("data", "secret.key"),
      jobLogDays: 90,
      downloads: true,
      logLevel: "info",
    });
  });

  it("reads the environment", () => {
    const config = parseConfig({
      RM_LISTEN: "[::1]:9000",
      RM_DATA_DIR: "/var/lib/rm",
      RM_DATABASE_URL: "postgres://rm:hunter2@db/rm",
      RM_DATABASE_POOL: "25",
      RM_REPLICA_URL: "http://10.0.0.2:9000",
      RM_BASE_URL: "https://backup.example.org:8443",
      RM_TRUSTED_PROXY: " 10.0.0.0/8, fd00::/8 ,",
      RM_COOKIE_SECURE: "false",
      RM_SECRET_KEY_FILE: "/etc/rm/secret.key",
      RM_DOWNLOADS: "false",
      RM_LOG_LEVEL: "debug",
      PATH: "/usr/bin",
    });
    expect(config).toEqual({
      listenHost: "::1",
      listenPort: 9000,
      dataDir: "/var/lib/rm",
      databaseUrl: "postgres://rm:hunter2@db/rm",
      databasePool: 25,
      replicaUrl: "http://10.0.0.2:9000",
      baseUrl: "https://backup.example.org:8443",
      trustedProxies: ["10.0.0.0/8", "fd00::/8"],
      cookieSecure: false,
      jobLogDays: 90,
      secretKeyFile: "/etc/rm/secret.key",
      downloads: false,
      logLevel: "debug",
    });
  });

  it("keeps the key beside the data unless told otherwise", () => {
    expect(parseConfig({ RM_DATA_DIR: "/srv/rm" }).secretKeyFile).toBe("/srv/rm/secret.key");
  });

  it("reads a file, over which the environment wins", () => {
    const file = "listen: 0.0.0.0:9000\ncookie_secure: false\nlog_level: warn\n";
    const config = parseConfig({ RM_LOG_LEVEL: "debug" }, file);
    expect(config).toMatchObject({
      listenHost: "0.0.0.0",
      listenPort: 9000,
      cookieSecure: false,
      logLevel: "debug",
    });
  });

  it("is not changed by an empty file", () => {
    expect(parseConfig({}, "")).toEqual(parseConfig({}));
    expect(parseConfig({}, "# nothing yet\n")).toEqual(parseConfig({}));
  });

  it.each([
    { RM_LISTEN: "8080" },
    { RM_LISTEN: "localhost:" },
    { RM_LISTEN: "localhost:65536" },
    { RM_LISTEN: "::1:8080" },
    { RM_LISTEN: "" },
    { RM_DATABASE_URL: "mysql://db" },
    { RM_BASE_URL: "backup.example.org" },
    { RM_BASE_URL: "https://backup.example.org/path" },
    { RM_TRUSTED_PROXY: "everybody" },
    { RM_TRUSTED_PROXY: "10.0.0.0/33" },
    { RM_TRUSTED_PROXY: "10.0.0/8" },
    { RM_TRUSTED_PROXY: "127.0.0.1,fe" },
    { RM_TRUSTED_PROXY: "fd00::/129" },
    { RM_TRUSTED_PROXY: "10.0.0.0/8/8" },
    { RM_TRUSTED_PROXY: "10.0.0.1/" },
    { RM_COOKIE_SECURE: "yes" },
    { RM_LOG_LEVEL: "loud" },
    { RM_DATA_DIR: "" },
  ])("refuses %j in a sentence that names the setting", (environment) => {
    const [name] = Object.keys(environment);
    expect(() => parseConfig(environment)).toThrow(
      expect.objectContaining({ code: "config.invalid", message: expect.stringContaining(`${name} `) }),
    );
  });

  it("never repeats the value of a secret setting", () => {
    try {
      parseConfig({ RM_DATABASE_URL: "mysql://rm:hunter2@db" });
      expect.unreachable();
    } catch (error) {
      expect(String(error)).toContain("RM_DATABASE_URL must begin with postgres://");
      expect(String(error)).not.toContain("hunter2");
    }
  });

  it.each([
    { name: "an unknown setting", file: "lisen: 1", code: "config.unknown" },
    { name: "a list", file: "- listen", code: "config.invalid" },
    { name: "a nested value", file: "listen: {port: 1}", code: "config.invalid" },
    { name: "no YAML", file: "listen: [", code: "config.invalid" },
  ])("refuses a file with $name", ({ file, code }) => {
    expect(() => parseConfig({}, file)).toThrow(expect.objectContaining({ code }));
  });

  it("says in which line a file is broken, and quotes nothing of it", () => {
    const file = "listen: 127.0.0.1:1\ndatabase_url: [postgres://rm:hunter2@db";
    expect(() => parseConfig({}, file)).toThrow(
      expect.objectContaining({
        message: "The configuration file is not YAML: look for the mistake in line 2.",
      }),
    );
  });

  it("is read or refused with a code, whatever the file holds", () => {
    const pieces = fc.constantFrom(
      "[",
      "]",
      "{",
      "}",
      ":",
      " ",
      "\n",
      "- ",
      "&a",
      "*a",
      "!!set",
      "|",
      "'",
      "listen",
      "%",
      "<<",
    );
    const yamlish = fc.array(pieces, { maxLength: 8 }).map((parts) => parts.join(""));
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: "binary" }), yamlish), (file) => {
        try {
          parseConfig({}, file);
        } catch (error) {
          expect(error).toBeInstanceOf(AppError);
        }
      }),
    );
  });
});

describe("the list of settings", () => {
  it("names each once, with a sentence and no schema", () => {
    expect(new Set(settings.map((setting) => setting.name)).size).toBe(settings.length);
    for (const setting of settings) {
      expect(setting.name).toMatch(/^RM_[A-Z_]+$/);
      expect(setting.sentence).toMatch(/^[A-Z].*\.$/);
      expect(Object.keys(setting).sort()).toEqual(["default", "name", "secret", "sentence", "type"]);
    }
  });

  it("has defaults that pass their own schemas", () => {
    const defaults = Object.fromEntries(settings.map((setting) => [setting.name, setting.default]));
    expect(parseConfig(defaults)).toEqual(parseConfig({}));
  });
});
