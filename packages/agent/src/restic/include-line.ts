/**
 * A path as a line of restic's --include-file. There a line is trimmed, `$` names a variable, and the rest is a glob:
 * an unescaped name restores nothing, with exit code 0.
 */

/** restic reads its file by lines of at most 64 KiB. */
const MAX_LINE_BYTES = 32 * 1024;

/** restic trims what Go calls space. */
const SPACE_AT_END = /[\s\u0085]$/u;

/**
 * The line that matches this path of a snapshot and no other; undefined when there is none: a line break can't be
 * written, U+FFFD stands for bytes that JSON can't tell, and the mask of the agent's redactor for a name nobody knows.
 */
export function toIncludeLine(path: string): string | undefined {
  if (!path.startsWith("/") || /[\n\0\uFFFD]/.test(path) || path.includes("***")) return undefined;
  // Classes, since a backslash escapes nothing on Windows; there no name has one either.
  const escaped = path
    .replace(/[*?[]/g, "[$&]")
    .replaceAll("\\", "\\\\")
    .replaceAll("$", "$$$$")
    .replace(SPACE_AT_END, "[$&]");
  return Buffer.byteLength(escaped) > MAX_LINE_BYTES ? undefined : escaped;
}
