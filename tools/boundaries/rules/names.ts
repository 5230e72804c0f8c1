/**
 * Names: kebab-case files, slices whose files start with a noun, and no word that says nothing.
 *
 * A word is a whole part of a camel-case, kebab-case or snake-case name, so `database` is fine and
 * `fooHelper` is not.
 */
import type { Violation } from "../check.ts";
import { allowedNames, confettiRoles, forbiddenWords, rolesWithoutNoun } from "../house.ts";
import { placeOf } from "../place.ts";
import type { SourceFile } from "../source.ts";
import type { TreeFile } from "../tree.ts";

/** Paths of every file, declarations of source files. */
export const nameRules = {
  /** Checks file and folder names. Fixtures keep the names that other programs gave them. */
  path(file: TreeFile): Violation[] {
    return file.path.includes("/fixtures/") ? [] : pathRules(file.path);
  },
  /** Checks the names that a file gives to its own things. */
  declarations(source: SourceFile): Violation[] {
    return source.declarations.flatMap(({ name, line }) => {
      const word = forbiddenWordIn(name);
      const message = `${name}: the word "${word}" says nothing about what it is`;
      return word === undefined ? [] : [{ path: source.path, line, rule: "forbidden-name", message }];
    });
  },
};

/** Finds the first forbidden word of a name; undefined when the name is fine. */
export function forbiddenWordIn(name: string): string | undefined {
  let rest = name;
  for (const allowed of Object.keys(allowedNames)) rest = rest.split(allowed).join("_");
  const words = rest.split(/[^A-Za-z0-9]+|(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])/);
  return words.map((word) => word.toLowerCase()).find(isForbidden);
}

function isForbidden(word: string): boolean {
  return forbiddenWords.some((forbidden) => [forbidden, `${forbidden}s`, `${forbidden}es`].includes(word));
}

function pathRules(path: string): Violation[] {
  const found: Violation[] = [];
  const add = (rule: string, message: string) => found.push({ path, line: 1, rule, message });
  // The last ending is a format, not a name: a systemd unit must be called `.service`.
  const word = forbiddenWordIn(path.replace(/\.[^./]+$/, ""));
  if (word !== undefined) add("forbidden-name", `the word "${word}" says nothing about what it is`);
  const name = path.split("/").at(-1) ?? "";
  if (!/\.tsx?$/.test(name)) return found;
  if (!/^[a-z0-9]+([-.][a-z0-9]+)*$/.test(name)) add("file-name", "source files are kebab-case");
  const slice = placeOf(path)?.slice;
  if (slice !== undefined) {
    const problem = problemWithSliceFile(name);
    if (problem !== undefined) add("slice-file-name", problem);
  }
  return found;
}

function problemWithSliceFile(name: string): string | undefined {
  const [noun = "", ...rest] = name.replace(/\.tsx?$/, "").split(".");
  if (rolesWithoutNoun.includes(noun)) return `starts with a role; call it <slice>.${noun}.ts`;
  const confetti = rest.find((role) => confettiRoles.includes(role));
  return confetti === undefined
    ? undefined
    : `"${confetti}" is no role of its own; it belongs into <slice>.ts`;
}
