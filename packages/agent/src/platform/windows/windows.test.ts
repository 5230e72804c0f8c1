/** What of Windows can be told anywhere: command lines, access lists as text, and where the native module goes. */
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { nameOfSystem } from "../machine.ts";
import { checkFolder, claimFolder, findStrangers } from "./access-list.ts";
import { loadNative, placeNative } from "./native.ts";
import { quoteCommand } from "./scm.ts";

describe("a command line", () => {
  it.each([
    [["C:\\Program Files\\a.exe", "service", "run"], '"C:\\Program Files\\a.exe" "service" "run"'],
    [["a", "C:\\ends with\\"], '"a" "C:\\ends with\\\\"'],
    [["a", 'says "x"'], '"a" "says \\"x\\""'],
    [["a", 'back\\"slash'], '"a" "back\\\\\\"slash"'],
    [["a", ""], '"a" ""'],
  ])("%j is taken apart again as it was: %s", (words, line) => {
    expect(quoteCommand(words)).toBe(line);
  });

  it("survives Windows' own rules for any word", () => {
    const word = fc.string({ unit: fc.constantFrom("a", " ", '"', "\\", "\t") });
    fc.assert(
      fc.property(fc.array(word, { minLength: 1 }), (words) => {
        expect(takeApart(quoteCommand(words))).toEqual(words);
      }),
    );
  });
});

/** CommandLineToArgvW, as Microsoft describes it, for words that all stand in quotation marks. */
function takeApart(line: string): string[] {
  const words: string[] = [];
  for (let at = 0; at < line.length; at += 1) {
    let word = "";
    for (at += 1; line[at] !== '"' && at < line.length; at += 1) {
      const slashes = /^\\*/.exec(line.slice(at))?.[0].length ?? 0;
      const isBeforeQuote = line[at + slashes] === '"';
      word += "\\".repeat(isBeforeQuote ? Math.floor(slashes / 2) : slashes);
      at += slashes;
      if (isBeforeQuote && slashes % 2 === 0) break;
      word += line[at] ?? "";
    }
    words.push(word);
    at += 1;
  }
  return words;
}

describe("an access list", () => {
  it("of SYSTEM and Administrators has no strangers, by name or by number", () => {
    expect(findStrangers("O:BAD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)")).toEqual([]);
    expect(findStrangers("O:S-1-5-32-544D:P(A;OICI;FA;;;S-1-5-18)(A;OICI;FA;;;S-1-5-32-544)")).toEqual([]);
    expect(findStrangers("O:SYG:SYD:AI(A;OICIIO;FA;;;CO)(D;;FA;;;WD)")).toEqual([]);
  });

  it("names everybody else who may do something", () => {
    const user = "S-1-5-21-1-2-3-1001";
    expect(findStrangers(`O:BAD:AI(A;OICI;0x1200a9;;;BU)(A;;FA;;;SY)(A;;FR;;;${user})`)).toEqual([
      "BU",
      user,
    ]);
  });

  it("counts the owner, who decides about the list", () => {
    expect(findStrangers("O:S-1-5-21-1-2-3-1001D:P(A;;FA;;;SY)")).toEqual(["S-1-5-21-1-2-3-1001"]);
  });

  it("that is missing lets everybody in", () => {
    expect(findStrangers("O:BA")).toEqual(["WD"]);
    expect(findStrangers("O:BAD:NO_ACCESS_CONTROL")).toEqual(["WD"]);
  });

  it("never throws on any text", () => {
    fc.assert(fc.property(fc.string(), (text) => Array.isArray(findStrangers(text))));
  });
});

describe("a folder of the agent's in a place where everybody may make folders", () => {
  const ours = "O:BAD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)";
  const admin = "S-1-5-21-1-2-3-1001";
  const stranger = "S-1-5-21-1-2-3-1002";
  const foreign = `O:${stranger}D:P(A;;FA;;;${stranger})`;
  let top: string;
  let folder: string;
  let lists: Map<string, string>;
  let done: string[];
  const windows = {
    accessOf: (path: string) => lists.get(path) ?? ours,
    ownSid: () => admin,
    protect: (path: string) => void done.push(`protect ${path}`),
    takeOver: (path: string) => void done.push(`take over ${path}`),
  };
  const put = (name: string, list = ours) => {
    writeFileSync(join(folder, name), "server: https://evil.example.org");
    lists.set(join(folder, name), list);
  };
  const refused = (code: string) => expect.objectContaining({ code });

  beforeEach(() => {
    top = mkdtempSync(join(tmpdir(), "agent-folder-"));
    folder = join(top, "restic-manager");
    mkdirSync(folder);
    [lists, done] = [new Map(), []];
  });
  afterEach(() => rmSync(top, { recursive: true, force: true }));

  it("is claimed, with what an administrator made in it", () => {
    put("agent.yaml", `O:${admin}D:(A;;FA;;;BA)`);
    put("link.json");
    claimFolder(folder, windows);
    expect(done).toEqual([`protect ${folder}`, `take over ${join(folder, "agent.yaml")}`]);
  });

  it("is refused untouched when somebody else made it, be it empty", () => {
    lists.set(folder, foreign);
    for (const use of [claimFolder, checkFolder])
      expect(() => use(folder, windows)).toThrow(refused("windows.foreign_folder"));
    expect(done).toEqual([]);
  });

  it("is refused when somebody else put something into it", () => {
    put("agent.yaml", foreign);
    for (const use of [claimFolder, checkFolder])
      expect(() => use(folder, windows)).toThrow(/agent\.yaml belongs to somebody else/);
    expect(done).toEqual([]);
  });

  it("is refused when somebody put something into it while it was claimed", () => {
    const protect = () => put("agent.yaml", foreign);
    expect(() => claimFolder(folder, { ...windows, protect })).toThrow(refused("windows.foreign_folder"));
  });

  it("is refused when it is a link, or has one, whoever owns what that leads to", () => {
    const other = join(top, "other");
    mkdirSync(other);
    symlinkSync(other, join(folder, "data"), "junction");
    symlinkSync(folder, join(top, "link"), "junction");
    symlinkSync(join(top, "nowhere"), join(top, "dangling"), "junction");
    for (const path of [folder, join(top, "link"), join(top, "dangling")])
      expect(() => checkFolder(path, windows)).toThrow(/is a link/);
    expect(() => claimFolder(join(top, "link"), windows)).toThrow(/is a link/);
    expect(done).toEqual([]);
  });

  it("is not run from when others can write to it; reading is no reason", () => {
    for (const rights of ["FA", "0x1301bf", "FRFW", "DCLC", "strange"]) {
      lists.set(folder, `O:BAD:(A;OICI;${rights};;;BU)`);
      expect(() => checkFolder(folder, windows)).toThrow(refused("windows.open_folder"));
    }
    for (const rights of ["FR", "FRFX", "0x1200a9", "0x120089", "GXGR"]) {
      lists.set(folder, `O:BAD:(A;OICI;${rights};;;BU)(A;;FA;;;${admin})`);
      expect(() => checkFolder(folder, windows)).not.toThrow();
    }
    expect(() => checkFolder(join(top, "not there"), windows)).not.toThrow();
  });
});

describe("the native module", () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "agent-native-"));
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  it("is put beside the program once, and one that was changed is put there again", () => {
    const content = Buffer.from("native code");
    const path = placeNative(dir, content);
    expect(readFileSync(path)).toEqual(content);
    writeFileSync(path, "something else");
    expect(placeNative(dir, content)).toBe(path);
    expect(readFileSync(path)).toEqual(content);
  });

  it("of another version goes, and nothing else", () => {
    mkdirSync(join(dir, "native"));
    for (const name of [`koffi-${"0".repeat(16)}.node`, "notes.txt"])
      writeFileSync(join(dir, "native", name), "x");
    const path = placeNative(dir, Buffer.from("newer"));
    expect(
      readdirSync(join(dir, "native"))
        .map((name) => join(dir, "native", name))
        .sort(),
    ).toEqual([path, join(dir, "native", "notes.txt")].sort());
  });

  it("is asked for on Windows only", () => {
    expect(() => loadNative()).toThrow(/on Windows only/);
  });
});

it("the wire, releases and pages know one word for each system", () => {
  expect(nameOfSystem("win32")).toBe("windows");
  expect(nameOfSystem("linux")).toBe("linux");
});
