/** Names of saved files: whatever a file is called, the header stays one header and names one file. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { attachment } from "./attachment.ts";

it.each([
  ["report.pdf", 'attachment; filename="report.pdf"'],
  ["two words.txt", 'attachment; filename="two words.txt"'],
  ["größe.txt", "attachment; filename=\"gr__e.txt\"; filename*=UTF-8''gr%C3%B6%C3%9Fe.txt"],
  ["🎉.png", "attachment; filename=\"__.png\"; filename*=UTF-8''%F0%9F%8E%89.png"],
  ["100%.txt", "attachment; filename=\"100%.txt\"; filename*=UTF-8''100%25.txt"],
  ['a"b\r\nSet-Cookie: x=1', 'attachment; filename="a_b__Set-Cookie_ x=1"'],
  ["it's (1).txt", 'attachment; filename="it\'s (1).txt"'],
  ["..", 'attachment; filename="_"'],
  ["../../etc/passwd", 'attachment; filename=".._.._etc_passwd"'],
  ["", 'attachment; filename="download"'],
])("saves %j under a safe name", (name, header) => {
  expect(attachment(name)).toBe(header);
});

it("keeps the ending of a name that is too long", () => {
  const header = attachment(`${"x".repeat(300)}.tar.gz`);
  expect(header).toMatch(/x\.tar\.gz"$/);
  expect(header.length).toBeLessThan(220);
});

it("is one line of visible ASCII with one pair of quotes, whatever the name", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 400 }), (name) => {
      const header = attachment(name);
      expect(header).toMatch(/^attachment; filename="[^"\\/]+"(; filename\*=UTF-8''[\w.~%$&+^`|#-]+)?$/);
      expect(header).toMatch(/^[\x20-\x7e]*$/);
    }),
  );
});
