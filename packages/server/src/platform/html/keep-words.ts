/**
 * What a retention keeps, in words: a sentence under its form, a few words in a table. Used by the server's views and
 * by the browser module that writes the sentence anew while somebody types. Pure; no DOM.
 */

/** How many snapshots of each kind are kept; null keeps none of that kind. */
export interface Keep {
  last: number | null;
  hourly: number | null;
  daily: number | null;
  weekly: number | null;
  monthly: number | null;
  yearly: number | null;
  /** As restic writes a length of time, e.g. `1y6m` or `30d`. */
  within: string | null;
}

/** The kinds that are counted, in the order of the form. */
export const keepUnits = ["last", "hourly", "daily", "weekly", "monthly", "yearly"] as const;

/** What happens without any rule: said in the form and in the list alike. */
export const keptForEver = "Kept for ever; nothing is forgotten.";

/** Whether it keeps everything: without a rule there is nothing to forget by. */
export function keepsAll(keep: Keep): boolean {
  return keepUnits.every((unit) => keep[unit] === null) && keep.within === null;
}

/** E.g. `Keeps the last 7 daily and 4 weekly snapshots, and all of the last 30 days.` */
export function keepSentence(keep: Keep): string {
  if (keepsAll(keep)) return keptForEver;
  const counted = keepUnits.flatMap((unit) => {
    const count = keep[unit];
    return count === null ? [] : [unit === "last" ? String(count) : `${count} ${unit}`];
  });
  const noun = counted.length === 1 && counted[0] === "1" ? "snapshot" : "snapshots";
  const first = counted.length === 0 ? "" : `the last ${listOf(counted)} ${noun}`;
  const within = keep.within === null ? "" : `all of the last ${lengthWords(keep.within)}`;
  return `Keeps ${[first, within].filter(Boolean).join(", and ")}.`;
}

/** E.g. `7 daily, 4 weekly, 30d`; `for ever` without a rule. */
export function keepShort(keep: Keep): string {
  if (keepsAll(keep)) return "for ever";
  const counted = keepUnits.flatMap((unit) => (keep[unit] === null ? [] : [`${keep[unit]} ${unit}`]));
  return [...counted, ...(keep.within === null ? [] : [`all of ${keep.within}`])].join(", ");
}

const spanUnits: Readonly<Record<string, string>> = { y: "year", m: "month", d: "day", h: "hour" };

/** `1y6m` as `1 year and 6 months`; as written when it is not of that form. */
function lengthWords(within: string): string {
  const parts = [...within.matchAll(/(\d+)([ymdh])/g)];
  if (parts.map(([part]) => part).join("") !== within || parts.length === 0) return within;
  return listOf(
    parts.map(([, count, unit]) => {
      const noun = spanUnits[unit ?? ""] ?? "";
      return Number(count) === 1 ? `1 ${noun}` : `${count} ${noun}s`;
    }),
  );
}

function listOf(words: readonly string[]): string {
  if (words.length < 2) return words.join("");
  return `${words.slice(0, -1).join(", ")} and ${words.at(-1) ?? ""}`;
}

/** What is typed into the form so far: an empty field keeps none. Null when a field is no whole number. */
export function readKeep(typed: Readonly<Record<keyof Keep, string>>): Keep | null {
  const count = (text: string) => (text.trim() === "" ? null : Number(text));
  const counts = keepUnits.map((unit) => count(typed[unit]));
  if (counts.some((value) => value !== null && !(Number.isInteger(value) && value >= 0))) return null;
  const [last, hourly, daily, weekly, monthly, yearly] = counts.map((value) => value || null);
  const within = typed.within.replace(/\s/g, "").toLowerCase() || null;
  return {
    last: last ?? null,
    hourly: hourly ?? null,
    daily: daily ?? null,
    weekly: weekly ?? null,
    monthly: monthly ?? null,
    yearly: yearly ?? null,
    within,
  };
}
