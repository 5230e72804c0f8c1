/**
 * Text for eyes. Whatever comes from the server passes `visible` before it reaches a terminal: a name, a path or a log line
 * may hold escapes that a terminal would obey. `Intl` is left alone: it costs start time, and scripts read this too.
 */

/** Controls (C0, DEL, C1), line and paragraph separators, and what reverses or hides the text around it. */
const obeyed = /[\p{Cc}\p{Cs}\u2028\u2029\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069\ufeff]/gu;

/** The text with everything that a terminal could obey spelled out; one line stays one line. */
export const visible = (text: string): string => text.replace(obeyed, spell);

function spell(character: string): string {
  if (character === "\n") return "\\n";
  if (character === "\t") return "\\t";
  if (character === "\r") return "\\r";
  const code = character.codePointAt(0) ?? 0;
  return code < 0x100 ? `\\x${hex(code, 2)}` : `\\u${hex(code, 4)}`;
}

const hex = (code: number, digits: number): string => code.toString(16).padStart(digits, "0");

/** One JSON document in one line, the same value, without a character that a terminal could obey. */
export const jsonLine = (value: unknown): string =>
  `${JSON.stringify(value).replace(obeyed, (character) => `\\u${hex(character.charCodeAt(0), 4)}`)}\n`;

const wide =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Emoji_Presentation}\uff01-\uff60]/u;
const unseen = /\p{Mn}|\p{Me}|\p{Cf}/u;

/** Columns that a terminal needs for visible text. */
export function widthOf(text: string): number {
  let width = 0;
  for (const character of text) width += wide.test(character) ? 2 : unseen.test(character) ? 0 : 1;
  return width;
}

/** Cut to so many columns, the last of them `…`. */
export function cut(text: string, columns: number): string {
  if (widthOf(text) <= columns) return text;
  let kept = "";
  let width = 0;
  for (const character of text) {
    const next = widthOf(character);
    if (width + next > columns - 1) break;
    kept += character;
    width += next;
  }
  return `${kept}…`;
}

/** `1.5 GiB`; a dash when unknown. */
export function bytes(size: number | null | undefined): string {
  if (size === null || size === undefined) return "-";
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let value = size;
  let unit = 0;
  while (value >= 1023.95 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

/** `4m 12s`: the two largest units that count. */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  const parts: [number, string][] = [
    [Math.floor(seconds / 86_400), "d"],
    [Math.floor(seconds / 3600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "m"],
    [seconds % 60, "s"],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  if (first < 0) return "0s";
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count}${unit}`)
    .join(" ");
}

/** `3h ago` or `in 3h`; a dash without an instant. */
export function relative(instant: string | null | undefined, nowMs: number): string {
  if (instant === null || instant === undefined) return "-";
  const distance = nowMs - Date.parse(instant);
  if (Number.isNaN(distance)) return visible(instant);
  const [largest] = duration(Math.abs(distance)).split(" ");
  if (Math.abs(distance) < 1000) return "now";
  return distance > 0 ? `${largest} ago` : `in ${largest}`;
}

/** `2026-11-26 03:06:01 UTC`; a dash without an instant. */
export function utc(instant: string | null | undefined): string {
  if (instant === null || instant === undefined) return "-";
  const ms = Date.parse(instant);
  if (Number.isNaN(ms)) return visible(instant);
  return `${new Date(ms).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/** `1 job`, `2 jobs`. */
export const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`;
