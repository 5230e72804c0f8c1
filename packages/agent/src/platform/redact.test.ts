import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createRedactor, redact } from "./redact.ts";

describe("redact", () => {
  it.each([
    ["raw", 'pa"ss/w<rd', 'password is pa"ss/w<rd!', "password is ***!"],
    ["percent-encoded", "p@ss w:rd", "https://host/p%40ss%20w%3Ard/", "https://host/***/"],
    ["percent-encoded in lower case", "p/ss?", "p%2fss%3f", "***"],
    ["inside JSON", 'a"b\\c', JSON.stringify({ text: 'a"b\\c' }), '{"text":"***"}'],
    ["inside Go's JSON", "a<b>c", '{"text":"a\\u003cb\\u003ec"}', '{"text":"***"}'],
  ])("masks a secret that stands %s", (_, secret, text, masked) => {
    expect(redact(text, [secret])).toBe(masked);
  });

  it.each([
    ["rest:https://user:hunter2@host:8000/repo", "rest:https://user:***@host:8000/repo"],
    ["rest:http://user:a@b:c@host/x and //u:p@h", "rest:http://user:***@host/x and //u:***@h"],
    ['Head "http://:pw@127.0.0.1:1/x": refused', 'Head "http://:***@127.0.0.1:1/x": refused'],
    ["http://host:8080/mail@example", "http://host:8080/mail@example"],
  ])("masks the password in %s without knowing it", (text, masked) => {
    expect(redact(text, [])).toBe(masked);
  });

  it("masks the longer secret first, so that no rest of it stays", () => {
    expect(redact("secret-and-more", ["secret", "secret-and-more"])).toBe("***");
  });

  it("does not mask what is too short to be searched for", () => {
    expect(redact("a cat sat", ["a", ""])).toBe("a cat sat");
  });

  it("masks a secret of any letters wherever it stands in any digits", () => {
    const word = (unit: string) =>
      fc.array(fc.constantFrom(...unit), { maxLength: 12 }).map((chars) => chars.join(""));
    const secret = word('abé"\\%<&/ 😀').filter((text) => text.length >= 4);
    fc.assert(
      fc.property(word("0123"), secret, word("4567"), (before, hidden, after) => {
        expect(createRedactor([hidden])(before + hidden + after)).toBe(`${before}***${after}`);
      }),
    );
  });

  it("takes linear time on text made to hurt", () => {
    const hostile = "//a:".repeat(50_000);
    expect(redact(hostile, ["never-there"])).toBe(hostile);
  });
});
