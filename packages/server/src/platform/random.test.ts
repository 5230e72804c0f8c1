import { describe, expect, it } from "vitest";
import { hashToken, newId, newPassword, newToken } from "./random.ts";

const many = <T>(make: () => T): T[] => Array.from({ length: 2_000 }, make);

describe("an id", () => {
  it("is a ULID: its first ten letters are the time, as in the specification's example", () => {
    // https://github.com/ulid/spec: 01ARYZ6S41… is 1469918176385.
    expect(newId(1469918176385)).toMatch(/^01ARYZ6S41[0-9A-HJKMNP-TV-Z]{16}$/);
    expect(newId(0).slice(0, 10)).toBe("0000000000");
    expect(newId(2 ** 48 - 1).slice(0, 10)).toBe("7ZZZZZZZZZ");
  });

  it("sorts by time and differs within one millisecond", () => {
    expect(newId(1_000) < newId(1_001)).toBe(true);
    expect(new Set(many(() => newId(1_000))).size).toBe(2_000);
  });
});

describe("a token", () => {
  it("has 256 bits that go unchanged through URLs, and differs each time", () => {
    const tokens = many(newToken);
    for (const token of tokens) expect(token).toMatch(/^[\w-]{43}$/);
    expect(new Set(tokens).size).toBe(2_000);
  });

  it("is stored as its SHA-256", () => {
    // The example of FIPS 180-2, appendix B.1.
    expect(hashToken("abc")).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  });
});

describe("a password", () => {
  it("has 24 letters that can't be mistaken for each other", () => {
    const passwords = many(newPassword);
    for (const password of passwords) expect(password).toMatch(/^[a-km-zA-HJ-NP-Z2-9]{24}$/);
    expect(new Set(passwords).size).toBe(2_000);
  });

  it("uses every letter of its alphabet", () => {
    expect(new Set(many(newPassword).join("")).size).toBe(57);
  });
});
