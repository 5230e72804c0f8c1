/** Which initial paths pass, and how a wrong one is named. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readInitialPaths } from "./initial-paths.ts";

describe("initial paths", () => {
  it("are absolute for Linux or Windows, each once, empty lines skipped", () => {
    const typed = ["/etc", "", "C:\\Users", "d:/data", "\\\\nas\\share", "/etc", "/with space/ü\n"];
    expect(readInitialPaths(typed)).toEqual({
      paths: ["/etc", "C:\\Users", "d:/data", "\\\\nas\\share", "/with space/ü\n"],
    });
  });

  it.each(["etc", "./etc", "~/x", "C:", "C:temp", "\\temp", " /etc", "<script>"])(
    "%j is relative",
    (path) => {
      expect(readInitialPaths(["/ok", "", path])).toEqual({
        code: "sources.path_relative",
        problem: expect.stringMatching(/^Line 3: .*is not absolute/s),
      });
    },
  );

  it("hold nothing that no file name can hold, and are bounded", () => {
    const code = "sources.path_invalid";
    expect(readInitialPaths(["/a\u0000"])).toMatchObject({ code });
    expect(readInitialPaths(["/\ud800"])).toMatchObject({ code });
    expect(readInitialPaths([`/${"x".repeat(32_768)}`])).toMatchObject({ code });
    expect(readInitialPaths(Array.from({ length: 1001 }, (_, i) => `/${i}`))).toMatchObject({ code });
  });

  it("are read from any text without failing, in a short sentence", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "binary", maxLength: 300 }), { maxLength: 5 }), (typed) => {
        const read = readInitialPaths(typed);
        if ("problem" in read) expect(read.problem.length).toBeLessThan(250);
      }),
    );
  });
});
