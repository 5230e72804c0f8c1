/**
 * Names as restic's patterns, so that each means itself and nothing else, and pattern files. As bytes throughout: names
 * may be any. A pattern that misses restores nothing, and restic calls that a success.
 */

import { type RawPath, toRaw } from "./raw-path.ts";
import { asLine } from "./sources.ts";

/**
 * A name, as bytes or as text, as a pattern. In classes, since on Windows a backslash escapes nothing; no name there has
 * one either. The leading slash of what is given anchors it.
 */
export function escapePattern(name: string): string {
  return name.replace(/[*?[]/g, "[$&]").replaceAll("\\", "\\\\");
}

/** Three times as much, which is the most that escaping makes of it, fits into a line of restic: 64 KiB. */
const MAX_NAME_BYTES = 16 * 1024;

/**
 * Whether a path that restic told as JSON can stand in a pattern file: a line break can't be written, U+FFFD stands for
 * bytes that JSON can't tell, and the mask of the agent's redactor for a name nobody knows.
 */
export function canBeLine(path: string): boolean {
  if (!path.startsWith("/") || /[\n\0\uFFFD]/.test(path) || path.includes("***")) return false;
  return Buffer.byteLength(path) <= MAX_NAME_BYTES;
}

/** What Go trims at the end of a line, as UTF-8 bytes. */
const LAST_BLANK =
  /(?:[\t-\r ]|\xc2[\x85\xa0]|\xe1\x9a\x80|\xe2\x80[\x80-\x8a\xa8\xa9\xaf]|\xe2\x81\x9f|\xe3\x80\x80)$/;

/** A pattern file that takes these names as they are spelled. None may span lines. */
export function nameLines(names: readonly RawPath[]): Buffer {
  const lines = names.map((name) => {
    // restic puts variables of its environment in place of `$name`.
    const line = escapePattern(name).replaceAll("$", "$$$$");
    return `${line.replace(LAST_BLANK, "[$&]")}\n`;
  });
  return Buffer.from(lines.join(""), "latin1");
}

/** A pattern file of patterns that a person wrote. */
export function patternLines(patterns: readonly string[]): Buffer {
  return Buffer.from(patterns.map((pattern) => `${toRaw(asLine(pattern))}\n`).join(""), "latin1");
}

/** Why these can't be handed to restic, in a sentence; undefined when they can. */
export function findPatternProblem(patterns: readonly string[]): string | undefined {
  for (const pattern of patterns) {
    const shown = JSON.stringify(pattern.slice(0, 200));
    if (/[\0\r\n]/.test(pattern))
      return `The pattern ${shown} spans lines. Use ? in place of the line break.`;
    if (pattern.startsWith("/"))
      return `The pattern ${shown} begins at the root. Patterns hold inside the selected folders: begin with a name.`;
  }
  return undefined;
}
