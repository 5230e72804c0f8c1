/** From small files to the changelog. */
import { describe, expect, it } from "vitest";
import { buildChangelog } from "./changelog.ts";

const change = (path: string, kind: string, text: string) => ({ path, text: `kind: ${kind}\n\n${text}\n` });

describe("the changelog", () => {
  it("groups by release and kind, the newest release and the lowest number first", () => {
    const text = buildChangelog([
      change("0012-later.md", "added", "Later."),
      change("0.9.0/0001-first.md", "added", "First."),
      change("0.10.0/0003-third.md", "fixed", "Third,\nin two lines."),
      change("0011-soon.md", "added", "Soon."),
      change("0.10.0/0002-second.md", "changed", "Second."),
    ]);

    expect(text.slice(text.indexOf("## "))).toBe(`## Unreleased

### Added

- Soon.
- Later.

## 0.10.0

### Changed

- Second.

### Fixed

- Third,
  in two lines.

## 0.9.0

### Added

- First.
`);
  });

  it.each([
    ["notes.md", "kind: added\n\nText.\n"],
    ["1.0/0001-x.md", "kind: added\n\nText.\n"],
    ["0001-x.md", "kind: improved\n\nText.\n"],
    ["0001-x.md", "kind: added\nText.\n"],
    ["0001-x.md", "kind: added\n\n  \n"],
    ["0001-x.md", ""],
  ])("refuses %s with %j and names it", (path, text) => {
    expect(() => buildChangelog([{ path, text }])).toThrow(`changes/${path}`);
  });
});
