import { describe, expect, it } from "vitest";
import { type Cell, type Column, TableDigest, toCell } from "./row-digest.ts";

const columns: Column[] = [
  { name: "count", type: "int8" },
  { name: "share", type: "float4" },
  { name: "name", type: "text" },
  { name: "body", type: "bytea" },
];
const digestOf = (...rows: Cell[][]): string => {
  const digest = new TableDigest(columns);
  for (const row of rows) digest.add(row);
  return digest.value;
};
const one: Cell[] = ["1", "33.3", "a", Uint8Array.of(1, 2)];
const two: Cell[] = ["2", null, "b", null];

describe("the digest of a table", () => {
  it("is the same in whatever order the rows come", () => {
    expect(digestOf(one, two)).toBe(digestOf(two, one));
    expect(digestOf(one, two)).toMatch(/^[0-9a-f]{64}$/);
  });

  it.each<[string, Cell[][]]>([
    ["a row is missing", [one]],
    ["a row is there twice", [one, two, two]],
    ["a pair of rows is there twice", [one, two, one, two]],
    ["a number is another", [["3", "33.3", "a", Uint8Array.of(1, 2)], two]],
    ["an empty text took the place of nothing", [one, ["2", null, "b", new Uint8Array()]]],
    [
      "values of two rows changed places",
      [
        ["1", "33.3", "b", Uint8Array.of(1, 2)],
        ["2", null, "a", null],
      ],
    ],
    ["a byte is another", [["1", "33.3", "a", Uint8Array.of(1, 3)], two]],
  ])("is another when %s", (_what, rows) => {
    expect(digestOf(...rows)).not.toBe(digestOf(one, two));
  });

  it("takes a number as its column holds it, however an engine writes it", () => {
    const written = ["33.3", "33.300000", "3.33e1", String(Math.fround(33.3))];
    expect(new Set(written.map((share) => digestOf(["1", share, "a", null]))).size).toBe(1);
    expect(digestOf(["9007199254740993", null, "a", null])).not.toBe(
      digestOf(["9007199254740992", null, "a", null]),
    );
  });

  it("tells a number, a text and bytes apart that look alike", () => {
    const text = new TableDigest([{ name: "x", type: "text" }]);
    text.add(["1"]);
    const number = new TableDigest([{ name: "x", type: "int8" }]);
    number.add(["1"]);
    const bytes = new TableDigest([{ name: "x", type: "bytea" }]);
    bytes.add([Buffer.from("1")]);
    expect(new Set([text.value, number.value, bytes.value]).size).toBe(3);
  });
});

describe("a value of SQLite", () => {
  const column = (type: string): Column => ({ name: "x", type });
  it("loses no digit on its way", () => {
    expect(toCell(column("int8"), 9007199254740993n)).toBe("9007199254740993");
    expect(toCell(column("float4"), 33.3)).toBe("33.3");
    expect(toCell(column("text"), null)).toBeNull();
  });

  it.each([
    ["int8", "a text"],
    ["text", 1n],
    ["text", Uint8Array.of(1)],
    ["bytea", "a text"],
    ["jsonb", "{}"],
  ])("is refused where a column of %s has no room for it", (type, value) => {
    expect(() => toCell(column(type), value)).toThrow(
      expect.objectContaining({ code: "database.unmovable", message: expect.stringContaining(type) }),
    );
  });
});
