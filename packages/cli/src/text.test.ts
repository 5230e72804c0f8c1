/** Text for eyes: nothing in it can make a terminal obey, whatever it was. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { facts, table } from "./table.ts";
import { bytes, cut, duration, jsonLine, relative, utc, visible, widthOf } from "./text.ts";

/** Every character that a terminal, or the eye, would follow. */
const obeyed = /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u;

describe("text that came from elsewhere", () => {
  it.each([
    ["\x1b[2Jgone", "\\x1b[2Jgone"],
    ["a\nb\r\tc", "a\\nb\\r\\tc"],
    ["\x9b31mred", "\\x9b31mred"],
    ["txt.\u202egpj", "txt.\\u202egpj"],
    ["žluťoučký 漢字 🎉", "žluťoučký 漢字 🎉"],
  ])("%j is shown as %j", (text, shown) => expect(visible(text)).toBe(shown));

  it("is in one line without a control, whatever it is, as text and in JSON", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        expect(visible(text)).not.toMatch(obeyed);
        const line = jsonLine({ text });
        expect(line.slice(0, -1)).not.toMatch(obeyed);
        expect(JSON.parse(line)).toEqual({ text });
      }),
    );
  });

  it("is cut to its columns, wide characters counted twice", () => {
    expect([widthOf("abc"), widthOf("漢字"), widthOf("e\u0301"), widthOf("🎉")]).toEqual([3, 4, 1, 2]);
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), fc.integer({ min: 1, max: 40 }), (text, columns) => {
        expect(widthOf(cut(text, columns))).toBeLessThanOrEqual(columns);
      }),
    );
  });
});

describe("a table", () => {
  const columns = [
    { title: "NAME", yields: true as const },
    { title: "SIZE", right: true as const },
  ];

  it("is aligned, figures to the right, without spaces at the end", () => {
    expect(
      table(
        columns,
        [
          ["a", "1 B"],
          ["long-name", "10 B"],
        ],
        null,
      ),
    ).toBe("NAME       SIZE\na           1 B\nlong-name  10 B\n");
  });

  it("gives way where it may when the terminal is narrow, and is whole in a pipe", () => {
    const rows = [["x".repeat(100), "1 B"]];
    expect(table(columns, rows, 20).split("\n")).toEqual([
      "NAME            SIZE",
      `${"x".repeat(13)}…   1 B`,
      "",
    ]);
    expect(table(columns, rows, null)).toContain("x".repeat(100));
    expect(table(columns, rows, 3)).toContain(`${"x".repeat(7)}…`);
  });

  it("shows a name with a line feed in one row", () => {
    expect(table(columns, [["a\nb", "1 B"]], null).split("\n")).toHaveLength(3);
    expect(
      facts([
        ["Name", "a\x1b[1m"],
        ["Gone", undefined],
      ]),
    ).toBe("Name  a\\x1b[1m\n");
  });
});

describe("figures", () => {
  it.each([
    [0, "0 B"],
    [1023, "1023 B"],
    [1024, "1.0 KiB"],
    [1_048_525, "1.0 MiB"],
    [5 * 1024 ** 4, "5.0 TiB"],
    [null, "-"],
  ])("%j bytes are %s", (size, shown) => expect(bytes(size)).toBe(shown));

  it.each([
    [0, "0s"],
    [59_600, "1m"],
    [252_000, "4m 12s"],
    [3_600_000, "1h"],
    [90_000_000, "1d 1h"],
    [-5, "0s"],
  ])("%d ms are %s", (ms, shown) => expect(duration(ms)).toBe(shown));

  it("of time are relative or absolute, and what is no instant is shown as it is", () => {
    const now = Date.UTC(2026, 10, 26, 3);
    expect(relative("2026-11-26T00:00:00Z", now)).toBe("3h ago");
    expect(relative("2026-11-27T04:00:00Z", now)).toBe("in 1d");
    expect(relative("2026-11-26T03:00:00.200Z", now)).toBe("now");
    expect([relative(null, now), relative("\x1bsoon", now)]).toEqual(["-", "\\x1bsoon"]);
    expect([utc("2026-11-26T03:06:01.5Z"), utc(null), utc("soon")]).toEqual([
      "2026-11-26 03:06:01 UTC",
      "-",
      "soon",
    ]);
  });
});
