/**
 * What a search means: a part of the name, or a glob of it; with `/` of the whole path, up to a part of the name that begins
 * it. In any case. `*`, `?` and brackets stand for no slash, `**` for anything. Invariants: what matches has a name that
 * contains `nameContains`; matching takes time in proportion to pattern times text, whatever the pattern.
 */

export type Pattern = {
  /** Every name that matches contains this, lower-cased; empty when nothing is known. */
  nameContains: string;
  /** @param key the name and @param folder its folder's path, both lower-cased */
  matches(key: string, folder: string): boolean;
};

type Token = { kind: "text"; char: string } | { kind: "any" | "star" | "stars" } | ClassToken;
type ClassToken = { kind: "class"; negated: boolean; ranges: [string, string][] };

const isGlob = (pattern: string): boolean => /[*?]|\[[^/]+\]/.test(pattern);

export function compilePattern(written: string): Pattern {
  const pattern = written.toLowerCase();
  const last = pattern.slice(pattern.lastIndexOf("/") + 1);
  const above = pattern.slice(0, pattern.length - last.length);
  if (!isGlob(pattern)) return { nameContains: last, matches: matchText(above, last) };
  const tokens = tokenise(pattern);
  if (above === "") return { nameContains: longestText(tokens), matches: (key) => matchAll(tokens, key) };
  // A pattern that does not begin at the root may begin at any folder.
  const anchored = pattern.startsWith("/")
    ? tokens
    : [STARS, { kind: "text" as const, char: "/" }, ...tokens];
  return {
    nameContains: last.includes("**") ? "" : longestText(tokenise(last)),
    matches: (key, folder) => matchAll(anchored, within(folder) + key),
  };
}

const within = (folder: string) => (folder === "/" ? "/" : `${folder}/`);

/** @param above the pattern up to its last slash; alone it means everything below such a folder */
function matchText(above: string, last: string): Pattern["matches"] {
  if (above === "") return (key) => key.includes(last);
  if (last === "") return (_key, folder) => within(folder).includes(above);
  return (key, folder) => key.startsWith(last) && within(folder).endsWith(above);
}

const STARS: Token = { kind: "stars" };

function tokenise(pattern: string): Token[] {
  const tokens: Token[] = [];
  const chars = [...pattern];
  for (let at = 0; at < chars.length; at += 1) {
    const char = chars[at] ?? "";
    if (char === "?") tokens.push({ kind: "any" });
    else if (char === "*") {
      const star: Token = { kind: chars[at + 1] === "*" ? "stars" : "star" };
      while (chars[at + 1] === "*") at += 1;
      tokens.push(star);
    } else {
      const closing = char === "[" ? chars.indexOf("]", at + 2) : -1;
      const inside = chars.slice(at + 1, Math.max(closing, 0));
      // Brackets around a slash are no class, as in a shell: a class is of one name.
      if (closing < 0 || inside.includes("/")) tokens.push({ kind: "text", char });
      else {
        tokens.push(toClass(inside));
        at = closing;
      }
    }
  }
  return tokens;
}

function toClass(inside: string[]): ClassToken {
  const negated = inside[0] === "^" || inside[0] === "!";
  const chars = negated ? inside.slice(1) : inside;
  const ranges: [string, string][] = [];
  for (let at = 0; at < chars.length; at += 1) {
    const from = chars[at] ?? "";
    const to = chars[at + 1] === "-" ? chars[at + 2] : undefined;
    ranges.push([from, to ?? from]);
    if (to !== undefined) at += 2;
  }
  return { kind: "class", negated, ranges };
}

function longestText(tokens: Token[]): string {
  const runs = [""];
  for (const token of tokens) {
    if (token.kind === "text") runs.push((runs.pop() ?? "") + token.char);
    else runs.push("");
  }
  return runs.reduce((longest, run) => (run.length > longest.length ? run : longest), "");
}

function accepts(token: Token, char: string): boolean {
  switch (token.kind) {
    case "text":
      return token.char === char;
    case "class":
      return char !== "/" && token.ranges.some(([from, to]) => from <= char && char <= to) !== token.negated;
    case "any":
    case "star":
      return char !== "/";
    case "stars":
      return true;
  }
}

/** All places in the pattern at once, character by character: no pattern makes it try again from the beginning. */
function matchAll(tokens: Token[], text: string): boolean {
  let places = closure(tokens, [0]);
  for (const char of text) {
    const next: number[] = [];
    for (const place of places) {
      const token = tokens[place];
      if (token === undefined || !accepts(token, char)) continue;
      next.push(token.kind === "star" || token.kind === "stars" ? place : place + 1);
    }
    if (next.length === 0) return false;
    places = closure(tokens, next);
  }
  return places.includes(tokens.length);
}

/** A star may also stand for nothing. */
function closure(tokens: Token[], places: number[]): number[] {
  const all = new Set<number>();
  for (let place of places) {
    for (; !all.has(place); place += 1) {
      all.add(place);
      const kind = tokens[place]?.kind;
      if (kind !== "star" && kind !== "stars") break;
    }
  }
  return [...all];
}
