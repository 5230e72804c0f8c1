/** Where the login is, who may read it, and which server gets the token. */
import { chmodSync, existsSync, mkdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { CliWorld } from "@restic-manager/testkit";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { findLogin, forgetLogin, isReadableOnTheWay, loginFile, saveLogin, serverUrl } from "./login.ts";

const login = { url: "https://backup.example.com", token: "rmt_secret" };

let world: CliWorld;
beforeEach(() => {
  world = new CliWorld();
});
afterEach(() => world.remove());

describe("a server's address", () => {
  it.each([
    ["backup.example.com", "https://backup.example.com"],
    ["http://127.0.0.1:8080/", "http://127.0.0.1:8080"],
    ["https://Backup.Example.com:443", "https://backup.example.com"],
  ])("%s is %s", (typed, url) => expect(serverUrl(typed)).toBe(url));

  it.each([
    "",
    "ftp://x",
    "https://",
    "https://user:pw@x",
    "https://x/rm",
    "https://x/?a=1",
    "https://x/#a",
    "a b",
  ])("is not %j", (typed) =>
    expect(() => serverUrl(typed)).toThrow(expect.objectContaining({ outcome: "usage" })),
  );
});

it.each([
  ["http://backup.lan", true],
  ["http://localhost.evil.example:8080", true],
  ["http://127.evil.example", true],
  ["http://10.0.0.7:8080", true],
  ["http://localhost:8080", false],
  ["http://127.1.2.3", false],
  ["http://[::1]:8080", false],
  ["https://backup.lan", false],
])("what is sent to %s can be read on its way: %s", (url, readable) =>
  expect(isReadableOnTheWay(url)).toBe(readable),
);

describe("a login", () => {
  it("is kept under XDG_CONFIG_HOME, in a file and a folder for its owner alone", async () => {
    world.env = { XDG_CONFIG_HOME: join(world.home, "xdg") };
    const file = await saveLogin(world, login);
    expect(file).toBe(join(world.home, "xdg/restic-manager/rmctl.json"));
    expect([statSync(file).mode & 0o777, statSync(dirname(file)).mode & 0o777]).toEqual([0o600, 0o700]);
    expect(await findLogin(world)).toEqual(login);
    await saveLogin(world, { ...login, token: "rmt_next" });
    expect((await findLogin(world)).token).toBe("rmt_next");
    expect(existsSync(`${file}.new`)).toBe(false);
    expect([await forgetLogin(world), await forgetLogin(world)]).toEqual([true, false]);
  });

  it("is kept where Windows keeps such things", () => {
    expect(loginFile({ env: { APPDATA: "/roaming" }, home: "/h", platform: "win32" })).toBe(
      "/roaming/restic-manager/rmctl.json",
    );
    expect(loginFile({ env: {}, home: "/h", platform: "linux" })).toBe(
      "/h/.config/restic-manager/rmctl.json",
    );
  });

  it("is never written through a link that somebody laid", async () => {
    const file = loginFile(world);
    mkdirSync(dirname(file), { recursive: true });
    const elsewhere = join(world.home, "elsewhere");
    writeFileSync(elsewhere, "mine");
    symlinkSync(elsewhere, `${file}.new`);
    symlinkSync(elsewhere, file);
    await saveLogin(world, login);
    expect(statSync(elsewhere).size).toBe(4);
    expect(await findLogin(world)).toEqual(login);
  });

  it("that others can read, or that is damaged, is refused with a sentence", async () => {
    const file = await saveLogin(world, login);
    chmodSync(file, 0o640);
    await expect(findLogin(world)).rejects.toMatchObject({ code: "cli.login_exposed" });
    for (const text of ["", "{", "{}", '{"url":"ftp://x","token":"t"}', "x".repeat(100_000)]) {
      writeFileSync(file, text);
      chmodSync(file, 0o600);
      await expect(findLogin(world)).rejects.toMatchObject({ code: "cli.login_unreadable" });
    }
  });
});

describe("the environment", () => {
  it("stands in for a login", async () => {
    world.env = { RM_SERVER: "http://localhost:8080", RM_API_TOKEN: " rmt_env\n" };
    expect(await findLogin(world)).toEqual({ url: "http://localhost:8080", token: "rmt_env" });
  });

  it("never sends a stored token to another server", async () => {
    await saveLogin(world, login);
    world.env = { RM_SERVER: "https://evil.example" };
    await expect(findLogin(world)).rejects.toMatchObject({ code: "cli.not_logged_in" });
    world.env = { RM_SERVER: login.url };
    expect(await findLogin(world)).toEqual(login);
    world.env = { RM_API_TOKEN: "rmt_env" };
    expect(await findLogin(world)).toEqual({ ...login, token: "rmt_env" });
  });
});
