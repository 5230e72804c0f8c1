/** Where a restore may go, as people write it for hosts of either system; nothing of this machine's own paths counts. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { findProblems, type RestoreRequest, restoreRequest } from "./restore-request.ts";

const into = (path: string): RestoreRequest => ({
  ...{ snapshot_id: "a".repeat(64), paths: ["/C/Users"] },
  target: { kind: "directory", path },
});

const problems = (path: string, windows: boolean) =>
  findProblems(into(path), windows).map(({ path: at }) => at);

describe("the folder of a restore", () => {
  it.each([
    "C:\\restored",
    "d:/restored",
    "\\\\server\\share\\x",
    "%ProgramData%\\x",
    "%userprofile%",
    "~/x",
    "$HOME\\x",
  ])("%s is one on Windows", (path) => expect(problems(path, true)).toEqual([]));

  it.each(["/srv/x", "$HOME/x", "~", "/"])("%s is one on Linux", (path) =>
    expect(problems(path, false)).toEqual([]),
  );

  it.each([
    ["/srv/x", true],
    ["C:x", true],
    ["\\x", true],
    ["\\\\server", true],
    ["%PATH%\\x", true],
    ["C:\\a\\..\\b", true],
    ["C:\\x", false],
    ["%ProgramData%\\x", false],
    ["~me/x", false],
  ])("%s is none when Windows is %s", (path, windows) =>
    expect(problems(path, windows)).toEqual(["target.path"]),
  );

  it("is told how to begin on its own system", () => {
    expect(findProblems(into("x"), true)[0]?.message).toContain("%ProgramData%");
    expect(findProblems(into("x"), false)[0]?.message).toContain("$HOME/");
  });

  it("never throws, whatever is asked for", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", minLength: 1 }), fc.boolean(), (path, windows) => {
        const parsed = restoreRequest.safeParse(into(path));
        return !parsed.success || Array.isArray(findProblems(parsed.data, windows));
      }),
    );
  });
});
