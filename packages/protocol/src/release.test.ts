/** Names, lists and signatures of releases; the last line of defence before a program is replaced. */
import { generateKeyPairSync, sign, verify } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type Artefact,
  artefactName,
  chooseArtefact,
  formatSums,
  newestVersion,
  openSums,
  parseArtefactName,
  parseSums,
  releaseArchitectures,
  releasePlatformOf,
  releasePrograms,
  releaseSystems,
} from "./release.ts";
import { productVersion } from "./version.ts";

const verifyEd25519 = (key: string, data: Uint8Array, signature: Uint8Array) =>
  verify(null, data, key, signature);

function createKey() {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  return {
    publicKey: publicKey.export({ type: "spki", format: "pem" }).toString(),
    sign: (text: string) => sign(null, Buffer.from(text), privateKey).toString("base64"),
  };
}

const key = createKey();
const sum = (letter: string) => letter.repeat(64);
const agent: Artefact = { program: "restic-manager-agent", version: "1.2.0", os: "linux", arch: "x64" };
const sums = formatSums(
  new Map([
    [artefactName(agent), sum("a")],
    [artefactName({ ...agent, version: "1.10.0" }), sum("b")],
    [artefactName({ ...agent, os: "windows" }), sum("c")],
    ["install.sh", sum("d")],
  ]),
);
const signed = { sums, signature: key.sign(sums) };

describe("the version", () => {
  it("is the same in every package.json", () => {
    const root = new URL("../../../", import.meta.url);
    const packages = readdirSync(new URL("packages", root)).map((name) => `packages/${name}/package.json`);
    for (const path of ["package.json", ...packages]) {
      const { version } = JSON.parse(readFileSync(new URL(path, root), "utf8")) as { version: string };
      expect([path, version]).toEqual([path, productVersion]);
    }
  });
});

describe("the name of an executable", () => {
  const artefact: fc.Arbitrary<Artefact> = fc.record({
    program: fc.constantFrom(...releasePrograms),
    version: fc.constantFrom("0.1.0", "12.0.3", "1.0.0-rc.1", "1.0.0-linux-x64", "0.19.1"),
    os: fc.constantFrom(...releaseSystems),
    arch: fc.constantFrom(...releaseArchitectures),
  });

  it("says program, version, system and architecture, and is read back", () => {
    fc.assert(
      fc.property(artefact, (one) => {
        expect(parseArtefactName(artefactName(one))).toEqual(one);
      }),
    );
    expect(artefactName({ ...agent, os: "windows" })).toBe("restic-manager-agent-1.2.0-windows-x64.exe");
  });

  it.each([
    "restic-manager-agent-1.2.0-linux-x64.exe",
    "restic-manager-agent-1.2.0-windows-x64",
    "restic-manager-agent-01.2.0-linux-x64",
    "restic-manager-agent-1.2-linux-x64",
    "restic-manager-agent-1.2.0-linux-riscv64",
    "../restic-manager-agent-1.2.0-linux-x64",
    "install.sh",
    "",
  ])("is not %j", (name) => {
    expect(parseArtefactName(name)).toBeUndefined();
  });

  it("knows a machine by Node's names and says nothing of one that no release is made for", () => {
    expect(releasePlatformOf("win32", "x64")).toEqual({ os: "windows", arch: "x64" });
    expect(releasePlatformOf("linux", "arm64")).toEqual({ os: "linux", arch: "arm64" });
    expect(releasePlatformOf("linux", "riscv64")).toBeUndefined();
    expect(releasePlatformOf("freebsd", "x64")).toBeUndefined();
  });
});

describe("a list of sums", () => {
  it("is as sha256sum prints it, sorted by name", () => {
    expect(
      formatSums(
        new Map([
          ["b", sum("1")],
          ["a", sum("2")],
        ]),
      ),
    ).toBe(`${sum("2")}  a\n${sum("1")}  b\n`);
    expect(parseSums(sums)?.get("install.sh")).toBe(sum("d"));
  });

  it.each([
    ["nothing", ""],
    ["a line without an end", `${sum("a")}  name`],
    ["a sum that is too short", `${"a".repeat(63)}  name\n`],
    ["capital letters", `${sum("A")}  name\n`],
    ["a path", `${sum("a")}  ../name\n`],
    ["a hidden file", `${sum("a")}  .name\n`],
    ["a carriage return", `${sum("a")}  name\r\n`],
    ["an empty line", `${sum("a")}  name\n\n`],
    ["a name twice", `${sum("a")}  name\n${sum("b")}  name\n`],
    ["too much", `${sum("a")}  name\n`.repeat(2000)],
  ])("is not %s", (_, text) => {
    expect(parseSums(text)).toBeUndefined();
  });

  it("is read or refused whatever its bytes are", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => parseSums(text) === undefined || text !== ""),
    );
  });

  it("names the newest version of a program for one platform", () => {
    const list = parseSums(sums) ?? new Map();
    expect(newestVersion(list, "restic-manager-agent", { os: "linux", arch: "x64" })).toBe("1.10.0");
    expect(newestVersion(list, "restic-manager-agent", { os: "windows", arch: "x64" })).toBe("1.2.0");
    expect(newestVersion(list, "restic", { os: "linux", arch: "x64" })).toBeUndefined();
  });
});

describe("a signed list", () => {
  it("is believed under its key, with or without a newline after the signature", () => {
    expect(openSums(signed, key.publicKey, verifyEd25519)?.size).toBe(4);
    expect(openSums({ sums, signature: `${signed.signature}\n` }, key.publicKey, verifyEd25519)?.size).toBe(
      4,
    );
  });

  it("is refused when one letter of it changed", () => {
    const changed = sums.replace("aaaa", "aaab");
    expect(openSums({ ...signed, sums: changed }, key.publicKey, verifyEd25519)).toBeUndefined();
  });

  it("is refused under another key, and with a signature by another key", () => {
    const other = createKey();
    expect(openSums(signed, other.publicKey, verifyEd25519)).toBeUndefined();
    const forged = { sums, signature: other.sign(sums) };
    expect(openSums(forged, key.publicKey, verifyEd25519)).toBeUndefined();
  });

  it("is refused when its key is none", () => {
    expect(openSums(signed, "no key", verifyEd25519)).toBeUndefined();
  });

  it("is refused when it is signed but no list", () => {
    const text = "hello\n";
    expect(openSums({ sums: text, signature: key.sign(text) }, key.publicKey, verifyEd25519)).toBeUndefined();
  });

  it("is refused whatever stands in the place of the signature", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc
            .uint8Array({ minLength: 64, maxLength: 64 })
            .map((bytes) => Buffer.from(bytes).toString("base64")),
        ),
        (signature) => openSums({ sums, signature }, key.publicKey, verifyEd25519) === undefined,
      ),
    );
  });
});

describe("choosing what takes the place of a running program", () => {
  const choose = (wanted: Partial<Artefact> & { running?: string }, list = signed) =>
    chooseArtefact({ ...agent, ...wanted }, list, key.publicKey, verifyEd25519);

  it("finds the file for this platform and this version", () => {
    const found = { kind: "found", name: artefactName(agent), sha256: sum("a") };
    expect(choose({ running: "1.1.9" })).toEqual(found);
    expect(choose({ running: "1.2.0" })).toEqual(found);
    expect(choose({})).toEqual(found);
    expect(choose({ os: "windows" })).toMatchObject({ sha256: sum("c") });
  });

  it("refuses an older version than the one that runs, signed or not", () => {
    expect(choose({ running: "1.10.0" })).toEqual({ kind: "downgrade" });
    expect(choose({ running: "1.2.1-rc.1" })).toEqual({ kind: "downgrade" });
  });

  it("finds nothing for another architecture, another program or another version", () => {
    expect(choose({ arch: "arm64" })).toEqual({ kind: "no_artefact" });
    expect(choose({ program: "rmctl" })).toEqual({ kind: "no_artefact" });
    expect(choose({ version: "1.3.0" })).toEqual({ kind: "no_artefact" });
    expect(choose({ version: "../../x" })).toEqual({ kind: "no_artefact" });
  });

  it("looks at nothing in a list whose signature is not good", () => {
    expect(choose({}, { sums, signature: createKey().sign(sums) })).toEqual({ kind: "signature_invalid" });
  });
});
