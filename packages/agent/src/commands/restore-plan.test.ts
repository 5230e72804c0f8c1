/** Where selections go: which runs of restic, below which folder, and what can't be done at all. */
import { describe, expect, test } from "vitest";
import { type PlanInput, planRestore } from "./restore-plan.ts";
import type { Selected } from "./restore-selection.ts";
import { isInside, resolveTarget } from "./restore-target.ts";

const dir = (path: string): Selected => ({ path, kind: "folder", sizeBytes: null, owner: null });
const file = (path: string): Selected => ({ path, kind: "file", sizeBytes: 1, owner: null });

const plan = (
  selected: Selected[],
  changes: Partial<PlanInput> = {},
  spec: Partial<PlanInput["spec"]> = {},
) =>
  planRestore({
    spec: { includes: [], excludes: [], path_map: [], ...spec },
    ...{ selected, root: null, platform: "linux" },
    isFolder: async (path) => ["/srv", "/srv/a", "C:/Users"].includes(path),
    ...changes,
  });
const run = (folder: string, target: string, names: string[] = [], byPattern = false) => ({
  ...{ folder, target, names, byPattern },
});

describe("into a folder", () => {
  const root = "/new";

  test("everything goes in one run, by its whole path", async () => {
    expect(await plan([dir("/srv/a"), file("/etc/hosts")], { root })).toMatchObject({
      runs: [run("/", "/new", ["/srv/a", "/etc/hosts"])],
      destinations: [{ to: "/new/srv/a" }, { to: "/new/etc/hosts" }],
    });
  });

  test("what lies in another selection is not restored twice", async () => {
    const selected = [file("/srv/a/x"), dir("/srv/a"), file("/srv/ab"), dir("/srv/a")];
    expect(await plan(selected, { root })).toMatchObject({ runs: [run("/", "/new", ["/srv/a", "/srv/ab"])] });
  });

  test("the root of the snapshot is all of it", async () => {
    expect(await plan([dir("/")], { root })).toMatchObject({ runs: [run("/", "/new")] });
  });

  test("patterns choose inside each selected folder, and a selected file stays selected", async () => {
    const spec = { excludes: ["*.tmp"] };
    expect(await plan([dir("/srv/a"), file("/srv/b")], { root }, spec)).toMatchObject({
      runs: [run("/srv/a", "/new/srv/a", [], true), run("/", "/new", ["/srv/b"])],
    });
  });

  test("a map leads elsewhere below the folder, the longest one that fits", async () => {
    const path_map = [
      { from: "/srv", to: "/data" },
      { from: "/srv/a", to: "/other/b" },
    ];
    expect(await plan([dir("/srv/a"), dir("/srv/c"), file("/srv/f")], { root }, { path_map })).toMatchObject({
      runs: [run("/srv/a", "/new/other/b"), run("/srv", "/new/data", ["/c", "/f"])],
      destinations: [{ to: "/new/other/b" }, { to: "/new/data/c" }, { to: "/new/data/f" }],
    });
  });

  test("a file has no other name afterwards", async () => {
    const path_map = [{ from: "/srv/f", to: "/srv/g" }];
    expect(await plan([file("/srv/f")], { root }, { path_map })).toEqual({
      problem: '"/srv/f" can\'t be restored under another name: map the folder that it lies in.',
    });
  });
});

describe("in place", () => {
  test("each selection begins at the deepest folder that is there", async () => {
    const selected = [file("/srv/a/x"), file("/srv/a/gone/deep/y"), file("/srv/z"), file("/opt/q/w")];
    expect(await plan(selected)).toMatchObject({
      runs: [
        run("/srv/a", "/srv/a", ["/x", "/gone/deep/y"]),
        run("/srv", "/srv", ["/z"]),
        run("/", "/", ["/opt/q/w"]),
      ],
    });
  });

  test("a folder above whose name is not UTF-8 can't be where it begins", async () => {
    const isFolder = async () => true;
    expect(await plan([file("/srv/bad\xff/x")], { isFolder })).toMatchObject({
      runs: [run("/srv", "/srv", ["/bad\xff/x"])],
    });
  });

  test("on Windows a selection goes to its drive", async () => {
    const platform = "win32" as const;
    expect(await plan([file("/C/Users/me/x"), dir("/D")], { platform })).toMatchObject({
      runs: [run("/C/Users", "C:/Users", ["/me/x"]), run("/D", "D:/")],
      destinations: [{ to: "C:/Users/me/x" }, { to: "D:/" }],
    });
    expect(await plan([dir("/")], { platform })).toMatchObject({
      problem: expect.stringContaining("drive"),
    });
  });

  test("on Windows a folder is mapped to another drive, whatever slashes it is written with", async () => {
    const spec = { path_map: [{ from: "/C/Users/me", to: "D:\\old users\\me" }] };
    expect(await plan([file("/C/Users/me/x")], { platform: "win32" }, spec)).toMatchObject({
      destinations: [{ to: "D:/old users/me/x" }],
    });
  });
});

describe("what restic takes in no way", () => {
  test.each([
    [
      "a map of a folder whose name is not UTF-8",
      dir("/bad\xff"),
      { path_map: [{ from: "base64:L2JhZP8=", to: "/x" }] },
    ],
    ["patterns in a folder whose name is not UTF-8", dir("/bad\xff"), { excludes: ["x"] }],
    ["a line break beside bytes that are not UTF-8", file("/a\nb\xff"), {}],
  ])("%s is refused with a sentence", async (_, selected, spec) => {
    expect(await plan([selected], { root: "/new" }, spec)).toMatchObject({
      problem: expect.stringContaining("UTF-8"),
    });
  });
});

const linux = { platform: "linux" as const, home: "/home/me", programData: "none" };
const windows = { platform: "win32" as const, home: "C:\\Users\\me", programData: "C:\\ProgramData" };

describe("the folder of a restore", () => {
  test.each([
    [null, "/home/me/rm-restore/JOB"],
    ["$HOME/x", "/home/me/x"],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the braces are a person's
    ["${HOME}/x", "/home/me/x"],
    ["~/x", "/home/me/x"],
    ["$HOME", "/home/me"],
    ["/srv/$HOME/~/x", "/srv/$HOME/~/x"],
    ["/srv/x/", "/srv/x"],
  ])("%s is %s", (given, path) => expect(resolveTarget(given, linux, "JOB")).toEqual({ kind: "ok", path }));

  test.each([
    [null, "C:\\ProgramData\\rm-restore\\JOB"],
    ["%USERPROFILE%\\x", "C:\\Users\\me\\x"],
    ["%programdata%/x", "C:\\ProgramData\\x"],
    ["$HOME\\x", "C:\\Users\\me\\x"],
    ["~", "C:\\Users\\me"],
    ["D:/a b/%USERPROFILE%", "D:\\a b\\%USERPROFILE%"],
    ["\\\\server\\share\\x", "\\\\server\\share\\x"],
  ])("on Windows %s is %s", (given, path) =>
    expect(resolveTarget(given, windows, "JOB")).toEqual({ kind: "ok", path }),
  );

  test.each(["x", "%PATH%\\x", "C:x", "D:\\a\\..\\b"])("on Windows %j is none", (given) =>
    expect(resolveTarget(given, windows, "JOB")).toMatchObject({ kind: "refused" }),
  );

  test.each([
    ["win32", "c:\\programdata\\RESTIC-manager\\x", "C:\\ProgramData\\restic-manager", true],
    ["win32", "C:/ProgramData/restic-manager", "C:\\ProgramData\\restic-manager", true],
    ["win32", "C:\\ProgramData\\restic-manager-2", "C:\\ProgramData\\restic-manager", false],
    ["win32", "D:\\x", "C:\\", false],
    ["linux", "/var/lib/x/y", "/var/lib/x", true],
    ["linux", "/var/lib/X", "/var/lib/x", false],
    ["linux", "/var/lib/..x", "/var/lib", true],
    ["linux", "/srv", "/", true],
  ] as const)("on %s %s in %s is %s", (platform, place, folder, inside) =>
    expect(isInside(place, folder, platform)).toBe(inside),
  );

  test.each(["x", "$HOMEx/y", "~me/x", "$PATH/x", "", "/a/../b", "/a\0"])("%j is none", (given) =>
    expect(resolveTarget(given, linux, "JOB")).toMatchObject({
      kind: "refused",
      error: { code: "restore.target_invalid" },
    }),
  );
});
