/**
 * Whose files are: the user that the agent runs as, and giving it a tree that holds files of others. Invariants: no link
 * is followed, a folder is taken before it is looked into, and names may be any bytes.
 */
import { lchown, lstat, opendir } from "node:fs/promises";
import { homedir, userInfo } from "node:os";
import { reasonOf } from "./errors.ts";

export type User = {
  /** Null where the system has no numbers for users. */
  ids: { uid: number; gid: number } | null;
  home: string;
};

/** Who this program is. `HOME` wins over the system's list of users. */
export function readUser(inherited: Readonly<Record<string, string | undefined>>): User {
  const uid = process.getuid?.();
  const gid = process.getgid?.();
  const { HOME: home, USERPROFILE: profile } = inherited;
  return {
    ids: uid === undefined || gid === undefined ? null : { uid, gid },
    home: home || profile || systemHome(),
  };
}

function systemHome(): string {
  try {
    return userInfo().homedir;
  } catch {
    return homedir();
  }
}

export type OwnershipFailure = { path: string; message: string };

/** As many failures as anybody reads. */
const MAX_FAILURES = 50;

/**
 * Gives everything below a folder to a user; the folder itself stays whose it is. Stops when the signal aborts.
 * @returns what could not be given, the first of it
 */
export async function giveTree(
  dir: string,
  owner: { uid: number; gid: number },
  signal: AbortSignal,
): Promise<OwnershipFailure[]> {
  const failures: OwnershipFailure[] = [];
  const fail = (path: Buffer, error: unknown) => {
    if (failures.length < MAX_FAILURES)
      failures.push({ path: path.toString("utf8"), message: reasonOf(error) });
  };
  const folders = [Buffer.from(dir)];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    if (signal.aborted) break;
    try {
      // The loop closes the folder, also when it is left early.
      for await (const { name } of await openFolder(folder)) {
        const path = Buffer.concat([folder, SLASH, name]);
        try {
          if (await giveOne(path, owner)) folders.push(path);
        } catch (error) {
          fail(path, error);
        }
      }
    } catch (error) {
      fail(folder, error);
    }
  }
  return failures;
}

const SLASH = Buffer.from("/");

/** Its names as bytes, which the types of Node know of `readdir` only. */
function openFolder(folder: Buffer): Promise<AsyncIterable<{ name: Buffer }>> {
  const options: { encoding: BufferEncoding } = { encoding: "buffer" as BufferEncoding };
  return opendir(folder, options) as unknown as Promise<AsyncIterable<{ name: Buffer }>>;
}

/** @returns whether it is a folder */
async function giveOne(path: Buffer, { uid, gid }: { uid: number; gid: number }): Promise<boolean> {
  const stats = await lstat(path);
  if (stats.uid !== uid || stats.gid !== gid) await lchown(path, uid, gid);
  return stats.isDirectory();
}
