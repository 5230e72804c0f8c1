/** How two snapshots differ in restic's words, read without ever throwing. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseChange } from "./diff-output.ts";

describe("a line of a comparison", () => {
  test.each(["+", "-", "M", "T", "U", "TU", "?"])("may be %s", (modifier) => {
    const line = JSON.stringify({ message_type: "change", path: "/a\nb", modifier });
    expect(parseChange(line)).toEqual({ path: "/a\nb", modifier });
  });

  test.each([
    '{"message_type":"statistics","changed_files":1}',
    '{"message_type":"change","path":"/a","modifier":"<script>"}',
    '{"message_type":"change","path":"","modifier":"+"}',
  ])("%s is no change", (line) => expect(parseChange(line)).toBeUndefined());
});

test("no line, whatever it holds, makes reading throw", () => {
  const value = fc.oneof(fc.string(), fc.integer(), fc.constant(null), fc.object());
  const record = fc.record({ message_type: fc.constantFrom("change", "x"), path: value, modifier: value });
  const line = fc.oneof(
    fc.string(),
    record.map((one) => JSON.stringify(one)),
  );
  fc.assert(fc.property(line, (text) => parseChange(text) === undefined || true));
});
