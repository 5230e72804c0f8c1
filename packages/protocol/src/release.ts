/**
 * What a release is: the names of its files, the list of their SHA-256 sums, and who is believed about it. One signed
 * document, SHA256SUMS, says everything: its names carry program, version, system and architecture, its sums the
 * bytes. Invariants: nothing of the list is looked at before its signature is good; any bytes give an answer, never an
 * exception; a name has one spelling. Not here: cryptography and files (whoever asks hands `verify` over), where the
 * public key comes from.
 */
import { compareVersions, versionText } from "./version-order.ts";

export const releasePrograms = ["restic-manager-agent", "restic-manager-server", "rmctl", "restic"] as const;
export type ReleaseProgram = (typeof releasePrograms)[number];

export const releaseSystems = ["linux", "windows"] as const;
export type ReleaseOs = (typeof releaseSystems)[number];

export const releaseArchitectures = ["x64", "arm64"] as const;
export type ReleaseArch = (typeof releaseArchitectures)[number];

/** Where a program runs. */
export interface ReleasePlatform {
  readonly os: ReleaseOs;
  readonly arch: ReleaseArch;
}

/** One executable of a release. */
export interface Artefact extends ReleasePlatform {
  readonly program: ReleaseProgram;
  readonly version: string;
}

/** Names of the files that make a set of files a release. */
export const releaseFiles = {
  sums: "SHA256SUMS",
  signature: "SHA256SUMS.sig",
  publicKey: "release.pub",
} as const;

/** A list of 64 KiB names hundreds of files; a longer one is not ours. */
export const maxSumsBytes = 64 * 1024;

const artefactPattern = new RegExp(
  `^(${releasePrograms.join("|")})-(\\d[0-9A-Za-z.-]*)-(${releaseSystems.join("|")})-(${releaseArchitectures.join("|")})(\\.exe)?$`,
);
const sumLine = /^([0-9a-f]{64}) {2}([A-Za-z0-9][A-Za-z0-9._+~-]{0,127})$/;

/** Node's names of this machine as a release's; undefined for one that no release is made for. */
export function releasePlatformOf(platform: string, arch: string): ReleasePlatform | undefined {
  const os = platform === "win32" ? "windows" : releaseSystems.find((name) => name === platform);
  const known = releaseArchitectures.find((name) => name === arch);
  return os === undefined || known === undefined ? undefined : { os, arch: known };
}

/** The file name of an executable, e.g. `restic-manager-agent-1.2.3-linux-x64` or `restic-0.19.1-windows-x64.exe`. */
export function artefactName({ program, version, os, arch }: Artefact): string {
  return `${program}-${version}-${os}-${arch}${os === "windows" ? ".exe" : ""}`;
}

/** What the name of an executable says; undefined for any other name. */
export function parseArtefactName(name: string): Artefact | undefined {
  const match = artefactPattern.exec(name);
  if (match === null) return undefined;
  const program = releasePrograms.find((known) => known === match[1]);
  const os = releaseSystems.find((known) => known === match[3]);
  const arch = releaseArchitectures.find((known) => known === match[4]);
  const version = versionText.safeParse(match[2]).data;
  if (!program || !version || !os || !arch) return undefined;
  const artefact = { program, version, os, arch };
  return artefactName(artefact) === name ? artefact : undefined;
}

/**
 * Name → SHA-256 (hex) as `sha256sum` prints them: `<64 hex>  <name>\n`. Undefined for anything that is not such a list
 * from its first to its last byte, names a file twice or is longer than `maxSumsBytes`.
 */
export function parseSums(text: string): ReadonlyMap<string, string> | undefined {
  if (text.length > maxSumsBytes || !text.endsWith("\n")) return undefined;
  const sums = new Map<string, string>();
  for (const line of text.slice(0, -1).split("\n")) {
    const [, sum, name] = sumLine.exec(line) ?? [];
    if (sum === undefined || name === undefined || sums.has(name)) return undefined;
    sums.set(name, sum);
  }
  return sums;
}

/** The list of these files, sorted by name. */
export function formatSums(sums: ReadonlyMap<string, string>): string {
  const byName = [...sums].sort(([a], [b]) => (a < b ? -1 : 1));
  return byName.map(([name, sum]) => `${sum}  ${name}\n`).join("");
}

/** The newest version of a program for a platform that a list names; undefined when it names none. */
export function newestVersion(
  sums: ReadonlyMap<string, string>,
  program: ReleaseProgram,
  { os, arch }: ReleasePlatform,
): string | undefined {
  return [...sums.keys()]
    .map(parseArtefactName)
    .filter((found) => found?.program === program && found.os === os && found.arch === arch)
    .map((found) => found?.version ?? "")
    .sort((a, b) => compareVersions(b, a) ?? 0)[0];
}

/** Whether `signature` over `data` was made with the private half of `publicKey` (Ed25519, SPKI in PEM). May throw. */
export type VerifySignature = (publicKey: string, data: Uint8Array, signature: Uint8Array) => boolean;

/** A list with the signature that came with it: base64 of the raw Ed25519 signature over the list's exact bytes. */
export interface SignedSums {
  readonly sums: string;
  readonly signature: string;
}

const signaturePattern = /^[A-Za-z0-9+/]{86}==$/;

/**
 * The files of a release, when its list is signed with the key; undefined when it is not, or is no list.
 * The only way from bytes of a server or a folder to sums that may be believed.
 */
export function openSums(
  signed: SignedSums,
  publicKey: string,
  verify: VerifySignature,
): ReadonlyMap<string, string> | undefined {
  const signature = signed.signature.trim();
  if (signed.sums.length > maxSumsBytes || !signaturePattern.test(signature)) return undefined;
  try {
    const bytes = Uint8Array.from(atob(signature), (letter) => letter.charCodeAt(0));
    if (!verify(publicKey, new TextEncoder().encode(signed.sums), bytes)) return undefined;
  } catch {
    return undefined;
  }
  return parseSums(signed.sums);
}

/** What a program that wants to be replaced asks for. */
export interface WantedArtefact extends Artefact {
  /** What runs now; undefined when nothing does. An older one than that is refused. */
  readonly running?: string | undefined;
}

export type ArtefactChoice =
  | { readonly kind: "found"; readonly name: string; readonly sha256: string }
  | { readonly kind: "signature_invalid" | "no_artefact" | "downgrade" };

/** The one file that may be put in the place of what runs, and the digest that its bytes must have; or why there is none. */
export function chooseArtefact(
  wanted: WantedArtefact,
  signed: SignedSums,
  publicKey: string,
  verify: VerifySignature,
): ArtefactChoice {
  const sums = openSums(signed, publicKey, verify);
  if (sums === undefined) return { kind: "signature_invalid" };
  const name = artefactName(wanted);
  const sha256 = sums.get(name);
  if (sha256 === undefined || parseArtefactName(name) === undefined) return { kind: "no_artefact" };
  const step = wanted.running === undefined ? 0 : compareVersions(wanted.version, wanted.running);
  // What runs may call itself something that is no version (a build from source): then nothing is known to be older.
  if (step !== undefined && step < 0) return { kind: "downgrade" };
  return { kind: "found", name, sha256 };
}
