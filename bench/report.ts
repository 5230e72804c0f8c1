/**
 * What every benchmark prints: a table for people and one JSON line for machines. Figures carry their unit in
 * their name (`lines_per_s`, `p99_ms`). A missed goal is printed as missed and never hidden; the exit code stays 0,
 * because a busy machine must not look like a broken program.
 */
import { execFileSync } from "node:child_process";
import { cpus, totalmem } from "node:os";

/** A promise of the product: `value` must reach `limit`, from below or from above. */
export interface Goal {
  name: string;
  value: number;
  limit: number;
  met: boolean;
}

export interface Report {
  bench: string;
  /** Numbers and short words by name, in the order of the table. */
  figures: Record<string, number | string>;
  goals: Goal[];
}

/** A goal that `value` meets when it is not above the limit. */
export const atMost = (name: string, value: number, limit: number): Goal => ({
  name,
  value: rounded(value),
  limit,
  met: value <= limit,
});

/** A goal that `value` meets when it is not below the limit. */
export const atLeast = (name: string, value: number, limit: number): Goal => ({
  name,
  value: rounded(value),
  limit,
  met: value >= limit,
});

/** Prints the table and then the line `{bench, date, machine, …figures, goals}`. */
export function printReport({ bench, figures, goals }: Report): void {
  const shown = Object.entries(figures).map(([name, value]) => [name, shorten(value)] as const);
  const goalRows = goals.map((goal) => [
    `goal: ${goal.name}`,
    `${goal.value} (limit ${goal.limit}): ${goal.met ? "met" : "MISSED"}`,
  ]);
  const rows = [["bench", bench], ["machine", describeMachine()], ...shown, ...goalRows];
  const width = Math.max(...rows.map(([name = ""]) => name.length));
  for (const [name = "", value = ""] of rows) process.stdout.write(`${name.padEnd(width)}  ${value}\n`);
  const line = Object.fromEntries(
    Object.entries(figures).map(([name, value]) => [
      name,
      typeof value === "number" ? rounded(value) : value,
    ]),
  );
  const head = { bench, date: new Date().toISOString(), machine: describeMachine() };
  process.stdout.write(`${JSON.stringify({ ...head, ...line, goals })}\n`);
}

/** The p-th percentile (0 to 100) of unsorted numbers; NaN of none. */
export function percentile(values: readonly number[], p: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * p) / 100))] ?? Number.NaN;
}

function describeMachine(): string {
  const memoryGiB = Math.round(totalmem() / 2 ** 30);
  return `${cpus().length} cores, ${memoryGiB} GiB, ${kernel()}, Node ${process.version}`;
}

function kernel(): string {
  return execFileSync("uname", ["-srm"], { encoding: "utf8" }).trim();
}

const rounded = (value: number): number => Number(value.toPrecision(5));
const shorten = (value: number | string): string =>
  typeof value === "number" ? String(rounded(value)) : value;
