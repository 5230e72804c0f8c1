/**
 * What restic takes as a file only: the certificates to trust and Google's service account. Invariants: private files in
 * a folder of their access; the folder holds what the access says and nothing else, so what is no longer configured is
 * gone from the disk.
 */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { RepositoryAccess } from "@restic-manager/protocol";
import {
  ensurePrivateDir,
  hasErrorCode,
  readTextIfExists,
  removeTree,
  writeFileAtomic,
} from "../platform/files.ts";

const CERTIFICATE_FILE = "ca.pem";
const GOOGLE_KEY_FILE = "google.json";
const GOOGLE_KEY = "GOOGLE_APPLICATION_CREDENTIALS";

/** Makes the folder hold the files of this access, and gives the variables of restic's environment with their paths. */
export async function placeAccessFiles(
  dir: string,
  access: RepositoryAccess | undefined,
): Promise<Record<string, string>> {
  const { [GOOGLE_KEY]: googleKey, ...environment } = access?.environment ?? {};
  const certificate = access?.ca_certificate ?? undefined;
  const wanted = new Map<string, string>();
  if (certificate !== undefined) wanted.set(CERTIFICATE_FILE, certificate);
  if (googleKey !== undefined) wanted.set(GOOGLE_KEY_FILE, googleKey);
  for (const name of await namesIn(dir)) if (!wanted.has(name)) await removeTree(join(dir, name));
  if (wanted.size > 0) await ensurePrivateDir(dir);
  for (const [name, content] of wanted) {
    const path = join(dir, name);
    // A restic that starts at this moment reads the whole old one or the whole new one.
    if ((await readTextIfExists(path)) !== content) await writeFileAtomic(path, content);
  }
  return {
    ...environment,
    ...(certificate === undefined ? {} : { RESTIC_CACERT: join(dir, CERTIFICATE_FILE) }),
    ...(googleKey === undefined ? {} : { [GOOGLE_KEY]: join(dir, GOOGLE_KEY_FILE) }),
  };
}

/** Whether restic needs files for this access. */
export const needsFiles = (access: RepositoryAccess): boolean =>
  access.ca_certificate != null || access.environment?.[GOOGLE_KEY] !== undefined;

async function namesIn(dir: string): Promise<string[]> {
  try {
    return await readdir(dir);
  } catch (error) {
    if (hasErrorCode(error, "ENOENT")) return [];
    throw error;
  }
}
