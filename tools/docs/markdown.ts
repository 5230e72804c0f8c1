/** The little Markdown that the reference pages need. Invariant: what is put into a cell stays in that cell. */

/** Says who wrote the page; a person who edits it loses the edit. */
const generatedNote = "<!-- Written by `npm run docs` from the source. Do not edit. -->";

/** Text for one cell of a table. */
const cell = (text: string): string =>
  text
    .replaceAll("|", "\\|")
    .replaceAll(/\s*\n\s*/g, " ")
    .trim();

/** Code in a cell; empty stays empty. */
export const code = (text: string): string => (text === "" ? "" : `\`${text.replaceAll("`", "'")}\``);

/** A table with its heading. */
export function table(heading: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map(cell).join(" | ")} |`;
  return [line(heading), `|${heading.map(() => "---").join("|")}|`, ...rows.map(line)].join("\n");
}

/** A page from its blocks, ended by one line feed. */
export const page = (...blocks: readonly string[]): string =>
  `${[generatedNote, ...blocks.filter((block) => block !== "")].join("\n\n")}\n`;
