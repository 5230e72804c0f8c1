/** Comments of schemas reach the reference; those of something else do not. */
import { expect, test } from "vitest";
import { table } from "./markdown.ts";
import { listCommented, readSyntax } from "./syntax.ts";

test("a constant has its doc comment as one line, and those of its object's properties", () => {
  const text = `
/**
 * What it is,
 * in two lines.
 */
export const thing = z.object({
  /** The first. */
  a: z.string(),
  // No doc comment.
  b: z.string(),
  c: z.string(),
});`;
  const found = listCommented(readSyntax("a.ts", text)).get("thing");
  expect(found?.comment).toBe("What it is, in two lines.");
  expect([...(found?.fields ?? [])]).toEqual([
    ["a", "The first."],
    ["b", ""],
    ["c", ""],
  ]);
});

test("a comment that belongs to something above is not taken", () => {
  const text = "/** Of another. */\nexport const first = 1;\nexport const second = z.object({});";
  expect(listCommented(readSyntax("a.ts", text)).get("second")?.comment).toBe("");
});

test("a cell keeps what is put into it", () => {
  expect(table(["a"], [["x | y\n  z"]])).toBe("| a |\n|---|\n| x \\| y z |");
});
