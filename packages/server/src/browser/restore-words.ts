/** What a restore would do, in sentences: the last thing that is read before the button. Pure. */
import { formatBytes, formatCount, formatNoun } from "../platform/html/format.ts";
import type { Count } from "./restore-count.ts";
import type { Item } from "./restore-selection.ts";

/** What is chosen on the page. */
export interface Choice {
  /** Time and tags of the snapshot; null while none is chosen. */
  snapshot: { words: string; files: number | null; bytes: number | null } | null;
  items: readonly Item[];
  /** What the items hold together; null where nobody knows. */
  count: Count;
  /** The host that is written to. */
  hostName: string;
  /** The host whose snapshot it is. */
  sourceName: string;
  inPlace: boolean;
  directory: string;
  overwrite: string;
  keepOwners: boolean;
  includes: number;
  excludes: number;
  moved: number;
  verify: boolean;
}

const isFolder = ({ kind }: Item): boolean => kind === "folder";

/** `2 folders and 3 files (12.4 KiB)`. */
export function itemWords(items: readonly Item[]): string {
  const folders = items.filter(isFolder).length;
  const unknown = items.filter(({ kind }) => kind === "path").length;
  const files = items.length - folders - unknown;
  const bytes = items.reduce((sum, item) => sum + (isFolder(item) ? 0 : (item.sizeBytes ?? 0)), 0);
  const parts = [
    folders > 0 ? formatNoun(folders, "folder") : "",
    files > 0 ? `${formatNoun(files, "file")} (${formatBytes(bytes)})` : "",
    unknown > 0 ? formatNoun(unknown, "path") : "",
  ].filter((part) => part !== "");
  return parts.length === 0 ? "nothing" : listed(parts);
}

/** Everything of a snapshot is known by its figures. */
function wholeWords({ files, bytes }: NonNullable<Choice["snapshot"]>): string {
  const figures = [
    files === null ? "" : formatNoun(files, "file"),
    bytes === null ? "" : formatBytes(bytes),
  ].filter((part) => part !== "");
  return figures.length === 0 ? "everything" : `everything (${figures.join(", ")})`;
}

/** The names of a few, and how many more. */
export function namesOf(items: readonly Item[], most = 3): string {
  const names = items.slice(0, most).map(({ path }) => path);
  const more = items.length - names.length;
  return more > 0 ? `${names.join(", ")} and ${formatCount(more)} more` : names.join(", ");
}

const existing: Readonly<Record<string, string>> = {
  always: "A file that is there already is replaced, whatever it is.",
  "if-changed": "A file that is there already is replaced when its size or time differ.",
  "if-newer": "A file that is there already is replaced when the snapshot’s is newer.",
  never: "A file that is there already is kept.",
};

function ownerWords({ inPlace, keepOwners, hostName, sourceName }: Choice): string {
  if (!inPlace && !keepOwners) return "The files will belong to the agent’s user.";
  if (hostName === sourceName) return "Owners are kept.";
  return `Owners are kept by their numbers, which may be other users on ${hostName}.`;
}

/** `12,345 files in 678 folders, 4.5 GiB`. */
export function figureWords({ files, folders, bytes }: Exclude<Count, string | null>): string {
  const places = folders > 0 ? ` in ${formatNoun(folders, "folder")}` : "";
  return `${formatNoun(files, "file")}${places}, ${formatBytes(bytes)}`;
}

/** What folders come with. */
function countWords({ items, count, includes, excludes }: Choice): string[] {
  if (count !== null && count !== "counting") {
    const patterns = includes + excludes > 0 ? ", of which the patterns below let a part through" : "";
    return [`That is ${figureWords(count)}${patterns}.`];
  }
  if (!items.some(isFolder)) return [];
  const how = count === null ? "; a dry run counts it" : ", which is being counted";
  return [`Folders come with everything in them${how}.`];
}

/** One sentence for each thing that will happen. */
export function restoreSentences(choice: Choice): string[] {
  const { snapshot, items, hostName, sourceName, inPlace } = choice;
  if (snapshot === null || items.length === 0) return [];
  const isWhole = items.some(({ ref }) => ref === "/");
  const what = isWhole ? wholeWords(snapshot) : itemWords(items);
  const isOne = isWhole || items.length === 1;
  const go = isOne ? "goes" : "go";
  const where = inPlace
    ? `${go} back to where ${isOne ? "it was" : "they were"}`
    : `${go} into ${choice.directory === "" ? "a new folder in the agent’s home" : choice.directory}`;
  const from = hostName === sourceName ? "" : ` of ${sourceName}`;
  return [
    `Of the snapshot ${snapshot.words}${from}, ${what} ${where} on ${hostName}.`,
    ...(isWhole ? [] : countWords(choice)),
    inPlace ? (existing[choice.overwrite] ?? "") : "Nothing that exists there is touched.",
    ownerWords(choice),
    ...(choice.includes > 0 ? [`Only what matches ${formatNoun(choice.includes, "pattern")} comes.`] : []),
    ...(choice.excludes > 0 ? [`What matches ${formatNoun(choice.excludes, "pattern")} is left out.`] : []),
    ...(choice.moved > 0 ? [`${formatNoun(choice.moved, "place")} is put elsewhere.`] : []),
    ...(choice.verify ? ["Every file is read again and compared."] : []),
  ];
}

function listed(parts: readonly string[]): string {
  const last = parts.at(-1) ?? "";
  return parts.length < 2 ? last : `${parts.slice(0, -1).join(", ")} and ${last}`;
}
