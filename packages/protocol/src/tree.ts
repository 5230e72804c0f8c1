/** What a snapshot holds, by path. */
import { z } from "zod";

/** The longest path of Windows is 32,767 characters; base64 of one that is not UTF-8 shares the bound. */
const maxSnapshotPathChars = 32_768;

/** Absolute, without empty, `.` and `..` segments, and without NUL. */
const plainPath = /^\/$|^(\/(?!\.{1,2}(\/|$))[^/\0]+)+$/;

/**
 * A path in a snapshot: absolute with `/` (`/etc/hosts`, of Windows `/C/Users`), or `base64:` and the path's raw bytes
 * when they are not UTF-8.
 */
export const snapshotPath = z
  .string()
  .max(maxSnapshotPathChars)
  .refine(
    (path) => plainPath.test(path.startsWith("base64:") ? decoded(path) : path),
    "is no path in a snapshot",
  );

/** Each byte as one character, so that the same rules hold for it. */
const decoded = (path: string): string =>
  Buffer.from(path.slice("base64:".length), "base64").toString("latin1");
