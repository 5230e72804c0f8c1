/**
 * Paths of a host as text, for the browser of folders: how one is put together, which folders lead to it, and how it
 * is put into a list of lines or taken out. Unix and Windows; pure.
 */

const isWindows = (path: string): boolean => /^[A-Za-z]:/.test(path) || path.startsWith("\\\\");

/** The path of an entry. `parent` is null where a host begins: a drive is then a path by itself. */
export function pathOf(parent: string | null, name: string): string {
  if (parent === null) return /^[A-Za-z]:$/.test(name) ? `${name}\\` : name;
  const slash = isWindows(parent) ? "\\" : "/";
  return parent.endsWith(slash) ? `${parent}${name}` : `${parent}${slash}${name}`;
}

/** The folders on the way to a path, the path last; where the host begins is not among them. */
export function wayTo(path: string | null): { name: string; path: string }[] {
  if (path === null || path === "/") return [];
  const slash = isWindows(path) ? "\\" : "/";
  const names = path.split(slash).filter((name) => name !== "");
  const way: { name: string; path: string }[] = [];
  for (const name of names) {
    const parent = way.at(-1)?.path ?? (slash === "/" ? "/" : null);
    // A drive alone is the folder in which a program stands; with its slash it is the drive.
    const joined = parent === null ? `${name}\\` : pathOf(parent, name);
    way.push({ name, path: joined });
  }
  return way;
}

/** Whether a path can stand in a list of lines: not with a break in it, blanks at its ends, or a byte that is no text. */
export const isLine = (path: string): boolean => path === path.trim() && !/[\r\n\uFFFD]/.test(path);

const linesOf = (text: string): string[] => text.split(/\r?\n/).map((line) => line.trim());

/** Whether one of the lines is this path. */
export const hasLine = (text: string, path: string): boolean => linesOf(text).includes(path);

/** The lines with this path at their end, once. */
export function addLine(text: string, path: string): string {
  if (hasLine(text, path)) return text;
  const before = text.trimEnd();
  return before === "" ? path : `${before}\n${path}`;
}

/** The lines without this path. */
export function dropLine(text: string, path: string): string {
  return text
    .split(/\r?\n/)
    .filter((line) => line.trim() !== path)
    .join("\n");
}
