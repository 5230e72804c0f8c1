/** Rows in aligned columns, and facts in two. Cells may hold anything: they are made visible here. */
import { cut, visible, widthOf } from "./text.ts";

export interface Column {
  title: string;
  /** Figures stand on the right. */
  right?: true;
  /** May be cut when the terminal is too narrow; the widest such column gives way first. */
  yields?: true;
}

const gap = "  ";
/** A column is never cut below this. */
const narrowest = 8;

/** @param width columns of the terminal; null cuts nothing */
export function table(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width: number | null,
): string {
  const cells = [columns.map((column) => column.title), ...rows.map((row) => row.map(visible))];
  const widths = columns.map((_, index) => Math.max(...cells.map((row) => widthOf(row[index] ?? ""))));
  if (width !== null) shrink(columns, widths, width);
  return cells.map((row) => `${line(columns, row, widths).trimEnd()}\n`).join("");
}

function shrink(columns: readonly Column[], widths: number[], width: number): void {
  const total = () => widths.reduce((sum, each) => sum + each, (widths.length - 1) * gap.length);
  for (;;) {
    const over = total() - width;
    if (over <= 0) return;
    let widest = -1;
    for (const [index, column] of columns.entries()) {
      const own = widths[index] ?? 0;
      if (column.yields && own > narrowest && own > (widths[widest] ?? 0)) widest = index;
    }
    if (widest < 0) return;
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
}

function line(columns: readonly Column[], row: readonly string[], widths: readonly number[]): string {
  return columns
    .map((column, index) => {
      const text = cut(row[index] ?? "", widths[index] ?? 0);
      const pad = " ".repeat(Math.max(0, (widths[index] ?? 0) - widthOf(text)));
      return column.right ? pad + text : text + pad;
    })
    .join(gap);
}

/** Terms and values, one a line; a value of undefined is left out. */
export function facts(pairs: readonly (readonly [string, string | undefined])[]): string {
  const shown = pairs.filter((pair): pair is readonly [string, string] => pair[1] !== undefined);
  const width = Math.max(0, ...shown.map(([term]) => term.length));
  return shown.map(([term, value]) => `${term.padEnd(width)}  ${visible(value)}\n`).join("");
}
