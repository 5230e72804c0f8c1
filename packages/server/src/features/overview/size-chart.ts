/**
 * The geometry of a repository's history: where days and figures stand in a box, and round numbers for its axes. Pure.
 * The box is stretched to the width of its page, so nothing in it may be a shape: only lines, and text beside it.
 */
import { splitBytes } from "../../platform/html/format.ts";
import type { DailySizes } from "../repositories/repositories.ts";

/** One UTC day; null where nothing was told. */
export interface HistoryPoint {
  /** Midnight UTC. */
  at: number;
  rawBytes: number | null;
  snapshotCount: number | null;
}

/** The box in its own units. */
export const chartBox = { width: 1000, height: 200 } as const;

const dayMs = 24 * 60 * 60_000;

/** The days that a chart shows: the last `days`, today's included. */
export interface ChartRange {
  /** Midnight UTC of the first and the last day. */
  from: number;
  to: number;
}

export function chartRange(days: number, now: number): ChartRange {
  const to = Math.floor(now / dayMs) * dayMs;
  return { from: to - (days - 1) * dayMs, to };
}

export const xOf = (at: number, { from, to }: ChartRange): number =>
  to === from ? chartBox.width : ((at - from) / (to - from)) * chartBox.width;

/** What a day takes up beside its neighbours, for the pointer to meet. */
export const dayWidth = ({ from, to }: ChartRange): number =>
  chartBox.width / Math.max(1, (to - from) / dayMs);

/** Figures of one kind, with the top of their axis. */
export interface Series {
  points: readonly { at: number; value: number }[];
  top: number;
}

export function seriesOf(
  history: readonly HistoryPoint[],
  figure: (point: HistoryPoint) => number | null,
  roundUp: (value: number) => number,
): Series {
  const points = history.flatMap((point) => {
    const value = figure(point);
    return value === null ? [] : [{ at: point.at, value }];
  });
  return { points, top: roundUp(Math.max(0, ...points.map(({ value }) => value))) };
}

const yOf = (value: number, top: number): number => chartBox.height - (value / top) * chartBox.height;
const short = (value: number): string => String(Math.round(value * 10) / 10);

/** A line through all points; a single one is a line without length, which round ends make a dot. */
export function linePath({ points, top }: Series, range: ChartRange): string {
  const steps = points.map(({ at, value }) => `${short(xOf(at, range))} ${short(yOf(value, top))}`);
  return steps.length === 1 ? `M${steps[0]}h0.01` : `M${steps.join("L")}`;
}

/** The same closed down to the ground; empty for less than two points. */
export function areaPath(series: Series, range: ChartRange): string {
  const first = series.points[0];
  const last = series.points.at(-1);
  if (!first || !last || first === last) return "";
  return `${linePath(series, range)}V${chartBox.height}H${short(xOf(first.at, range))}Z`;
}

/** Of two digits, even: half of them is whole. */
const evenSteps = [2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 24, 30, 40, 50, 60, 80, 100] as const;
const tens = [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8] as const;
/** What stands well on an axis, up to the next unit. */
const byteSteps = [1, 10, 100].flatMap((scale) => tens.map((step) => step * scale)).concat(1000, 1024);

/** The next number above that divides in half without a rest worth saying. */
export function roundCount(most: number): number {
  const scale = 10 ** Math.max(0, Math.floor(Math.log10(Math.max(1, most))) - 1);
  return (evenSteps.find((step) => step * scale >= most) ?? 100) * scale;
}

/** The same in the unit in which the size is said. */
export function roundBytes(most: number): number {
  const unit = 1024 ** Math.floor(Math.log2(Math.max(1, most)) / 10);
  const amount = most / unit;
  return (byteSteps.find((step) => step >= amount) ?? 1024) * unit;
}

/** `200 GiB`, `0.5 TiB`: a round size without the digits that say nothing. */
export function axisBytes(sizeBytes: number): string {
  if (sizeBytes === 0) return "0";
  const { value, unit } = splitBytes(sizeBytes);
  return `${Number(value)} ${unit}`;
}

/** The same history small: the shape alone, from its least to its most. */
export const sparkBox = { width: 58, height: 14 } as const;

/** The path of a sparkline over a range; null for less than two points. Whole numbers only: a thousand are on a page. */
export function sparkPath({ days, rawBytes }: DailySizes, range: ChartRange): string | null {
  if (days.length < 2) return null;
  const least = Math.min(...rawBytes);
  const spread = Math.max(...rawBytes) - least;
  const levels = rawBytes.map((size) => {
    const share = spread === 0 ? 0.5 : (size - least) / spread;
    return Math.round(1 + (1 - share) * (sparkBox.height - 2));
  });
  let path = "";
  for (const [index, y] of levels.entries()) {
    // What lies on a level line needs no point of its own.
    if (y === levels[index - 1] && y === levels[index + 1]) continue;
    const x = Math.round((xOf((days[index] ?? 0) * dayMs, range) / chartBox.width) * sparkBox.width);
    path += path === "" ? `M${x} ${y}` : ` ${x} ${y}`;
  }
  return path;
}
