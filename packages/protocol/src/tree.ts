/** Paths in a snapshot. Invariant: a path has one spelling, whatever its bytes. */
import { isUtf8 } from "node:buffer";
import { z } from "zod";

/** Marks bytes that are not UTF-8. */
const bytesMark = "base64:";
const maxPathChars = 32_768;

function fromBase64(encoded: string): Buffer | undefined {
  const bytes = Buffer.from(encoded, "base64");
  return bytes.length > 0 && bytes.toString("base64") === encoded ? bytes : undefined;
}

/** `latin1` keeps bytes apart, so that both spellings are checked alike. */
function isAbsolutePath(path: string): boolean {
  if (path === "/") return true;
  const [first, ...segments] = path.split("/");
  return first === "" && segments.every((part) => part !== "" && part !== "." && part !== "..");
}

/**
 * A path in a snapshot as restic has it: absolute, with `/` also on Windows (`/C/Users`), without `.`, `..`, empty
 * segments and NUL. One that is not UTF-8 is `base64:` and its bytes.
 */
export const snapshotPath = z
  .string()
  .min(1)
  .max(maxPathChars)
  .refine((path) => {
    if (!path.startsWith(bytesMark))
      return path.isWellFormed() && !path.includes("\0") && isAbsolutePath(path);
    const bytes = fromBase64(path.slice(bytesMark.length));
    return (
      bytes !== undefined && !isUtf8(bytes) && !bytes.includes(0) && isAbsolutePath(bytes.toString("latin1"))
    );
  }, "This must be an absolute path in the snapshot, without . and .. in it.");

/** The bytes of a valid `snapshotPath`. */
export const snapshotPathBytes = (path: string): Buffer =>
  path.startsWith(bytesMark) ? Buffer.from(path.slice(bytesMark.length), "base64") : Buffer.from(path);
