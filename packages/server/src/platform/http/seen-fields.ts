/**
 * What a form showed when it was opened, as a few characters for each field: when somebody else saved meanwhile, it
 * tells their changes from those of the person at the form. A short digest is enough: it decides what is said, not
 * what is saved.
 */
import { createHash } from "node:crypto";

/** Beyond this it is none of ours. */
export const maxSeenChars = 4000;

const digestOf = (value: string): string =>
  createHash("sha256").update(value).digest("base64url").slice(0, 8);

/** For a hidden field of the form. */
export function seenOf(values: Readonly<Record<string, string>>): string {
  return Object.entries(values)
    .map(([name, value]) => `${name}:${digestOf(value)}`)
    .join(" ");
}

/** The fields that are not any more what the form showed; none when it does not say what it showed. */
export function changedSince(seen: string, now: Readonly<Record<string, string>>): string[] {
  const before = new Map(seen.split(" ").map((part) => part.split(":") as [string, string]));
  return Object.entries(now)
    .filter(([name, value]) => before.has(name) && before.get(name) !== digestOf(value))
    .map(([name]) => name);
}
