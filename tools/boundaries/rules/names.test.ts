/** Which names say nothing. */
import { describe, expect, it } from "vitest";
import { forbiddenWordIn } from "./names.ts";

describe("forbidden words", () => {
  it.each([
    ["fooHelper", "helper"],
    ["HTTPUtils", "utils"],
    ["job_manager", "manager"],
    ["base", "base"],
    ["processId", "process"],
    ["common-things", "common"],
    ["services", "services"],
  ])("finds the word in %s", (name, word) => {
    expect(forbiddenWordIn(name)).toBe(word);
  });

  it.each([
    "database",
    "baseUrl",
    "restic-manager",
    "handler",
    "processing",
    "RM_LISTEN",
    "toBase64",
    "commonly",
  ])("leaves %s alone", (name) => {
    expect(forbiddenWordIn(name)).toBeUndefined();
  });
});
