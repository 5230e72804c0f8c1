/** Every strange answer and every error of the network becomes a sentence; none repeats what it was given. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { AgentError } from "../platform/errors.ts";
import { explainAnswer, explainClockSkew, explainError, explainUpgrade } from "./explain.ts";
import { chooseProxy } from "./proxy-choice.ts";

const way = (target: string, env: Record<string, string> = {}) => ({
  target: new URL(target),
  proxy: chooseProxy(env, new URL(target)),
});
const HTTPS = "https://backup.example.org/api/agents/enroll";
const HTTP = "http://backup.example.org/api/agents/enroll";
const answer = (status: number, body = "", location: string | null = null) => ({
  ...{ status, body, location },
  contentType: body.startsWith("<") ? "text/html" : null,
});

describe("an answer", () => {
  test.each([
    [HTTP, answer(400, "The plain HTTP request was sent to HTTPS port"), "connect.tls_there"],
    [HTTP, answer(400, "Client sent an HTTP request to an HTTPS server.\n"), "connect.tls_there"],
    [HTTP, answer(301, "", HTTPS), "connect.redirected"],
    [HTTPS, answer(308, "", "https://www.example.org/"), "connect.redirected"],
    [HTTPS, answer(302, "", "/login?next=x"), "connect.redirected"],
    [HTTPS, answer(302), "connect.redirected"],
    [HTTPS, answer(302, "", "mailto:me"), "connect.redirected"],
    [HTTPS, answer(404, "<html>"), "connect.wrong_path"],
    [HTTPS, answer(405), "connect.wrong_path"],
    [HTTPS, answer(502, "<html>"), "connect.server_down"],
    [HTTPS, answer(504), "connect.server_down"],
    [HTTPS, answer(407), "connect.proxy_login"],
    [HTTP, answer(200, "<!doctype html>"), "connect.captive_portal"],
    [HTTPS, answer(511), "connect.captive_portal"],
    [HTTPS, answer(200, "<html>login"), "connect.not_restic_manager"],
    [HTTPS, answer(418), "connect.not_restic_manager"],
  ])("to %s of %j is %s", (target, given, code) => {
    expect(explainAnswer(given, way(target))).toMatchObject({ code });
  });

  test("that redirects names the address to give, without a query", () => {
    const moved = explainAnswer(answer(302, "", "https://sso.example.org/auth?token=s3cret"), way(HTTPS));
    expect(moved.message).toContain("https://sso.example.org");
    expect(moved.message).not.toContain("s3cret");
    const upgraded = explainAnswer(answer(301, "", HTTPS), way(HTTP));
    expect(upgraded.message).toContain("give https://backup.example.org as its address");
  });
});

describe("an answer instead of a WebSocket", () => {
  const SOCKET = "wss://backup.example.org/ws/agent";
  test.each([
    [200, "connect.upgrade_lost"],
    [400, "connect.upgrade_lost"],
    [403, "connect.upgrade_lost"],
    [426, "connect.upgrade_lost"],
    [404, "connect.wrong_path"],
    [502, "connect.server_down"],
    [301, "connect.redirected"],
  ])("%i is %s", (status, code) => {
    expect(explainUpgrade(answer(status, "", "https://other.example.org/"), way(SOCKET))).toMatchObject({
      code,
    });
  });

  test("names the proxy of this machine that may be the cause", () => {
    const env = { HTTPS_PROXY: "http://me:s3cret@proxy:3128" };
    const { message } = explainUpgrade(answer(400), way(SOCKET, env));
    expect(message).toContain("http://proxy:3128");
    expect(message).not.toContain("s3cret");
  });
});

describe("an error", () => {
  const coded = (code: string) => Object.assign(new Error(`failed: ${code}`), { code });
  test.each([
    ["EHOSTUNREACH", "connect.no_route"],
    ["EAI_AGAIN", "connect.dns_failed"],
    ["ENOTFOUND", "connect.dns_unknown"],
    ["ECONNRESET", "connect.cut"],
    ["ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR", "connect.no_tls_there"],
    ["EWHATEVER", "connect.failed"],
  ])("%s is %s", (code, expected) => {
    expect(explainError(coded(code), way(HTTPS))).toMatchObject({ code: expected });
  });

  test("is found inside what fetch and several addresses wrap it in", () => {
    const wrapped = new TypeError("fetch failed", { cause: new AggregateError([coded("ECONNREFUSED")]) });
    expect(explainError(wrapped, way(HTTPS))).toMatchObject({ code: "connect.refused" });
  });

  test("of any shape is a sentence", () => {
    fc.assert(
      fc.property(fc.anything(), fc.webUrl(), (thrown, url) => {
        const explained = explainError(thrown, way(url));
        expect(explained).toBeInstanceOf(AgentError);
        expect(explained.code).toMatch(/^connect\.\w+$/);
      }),
    );
  });

  test("or answer of any shape never throws", () => {
    const anyText = fc.oneof(fc.string(), fc.constant(null));
    fc.assert(
      fc.property(fc.integer(), anyText, anyText, fc.string(), (status, location, contentType, body) => {
        const given = { status, location, contentType, body };
        expect(explainAnswer(given, way(HTTPS)).message).not.toBe("");
        expect(explainUpgrade(given, way(HTTPS)).message).not.toBe("");
      }),
    );
  });
});

describe("a clock", () => {
  const now = Date.parse("2026-01-02T00:00:00Z");
  test.each([
    ["Fri, 02 Jan 2026 00:04:00 GMT", undefined],
    ["Fri, 02 Jan 2026 01:00:00 GMT", "1 hour behind"],
    ["Thu, 01 Jan 2026 00:00:00 GMT", "1 day ahead of"],
    ["Thu, 01 Jan 2026 00:00:20 GMT", "1 day ahead of"],
    ["Fri, 02 Jan 2026 00:59:40 GMT", "1 hour behind"],
    ["Fri, 02 Jan 2026 23:00:00 GMT", "23 hours behind"],
    ["Thu, 01 Jan 2026 23:50:00 GMT", "10 minutes ahead of"],
    ["nonsense", undefined],
    [null, undefined],
  ])("against %s", (date, expected) => {
    const sentence = explainClockSkew(date, now);
    if (expected === undefined) expect(sentence).toBeUndefined();
    else expect(sentence).toContain(`clock is ${expected} the server's`);
  });
});
