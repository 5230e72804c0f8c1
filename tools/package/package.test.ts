/** What a release says about itself: keys, pinned archives, the list of what is inside, licences, packages for Debian. */

import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openSums, parseSums } from "../../packages/protocol/src/release.ts";
import { productVersion } from "../../packages/protocol/src/version.ts";
import { bundleProgram } from "./bundle.ts";
import { controlOf } from "./deb.ts";
import { checkIntegrity, nodeArchives, nodeVersion } from "./node-archive.ts";
import { debsOf } from "./packages.ts";
import { listPackagesInside } from "./packages-inside.ts";
import { listPrograms } from "./programs.ts";
import { type ReleaseContents, writeLicences, writeSbom } from "./sbom.ts";
import { openSigningKey, verifyEd25519 } from "./signing.ts";

const root = resolve(import.meta.dirname, "../..");
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "rm-package-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const bundle = (entry: string, version?: string) =>
  bundleProgram({ root, entry, publicKey: "the key", version });

describe("the signing key", () => {
  const list = `${"a".repeat(64)}  install.sh\n`;

  it("is made once for a checkout, for its owner's eyes only, and says whose it is", () => {
    const first = openSigningKey(folder, {});
    expect(first.isOfCheckout).toBe(true);
    expect(statSync(first.file).mode & 0o777).toBe(0o600);
    expect(openSigningKey(folder, {}).publicKey).toBe(first.publicKey);
    expect(JSON.stringify(first)).not.toContain("PRIVATE");
  });

  it("signs what agents believe under its public half", () => {
    const key = openSigningKey(folder, {});
    const signed = { sums: list, signature: key.sign(Buffer.from(list)) };
    expect(openSums(signed, key.publicKey, verifyEd25519)).toEqual(parseSums(list));
    expect(
      openSums({ ...signed, sums: list.replace("a", "b") }, key.publicKey, verifyEd25519),
    ).toBeUndefined();
  });

  it("that is named has to be there and an Ed25519 key", () => {
    const file = join(folder, "named.key");
    expect(() => openSigningKey(folder, { RM_SIGNING_KEY_FILE: file })).toThrow(file);
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    writeFileSync(file, privateKey.export({ type: "pkcs8", format: "pem" }));
    expect(() => openSigningKey(folder, { RM_SIGNING_KEY_FILE: file })).toThrow("no Ed25519 key");
  });
});

describe("Node's archives", () => {
  it("are of the version that this project is pinned to, for every platform of every program", () => {
    const { devDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
      devDependencies: Record<string, string>;
    };
    expect(nodeVersion).toBe(devDependencies.node);
    for (const { platforms } of listPrograms(root)) {
      for (const { os, arch } of platforms) expect(nodeArchives).toHaveProperty(`${os}-${arch}`);
    }
  });

  it("are refused when one byte is another", () => {
    for (const archive of Object.values(nodeArchives)) {
      expect(archive.integrity).toMatch(/^sha512-[A-Za-z0-9+/]{86}==$/);
      expect(() => checkIntegrity(Buffer.from("another"), archive)).toThrow(archive.integrity);
    }
  });
});

describe("a bundle", () => {
  it.each(listPrograms(root))("of $name needs nothing beside it", async ({ entry }) => {
    const { code, inputs } = await bundle(entry);
    const needed = Object.values(inputs).flatMap(({ imports }) => imports.filter(({ external }) => external));
    const foreign = needed.map(({ path }) => path).filter((path) => !isBuiltin(path));
    // Asked for only where it is there, and done without elsewhere.
    const optional = ["pg-native", "bufferutil", "utf-8-validate", "supports-color", "cloudflare:sockets"];
    expect(foreign.filter((name) => !optional.includes(name))).toEqual([]);
    expect(Buffer.from(code).includes(root)).toBe(false);
  });

  it("says another version when it is told to", async () => {
    const code = Buffer.from((await bundle("packages/agent/src/main.ts", "9.8.7")).code);
    expect(code.includes('"9.8.7"')).toBe(true);
    expect(code.includes(`="${productVersion}"`)).toBe(false);
  });
});

describe("what is inside", () => {
  it("is read from what was bundled, each with version, licence, its text and digest", async () => {
    const inside = listPackagesInside(root, Object.keys((await bundle("packages/agent/src/main.ts")).inputs));
    expect(inside.map(({ name }) => name)).toEqual(expect.arrayContaining(["pino", "ws", "yaml", "zod"]));
    expect(inside.map(({ name }) => name)).not.toContain("vitest");
    for (const one of inside) {
      expect(one.licence).toMatch(/^[\w.() -]+$/);
      expect(one.licenceText.length).toBeGreaterThan(500);
      expect(one.integrity).toMatch(/^sha512-/);
    }
  });

  it("is told in CycloneDX, the same each time, and with everybody's licence", async () => {
    const inside = listPackagesInside(root, Object.keys((await bundle("packages/agent/src/main.ts")).inputs));
    const node = {
      name: "node",
      version: nodeVersion,
      licence: "MIT",
      licenceText: "Node's",
      purl: "pkg:generic/node",
    };
    const contents: ReleaseContents = {
      version: "1.2.3",
      executables: [{ name: "agent-1.2.3", sha256: "a".repeat(64), inside }],
      foreign: [node],
    };
    const sbom = JSON.parse(writeSbom(contents)) as {
      components: { name: string; "bom-ref": string; purl?: string }[];
      dependencies: { ref: string; dependsOn: string[] }[];
    };
    expect(writeSbom(contents)).toBe(writeSbom(structuredClone(contents)));
    expect(sbom).toMatchObject({ bomFormat: "CycloneDX", specVersion: "1.5" });
    const refs = sbom.components.map((component) => component["bom-ref"]);
    expect(new Set(refs).size).toBe(refs.length);
    const needed = sbom.dependencies.find(({ ref }) => ref === "agent-1.2.3")?.dependsOn ?? [];
    expect(needed).toContain("pkg:generic/node");
    expect(needed.filter((ref) => !refs.includes(ref))).toEqual([]);
    expect(needed).toContain(
      `pkg:npm/%40pinojs/redact@${inside.find(({ name }) => name === "@pinojs/redact")?.version}`,
    );
    const licences = writeLicences(contents, "our licence");
    for (const { name, licenceText } of inside) {
      expect(licences).toContain(`\n${name} `);
      expect(licences).toContain(licenceText);
    }
  });
});

describe("the packages for Debian", () => {
  const release = {
    root,
    folder: "/release",
    version: "1.0.0-rc.1",
    resticVersions: { x64: "0.19.1" },
  } as const;

  it("recommend a restic where one goes along, and say what they need", () => {
    const [agent, ...others] = debsOf(release, "x64", (name) => name === "restic-manager-agent");
    expect(others.map(({ name }) => name)).toEqual(["restic-manager-restic"]);
    const control = agent && controlOf(agent, 1000);
    expect(control).toContain("Version: 1.0.0~rc.1\nArchitecture: amd64\n");
    expect(control).toContain("Recommends: restic-manager-restic\n");
    const [arm] = debsOf(release, "arm64", (name) => name === "restic-manager-agent");
    expect(arm?.fields).not.toHaveProperty("Recommends");
  });

  it("put the agent where an installation without apt has it, with the same unit", () => {
    const [agent] = debsOf(release, "x64", () => true);
    expect(agent?.files.map(({ path }) => path)).toEqual([
      "opt/restic-manager/bin/restic-manager-agent",
      "usr/bin/restic-manager-agent",
      "usr/lib/systemd/system/restic-manager-agent.service",
      "usr/share/doc/restic-manager-agent/copyright",
    ]);
    const unit = readFileSync(join(root, "deploy/restic-manager-agent.service"), "utf8");
    expect(unit).toContain("ExecStart=/opt/restic-manager/bin/restic-manager-agent run");
  });
});
