import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { AppError, invalidFields } from "../errors.ts";
import { safePath, tryForm } from "./forms.ts";

describe("a way back", () => {
  it.each(["/", "/hosts/1", "/hosts?tag=a&b=%2F#top", "/login?next=/x"])("to %s is kept", (path) => {
    expect(safePath(path)).toBe(path);
  });

  it.each([
    undefined,
    "",
    "hosts",
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "/\n//evil.example",
    "/.//evil.example",
    "/a/..//evil.example",
    "https://evil.example",
    "http:evil.example",
    "javascript:alert(1)",
    "//user@evil.example/",
    " //evil.example",
  ])("to %j becomes the start page", (path) => {
    expect(safePath(path)).toBe("/");
  });

  it("stays on this site for any text, as a browser reads it", () => {
    const pieces = fc.constantFrom(
      "/",
      "\\",
      ".",
      "..",
      "\t",
      "\n",
      "\r",
      "evil.example",
      ":",
      "@",
      "?",
      "#",
      "%2f",
      "a",
    );
    const hostile = fc.oneof(
      fc.string(),
      fc.array(pieces, { maxLength: 8 }).map((parts) => parts.join("")),
    );
    fc.assert(
      fc.property(hostile, (text) => {
        const path = safePath(text);
        expect(path).toMatch(/^\//);
        expect(new URL(path, "https://rm.example").origin).toBe("https://rm.example");
        expect(safePath(path)).toBe(path);
      }),
    );
  });
});

describe("a form's operation", () => {
  it("gives its value when it is done", async () => {
    expect(await tryForm(Promise.resolve(3))).toEqual({ done: true, value: 3 });
  });

  it("gives a refusal by field", async () => {
    const error = invalidFields("things.name_rule", [{ path: "name", message: "Too short." }]);
    const refusal = { status: 422, code: "things.name_rule", errors: { name: "Too short." } };
    expect(await tryForm(Promise.reject(error))).toEqual({ done: false, refusal });
  });

  it("gives a refusal about the whole form, 429 when it was tried too often", async () => {
    const error = new AppError("rate_limited", "auth.rate_limited", "Wait.", {
      details: { retry_after_seconds: 9 },
    });
    const refusal = { status: 429, code: "auth.rate_limited", errors: {}, message: "Wait." };
    expect(await tryForm(Promise.reject(error))).toEqual({ done: false, refusal });
  });

  it.each([new Error("mistake"), new AppError("internal", "secrets.unreadable", "No.")])(
    "throws on what the person can't correct: %s",
    async (error) => {
      await expect(tryForm(Promise.reject(error))).rejects.toBe(error);
    },
  );
});
