/**
 * Reads a folder with the files of a release, and says whether it may be served: its list SHA256SUMS is signed with the
 * key beside it, and every file that the list names is there with the digest that it says. Invariant: a set is whole or
 * broken; nothing of a broken one is served. Which key is believed is the agents' business: theirs is baked in.
 */
import { createHash, verify } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import {
  type Artefact,
  maxSumsBytes,
  openSums,
  parseArtefactName,
  parseSums,
  releaseFiles,
  type SignedSums,
} from "@restic-manager/protocol";
import type { KnownFile } from "../../platform/http/send-file.ts";

/** One file of a set. */
export interface ReleaseFile extends KnownFile {
  name: string;
  sha256: string;
  /** What an executable is for; null for installers, lists and everything else. */
  artefact: Artefact | null;
}

/** What a folder holds. */
export type ReleaseSet =
  /** Nothing: as if the folder were not there. */
  | { kind: "empty" }
  | { kind: "broken"; problem: string }
  | {
      kind: "whole";
      /** By name, with the list, its signature and the key. */
      files: ReadonlyMap<string, ReleaseFile>;
      /** Name → SHA-256, as signed. */
      sums: ReadonlyMap<string, string>;
      signed: SignedSums;
      /** SHA-256 of the public key's DER, hex: what tells two keys apart. */
      keyFingerprint: string;
    };

/** What must be looked at anew when it differs: names, sizes and times. */
export async function fingerprintOf(folder: string): Promise<string> {
  const names = await readdir(folder).catch(() => []);
  const lines = await Promise.all(
    names.sort().map(async (name) => {
      const found = await stat(join(folder, name)).catch(() => null);
      return found?.isFile() ? `${name} ${found.size} ${found.mtimeMs} ${found.ino}` : "";
    }),
  );
  return lines.filter(Boolean).join("\n");
}

/** What a folder's list says, when its signature is good; none of the files is looked at. */
export type ReleaseList = Exclude<ReleaseSet, { kind: "whole" }> | ({ kind: "whole" } & Head);

/** Reads the list alone. */
export async function readReleaseList(folder: string): Promise<ReleaseList> {
  if ((await fingerprintOf(folder)) === "") return { kind: "empty" };
  const head = await readHead(folder);
  return "problem" in head ? { kind: "broken", problem: head.problem } : { kind: "whole", ...head };
}

/** Reads and checks the whole folder; every byte of it once. */
export async function readReleaseSet(folder: string): Promise<ReleaseSet> {
  const head = await readReleaseList(folder);
  if (head.kind !== "whole") return head;
  const files = new Map<string, ReleaseFile>();
  for (const [name, sha256] of head.sums) {
    const file = await readFileOf(folder, name);
    if (!file) return { kind: "broken", problem: `${name} stands in SHA256SUMS and is not there.` };
    if (file.sha256 !== sha256)
      return { kind: "broken", problem: `${name} has another digest than SHA256SUMS says.` };
    files.set(name, file);
  }
  for (const name of Object.values(releaseFiles)) {
    const file = await readFileOf(folder, name);
    if (file) files.set(name, file);
  }
  return { ...head, files };
}

interface Head {
  sums: ReadonlyMap<string, string>;
  signed: SignedSums;
  keyFingerprint: string;
}

/** The list, when its signature is good. */
async function readHead(folder: string): Promise<Head | { problem: string }> {
  const texts: Partial<Record<keyof typeof releaseFiles, string>> = {};
  for (const [part, name] of Object.entries(releaseFiles) as [keyof typeof releaseFiles, string][]) {
    const text = await readSmall(join(folder, name));
    if (text === null) return { problem: `${name} is missing, or is no text of at most 64 KiB.` };
    texts[part] = text;
  }
  const { sums = "", signature = "", publicKey = "" } = texts;
  const signed = { sums, signature: signature.trim() };
  const list = openSums(signed, publicKey, (key, data, bytes) => verify(null, data, key, bytes));
  if (list) return { sums: list, signed, keyFingerprint: fingerprintOfKey(publicKey) };
  if (!parseSums(sums)) return { problem: "SHA256SUMS is not a list as sha256sum prints it." };
  return { problem: "The signature in SHA256SUMS.sig is not one over SHA256SUMS by the key in release.pub." };
}

const fingerprintOfKey = (pem: string): string => {
  const der = Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ""), "base64");
  return createHash("sha256").update(der).digest("hex");
};

async function readSmall(path: string): Promise<string | null> {
  const found = await stat(path).catch(() => null);
  if (!found?.isFile() || found.size > maxSumsBytes) return null;
  return readFile(path, "utf8").catch(() => null);
}

/** Null when it is not there, can't be read, or grows under our eyes. */
async function readFileOf(folder: string, name: string): Promise<ReleaseFile | null> {
  const path = join(folder, name);
  const before = await stat(path).catch(() => null);
  if (!before?.isFile()) return null;
  const sha256 = await digestOf(path).catch(() => null);
  const after = await stat(path).catch(() => null);
  if (sha256 === null || after?.size !== before.size || after.mtimeMs !== before.mtimeMs) return null;
  const artefact = parseArtefactName(name) ?? null;
  return { name, path, sizeBytes: before.size, modifiedMs: before.mtimeMs, tag: sha256, sha256, artefact };
}

/** A millisecond of digesting, and few reads. */
const pieceBytes = 1024 * 1024;

/** In pieces: an executable has a hundred megabytes. */
async function digestOf(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const piece of createReadStream(path, { highWaterMark: pieceBytes }))
    hash.update(piece as Buffer);
  return hash.digest("hex");
}
