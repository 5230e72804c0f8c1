/** Which proxy is taken: as restic on the same machine does, and what is shown never has the login. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { AgentError } from "../platform/errors.ts";
import { chooseProxy } from "./proxy-choice.ts";

const shown = (env: Record<string, string>, target: string) => chooseProxy(env, new URL(target))?.shown;
const P = "http://proxy.example.org:3128";

describe("the proxy", () => {
  test.each([
    [{ HTTPS_PROXY: P }, "https://backup.example.org", P],
    [{ HTTPS_PROXY: P }, "wss://backup.example.org", P],
    [{ https_proxy: P, HTTPS_PROXY: "http://other:1" }, "https://backup.example.org", P],
    [{ HTTP_PROXY: P }, "http://backup.example.org", P],
    [{ HTTPS_PROXY: "proxy.example.org:3128" }, "https://backup.example.org", P],
    [{ HTTPS_PROXY: "https://secure:8443" }, "https://backup.example.org", "https://secure:8443"],
    [{ HTTP_PROXY: P }, "https://backup.example.org", undefined],
    [{ HTTPS_PROXY: P }, "http://backup.example.org", undefined],
    [{ HTTPS_PROXY: "" }, "https://backup.example.org", undefined],
    [{}, "https://backup.example.org", undefined],
  ])("of %j for %s is %s", (env, target, expected) => {
    expect(shown(env, target)).toBe(expected);
  });

  test.each(["https://localhost:8443", "https://127.0.0.1", "https://127.9.9.9", "https://[::1]:8443"])(
    "is never asked for this machine itself: %s",
    (target) => expect(shown({ HTTPS_PROXY: P }, target)).toBeUndefined(),
  );

  test("is shown without its user and password", () => {
    const choice = chooseProxy({ HTTPS_PROXY: "http://me:s3cret@proxy:3128" }, new URL("https://b.example"));
    expect(choice).toMatchObject({ shown: "http://proxy:3128", variable: "HTTPS_PROXY" });
    expect(choice?.url.password).toBe("s3cret");
  });
});

describe("NO_PROXY", () => {
  test.each([
    ["*", "https://backup.example.org"],
    ["backup.example.org", "https://backup.example.org"],
    ["BACKUP.example.org", "https://backup.example.org:8443"],
    ["example.org", "https://backup.example.org"],
    [".example.org", "https://backup.example.org"],
    ["*.example.org", "https://backup.example.org"],
    ["a, example.org ,b", "https://backup.example.org"],
    ["example.org:443", "https://backup.example.org"],
    ["10.0.0.0/8", "https://10.1.2.3"],
    ["10.1.2.3", "https://10.1.2.3"],
    ["10.1.2.3:8443", "https://10.1.2.3:8443"],
    ["fd00::/8", "https://[fd00::5]"],
    ["fd00::5", "https://[fd00::5]"],
    ["[fd00::5]:443", "https://[fd00::5]"],
  ])("%s leads around the proxy to %s", (noProxy, target) => {
    expect(shown({ HTTPS_PROXY: P, NO_PROXY: noProxy }, target)).toBeUndefined();
  });

  test.each([
    ["", "https://backup.example.org"],
    ["ample.org", "https://backup.example.org"],
    ["other.example.org", "https://backup.example.org"],
    ["example.org:8443", "https://backup.example.org"],
    ["10.0.0.0/8", "https://11.1.2.3"],
    ["10.0.0.0/99", "https://10.1.2.3"],
    ["fd00::/8", "https://10.1.2.3"],
    [",,", "https://backup.example.org"],
  ])("%s does not lead around it to %s", (noProxy, target) => {
    expect(shown({ HTTPS_PROXY: P, NO_PROXY: noProxy }, target)).toBe(P);
  });
});

describe("a proxy that can't be one", () => {
  test.each([
    "socks5://proxy:1080",
    "http://:3128",
    "http://a b",
    "http://me:%@proxy:3128",
    "http://me:%0d%0a@proxy",
  ])("%s is refused without repeating it", (value) => {
    const choose = () => chooseProxy({ HTTPS_PROXY: value }, new URL("https://backup.example.org"));
    expect(choose).toThrow(expect.objectContaining({ code: "connect.proxy_invalid" }));
    expect(choose).toThrow(expect.not.objectContaining({ message: expect.stringContaining(value) }));
  });

  test("and no text breaks the choice", () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (proxy, noProxy) => {
        try {
          chooseProxy({ HTTPS_PROXY: proxy, NO_PROXY: noProxy }, new URL("https://backup.example.org"));
        } catch (error) {
          expect(error).toBeInstanceOf(AgentError);
        }
      }),
    );
  });
});
