/**
 * Brings one file of a release into the folder of the program that it shall replace: chosen from the signed list,
 * downloaded, and compared with its digest as it lies there. Invariants: nothing is downloaded before the list's signature
 * is good; nothing is left at the place when the digest is not the list's, and nothing anywhere when a disk is full.
 */
import { access, constants, readdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import {
  chooseArtefact,
  type JobError,
  type ReleaseProgram,
  type UpdateSpec,
} from "@restic-manager/protocol";
import type { Download } from "../link/download.ts";
import { reasonOf } from "../platform/errors.ts";
import {
  ensurePrivateDir,
  fileDigest,
  freeBytes,
  hasErrorCode,
  isSameDevice,
  removeTree,
} from "../platform/files.ts";
import { placeFresh } from "./swap.ts";
import { type Updates, verifySignature } from "./updates.ts";

export type WantedRelease = {
  program: ReleaseProgram;
  spec: UpdateSpec;
  /** What runs now; undefined when there is none. */
  running: string | undefined;
  /** Where it goes, in the folder of the program. */
  place: string;
};

export type FetchHooks = Pick<Download, "signal" | "onProgress"> & {
  /** A line for the job's log. */
  tell: (sentence: string) => Promise<void>;
};

export type Fetched = { kind: "placed" } | { kind: "aborted" } | { kind: "failed"; error: JobError };

/** Our executables have some 120 MB. */
const MAX_BYTES = 512 * 1024 * 1024;
/** What an update leaves free, for everybody who writes meanwhile. */
const RESERVE_BYTES = 16 * 1024 * 1024;

/** Rejects with what the disk throws; `diskError` has sentences for that. */
export async function fetchRelease(
  updates: Updates,
  wanted: WantedRelease,
  hooks: FetchHooks,
): Promise<Fetched> {
  const chosen = chooseFile(updates, wanted);
  if ("code" in chosen) return { kind: "failed", error: chosen };
  const { name, sha256 } = chosen;
  const folder = dirname(wanted.place);
  await access(folder, constants.W_OK);
  await ensurePrivateDir(updates.downloadDir);
  await removeOthers(updates.downloadDir, name);
  await hooks.tell(`The list of the release is signed. ${name} is downloaded.`);
  const path = join(updates.downloadDir, name);
  const end = await updates.download({
    ...{ name, sha256, path, maxBytes: MAX_BYTES, signal: hooks.signal, onProgress: hooks.onProgress },
    findNoRoom: (missing, total) => findNoRoom([updates.downloadDir, folder], missing, total),
    onTrouble: hooks.tell,
  });
  if (end.kind === "aborted") return end;
  // A full disk is not kept full by the beginning of a file.
  if (end.kind === "no_room") await removeTree(path);
  if (end.kind !== "done") return { kind: "failed", error: downloadError(name, end) };
  try {
    await placeFresh(path, wanted.place);
  } finally {
    // It is still there when the place is on another disk.
    await removeTree(path);
  }
  if ((await fileDigest(wanted.place)) === sha256) return { kind: "placed" };
  await removeTree(wanted.place);
  return {
    kind: "failed",
    error: updateError(
      "update.digest_mismatch",
      `The server's ${name} is not the file that the signed list names: its SHA-256 is another. Nothing was changed. Put the release's own files into the server's folder of releases, and look who changed them.`,
    ),
  };
}

function chooseFile(
  { releaseKey, releasePlatform }: Updates,
  { program, spec, running }: WantedRelease,
): { name: string; sha256: string } | JobError {
  if (releaseKey === undefined) return updateError("update.signature_invalid", NO_KEY);
  if (releasePlatform === undefined) return updateError("update.no_artefact", NO_PLATFORM);
  const { version, sums, signature } = spec;
  const signed = { sums: sums ?? "", signature: signature ?? "" };
  const choice = chooseArtefact(
    { program, version, ...releasePlatform, running },
    signed,
    releaseKey,
    verifySignature,
  );
  switch (choice.kind) {
    case "found":
      return choice;
    case "signature_invalid":
      return updateError("update.signature_invalid", WRONG_SIGNATURE);
    case "no_artefact":
      return updateError(
        "update.no_artefact",
        `The release names no ${program} ${version} for ${releasePlatform.os} on ${releasePlatform.arch}. Put a release with it into the server's folder of releases.`,
      );
    case "downgrade":
      return updateError(
        "update.downgrade",
        `${program} ${version} is older than ${running}, which runs. An update never goes back; install the older version by hand if you want it.`,
      );
  }
}

const NO_KEY =
  "This agent runs from source and knows no key of releases, so it believes no signature. Update it as it was installed.";
const NO_PLATFORM = "No release is made for this system. Update the agent as it was installed.";
const WRONG_SIGNATURE =
  "The list of the release is not signed with the key that this agent was built with. Nothing was downloaded. If you sign releases with a key of your own now, install the agent anew, by hand; if not, look who changed the server's files.";

function downloadError(
  name: string,
  end: { kind: "no_room"; message: string } | { kind: "not_found" } | { kind: "failed"; reason: string },
): JobError {
  if (end.kind === "no_room")
    return updateError(
      "update.disk_full",
      `${end.message} Nothing was changed. Free some space, then update again.`,
    );
  const why = end.kind === "not_found" ? "the server does not have it" : end.reason;
  return updateError(
    "update.download_failed",
    `${name} could not be downloaded from the server: ${why}. Nothing was changed; what is there already is used by the next try.`,
  );
}

/** A sentence when one of the disks has not enough room: the first folder gets what is missing, the second all of it. */
async function findNoRoom(
  [downloads, folder]: [string, string],
  missing: number,
  total: number,
): Promise<string | undefined> {
  const same = await isSameDevice(downloads, folder);
  const needs = same
    ? [{ dir: downloads, bytes: missing }]
    : [
        { dir: downloads, bytes: missing },
        { dir: folder, bytes: total },
      ];
  for (const { dir, bytes } of needs) {
    const free = await freeBytes(dir);
    if (free < bytes + RESERVE_BYTES)
      return `The disk of ${dir} has ${mib(free)} MiB free, and the update needs ${mib(bytes + RESERVE_BYTES)} MiB.`;
  }
  return undefined;
}

const mib = (bytes: number) => Math.ceil(bytes / 1024 / 1024);

/** What an update that was given up has left. */
async function removeOthers(dir: string, name: string): Promise<void> {
  for (const other of await readdir(dir)) if (other !== name) await removeTree(join(dir, other));
}

/** What the disk threw while programs were put in place, as the end of a job; undefined for anything else. */
export function diskError(error: unknown, folder: string): JobError | undefined {
  if (hasErrorCode(error, "ENOSPC") || hasErrorCode(error, "EDQUOT"))
    return updateError(
      "update.disk_full",
      `The disk of ${folder} is full. Nothing was changed. Free some space, then update again.`,
    );
  const refused = ["EROFS", "EACCES", "EPERM"].some((code) => hasErrorCode(error, code));
  if (!refused) return undefined;
  return updateError(
    "update.not_writable",
    `The agent can't write to ${folder} (${reasonOf(error)}). Nothing was changed. Make it writable for the agent, or update as it was installed.`,
  );
}

export function updateError(code: string, message: string): JobError {
  return { code, message: message.slice(0, 4000), last_lines: [] };
}
