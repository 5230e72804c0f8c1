/**
 * The list of what a release is made of, in CycloneDX 1.5 (https://cyclonedx.org/docs/1.5/json/), and the licences of all
 * of it. Invariant: equal releases give equal bytes, so neither holds a time or a random number.
 */
import { createHash } from "node:crypto";
import type { PackageInside } from "./packages-inside.ts";

/** Something of a release that other people wrote and that is no package of npm. */
export interface ForeignPart {
  readonly name: string;
  readonly version: string;
  readonly licence: string;
  readonly licenceText: string;
  readonly purl: string;
}

export interface ReleaseContents {
  readonly version: string;
  /** Name of each executable of ours with its SHA-256 and the packages inside. */
  readonly executables: readonly {
    readonly name: string;
    readonly sha256: string;
    readonly inside: readonly PackageInside[];
  }[];
  /** Inside all executables, or beside them: Node, restic. */
  readonly foreign: readonly ForeignPart[];
}

/** A package's address (https://github.com/package-url/purl-spec). */
const purlOf = ({ name, version }: PackageInside): string =>
  `pkg:npm/${name.replace(/^@/, "%40")}@${version}`;

/** One of each package, whatever number of programs it is inside of. */
export function allPackages({ executables }: ReleaseContents): PackageInside[] {
  const found = new Map(
    executables.flatMap(({ inside }) => inside.map((one) => [purlOf(one), one] as const)),
  );
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, one]) => one);
}

/** The list as JSON. */
export function writeSbom(contents: ReleaseContents): string {
  const { version, executables, foreign } = contents;
  const components = [
    ...executables.map(({ name, sha256 }) => ({
      type: "application",
      "bom-ref": name,
      name,
      version,
      hashes: [{ alg: "SHA-256", content: sha256 }],
    })),
    ...foreign.map((part) => ({
      type: "application",
      "bom-ref": part.purl,
      ...describe(part),
      purl: part.purl,
    })),
    ...allPackages(contents).map((one) => ({
      type: "library",
      "bom-ref": purlOf(one),
      ...describe(one),
      purl: purlOf(one),
      ...hashOf(one),
    })),
  ];
  const node = foreign.filter(({ name }) => name === "node").map(({ purl }) => purl);
  const dependencies = executables.map(({ name, inside }) => ({
    ref: name,
    dependsOn: [...node, ...inside.map(purlOf)],
  }));
  const body = {
    bomFormat: "CycloneDX",
    specVersion: "1.5",
    version: 1,
    metadata: {
      component: { type: "application", "bom-ref": "restic-manager", name: "restic-manager", version },
    },
    components,
    dependencies: [
      { ref: "restic-manager", dependsOn: executables.map(({ name }) => name) },
      ...dependencies,
    ],
  };
  const serialNumber = `urn:uuid:${uuidOf(JSON.stringify(body))}`;
  return `${JSON.stringify({ ...body, serialNumber }, null, 2)}\n`;
}

const describe = ({ name, version, licence }: { name: string; version: string; licence: string }) => ({
  ...{ name, version },
  // One identifier, or an expression such as "(MIT OR Apache-2.0)".
  licenses: [/^[\w.+-]+$/.test(licence) ? { license: { id: licence } } : { expression: licence }],
});

function hashOf({ integrity }: PackageInside) {
  if (integrity === undefined) return {};
  const [algorithm = "", digest = ""] = integrity.split("-");
  if (algorithm !== "sha512") return {};
  return { hashes: [{ alg: "SHA-512", content: Buffer.from(digest, "base64").toString("hex") }] };
}

/** The format wants a UUID; this one follows from the content (RFC 9562, version 8). */
function uuidOf(text: string): string {
  const hex = createHash("sha256").update(text).digest("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

/** All licences as one text, as it has to go along with the programs. */
export function writeLicences(contents: ReleaseContents, own: string): string {
  const parts = [...contents.foreign, ...allPackages(contents)];
  const texts = parts.map(({ name, version, licence, licenceText }) =>
    [`${"=".repeat(80)}\n${name} ${version} (${licence})\n${"=".repeat(80)}`, licenceText].join("\n\n"),
  );
  const head = `restic-manager ${contents.version} is under the licence below. What other people wrote and is inside its programs, or comes\nwith them, is under theirs, which follow.\n\n${own.trim()}`;
  return `${[head, ...texts].join("\n\n\n")}\n`;
}
