import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { chooseRange } from "./byte-range.ts";

const etag = '"abc"';
const of = (range: string, more = {}) => chooseRange({ range, ...more }, etag, 1000);

describe("a range", () => {
  it.each([
    ["bytes=0-499", 0, 499],
    ["bytes=500-", 500, 999],
    ["bytes=-200", 800, 999],
    ["bytes=-5000", 0, 999],
    ["bytes=990-2000", 990, 999],
    ["bytes=0-0", 0, 0],
  ])("%s is those bytes", (range, start, end) => {
    expect(of(range)).toEqual({ kind: "part", start, end });
  });

  it.each(["bytes=1000-", "bytes=1000-1001", "bytes=-0"])("%s is not there", (range) => {
    expect(of(range)).toEqual({ kind: "not_satisfiable" });
  });

  it.each(["", "bytes=", "bytes=-", "bytes=a-b", "bytes=5-2", "bytes=0-1,3-4", "lines=0-1", "bytes=0-1 x"])(
    "%j is none: the whole file is sent",
    (range) => {
      expect(of(range)).toEqual({ kind: "whole" });
    },
  );

  it("is sent only while the file is still the one that the rest was of", () => {
    expect(of("bytes=5-", { ifRange: etag })).toMatchObject({ kind: "part" });
    expect(of("bytes=5-", { ifRange: '"other"' })).toEqual({ kind: "whole" });
    expect(of("bytes=5-", { ifRange: `W/${etag}` })).toEqual({ kind: "whole" });
  });

  it("of an empty file is not there, and the whole of it is", () => {
    expect(chooseRange({ range: "bytes=0-" }, etag, 0)).toEqual({ kind: "not_satisfiable" });
    expect(chooseRange({ range: "bytes=-1" }, etag, 0)).toEqual({ kind: "not_satisfiable" });
    expect(chooseRange({}, etag, 0)).toEqual({ kind: "whole" });
  });
});

describe("a file that the client has", () => {
  it.each([etag, `W/${etag}`, `"x", ${etag}`, "*"])("by %s is not sent again", (ifNoneMatch) => {
    expect(of("", { ifNoneMatch })).toEqual({ kind: "not_modified" });
  });

  it("in another version is sent", () => {
    expect(of("", { ifNoneMatch: '"x"' })).toEqual({ kind: "whole" });
  });
});

it("any header gives a range within the file", () => {
  const header = fc.oneof(fc.string(), fc.stringMatching(/^bytes=\d{0,20}-\d{0,20}$/));
  fc.assert(
    fc.property(header, fc.nat(100), (range, size) => {
      const answer = chooseRange({ range }, etag, size);
      if (answer.kind !== "part") return;
      expect(answer.start).toBeLessThanOrEqual(answer.end);
      expect(answer.end).toBeLessThan(size);
    }),
  );
});
