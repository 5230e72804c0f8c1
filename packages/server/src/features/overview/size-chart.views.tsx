/**
 * A repository's size and snapshots over time, drawn on the server: an area with a line above it, values on hover, and the
 * same values as a table for the keyboard and for readers. Texts stand beside the picture, which is stretched.
 */
import type { JSX } from "preact";
import { formatBytes, formatCount, formatNoun } from "../../platform/html/format.ts";
import { Empty, Panel, urlWith } from "../../platform/html/parts.tsx";
import { usePage } from "../../platform/html/scope.ts";
import { None } from "../../platform/html/values.tsx";
import {
  areaPath,
  axisBytes,
  type ChartRange,
  chartBox,
  chartRange,
  dayWidth,
  type HistoryPoint,
  linePath,
  roundBytes,
  roundCount,
  type Series,
  seriesOf,
  xOf,
} from "./size-chart.ts";

/** The ranges that can be chosen, by their days. */
export const chartSpans = [30, 90, 365] as const;
export type ChartSpan = (typeof chartSpans)[number];

const spanWords: Readonly<Record<ChartSpan, string>> = { 30: "30d", 90: "90d", 365: "1y" };
const spanTitles: Readonly<Record<ChartSpan, string>> = {
  30: "the last 30 days",
  90: "the last 90 days",
  365: "the last year",
};

export interface HistoryPanelProps {
  hostId: string;
  span: ChartSpan;
  /** Days that have figures, the oldest first. */
  history: readonly HistoryPoint[];
}

/** The chart with the choice of its range, in the URL. */
export function HistoryPanel(props: HistoryPanelProps): JSX.Element {
  const url = `/hosts/${encodeURIComponent(props.hostId)}`;
  return (
    <Panel
      title="History"
      id="repository-history"
      note={growthWords(props.history)}
      tools={
        <nav class="spans" aria-label="Range of the history">
          {chartSpans.map((span) => (
            <a
              key={span}
              class="chip"
              href={`${urlWith(url, { tab: "repository", days: span === 30 ? null : span })}#repository-history`}
              aria-current={span === props.span ? "true" : undefined}
              title={spanTitles[span]}
            >
              {spanWords[span]}
            </a>
          ))}
        </nav>
      }
    >
      {props.history.length === 0 ? (
        <Empty title={`Nothing was told in ${spanTitles[props.span]}`}>
          Size and snapshots are noted after every backup, check and prune, once for each day.
        </Empty>
      ) : (
        <div class="panel-body">
          <SizeChart {...props} />
        </div>
      )}
    </Panel>
  );
}

/** What became of the size from the first day to the last. */
function growthWords(history: readonly HistoryPoint[]): string {
  const sizes = history.flatMap(({ rawBytes }) => (rawBytes === null ? [] : [rawBytes]));
  const [first] = sizes;
  const last = sizes.at(-1);
  if (first === undefined || last === undefined || sizes.length < 2) return "size and snapshots by day";
  if (first === last) return "the size stayed the same";
  return last > first ? `grew by ${formatBytes(last - first)}` : `shrank by ${formatBytes(first - last)}`;
}

function SizeChart({ span, history }: HistoryPanelProps): JSX.Element {
  const { now } = usePage();
  const range = chartRange(span, now);
  const size = seriesOf(history, (point) => point.rawBytes, roundBytes);
  const count = seriesOf(history, (point) => point.snapshotCount, roundCount);
  return (
    <div class="chart">
      <ul class="chart-legend" aria-hidden="true">
        <li class="key-size">Stored size</li>
        <li class="key-count">Snapshots</li>
      </ul>
      <div class="chart-plot">
        <AxisLabels class="chart-y" series={size} words={axisBytes} />
        <Plot span={span} range={range} size={size} count={count} history={history} />
        <AxisLabels class="chart-y right" series={count} words={formatCount} />
        <p class="chart-x" aria-hidden="true">
          {[range.from, (range.from + range.to) / 2, range.to].map((at) => (
            <span key={at}>{dayWords(at, span)}</span>
          ))}
        </p>
      </div>
      <ValueTable history={history} />
    </div>
  );
}

function AxisLabels(props: { class: string; series: Series; words: (value: number) => string }): JSX.Element {
  const { points, top } = props.series;
  return (
    <p class={props.class} aria-hidden="true">
      {points.length === 0
        ? null
        : [top, top / 2, 0].map((value) => <span key={value}>{props.words(value)}</span>)}
    </p>
  );
}

function Plot(props: {
  span: ChartSpan;
  range: ChartRange;
  size: Series;
  count: Series;
  history: readonly HistoryPoint[];
}): JSX.Element {
  const { range, size, count } = props;
  const { width, height } = chartBox;
  const area = areaPath(size, range);
  const band = dayWidth(range);
  return (
    <svg
      viewBox={`0 0 ${width} ${height}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={`Stored size and snapshots in ${spanTitles[props.span]}. The values follow as a table.`}
    >
      <path class="chart-grid" d={`M0 0H${width}M0 ${height / 2}H${width}M0 ${height}H${width}`} />
      {area === "" ? null : <path class="chart-area" d={area} />}
      {size.points.length === 0 ? null : <path class="chart-size" d={linePath(size, range)} />}
      {count.points.length === 0 ? null : <path class="chart-count" d={linePath(count, range)} />}
      {props.history.map((point) => (
        <rect
          key={point.at}
          class="chart-day"
          x={Math.round((xOf(point.at, range) - band / 2) * 10) / 10}
          y="0"
          width={Math.round(band * 10) / 10}
          height={height}
        >
          <title>{valueWords(point)}</title>
        </rect>
      ))}
    </svg>
  );
}

const isoDay = (at: number): string => new Date(at).toISOString().slice(0, 10);

/** Short on an axis: the year only where there is more than one. */
function dayWords(at: number, span: ChartSpan): string {
  return new Date(at).toLocaleDateString("en-GB", {
    timeZone: "UTC",
    month: "short",
    ...(span === 365 ? { year: "numeric" as const } : { day: "numeric" as const }),
  });
}

function valueWords({ at, rawBytes, snapshotCount }: HistoryPoint): string {
  const values = [
    ...(rawBytes === null ? [] : [formatBytes(rawBytes)]),
    ...(snapshotCount === null ? [] : [formatNoun(snapshotCount, "snapshot")]),
  ];
  return `${isoDay(at)}: ${values.join(", ")}`;
}

/** Closed until somebody wants it; the newest day first. */
function ValueTable({ history }: { history: readonly HistoryPoint[] }): JSX.Element {
  return (
    <details class="more-options">
      <summary>Values as a table</summary>
      <section
        class="chart-values"
        aria-label="Values by day"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls needs a tab stop
        tabIndex={0}
      >
        <table class="rows">
          <caption class="sr-only">Stored size and snapshots by day (UTC), newest first</caption>
          <thead>
            <tr>
              <th scope="col">Day</th>
              <th scope="col" class="num">
                Stored size
              </th>
              <th scope="col" class="num">
                Snapshots
              </th>
            </tr>
          </thead>
          <tbody>
            {history.toReversed().map((point) => (
              <tr key={point.at} class="short">
                <td class="mono">{isoDay(point.at)}</td>
                <td class="num">
                  {point.rawBytes === null ? <None label="not told" /> : formatBytes(point.rawBytes)}
                </td>
                <td class="num">
                  {point.snapshotCount === null ? (
                    <None label="not told" />
                  ) : (
                    formatCount(point.snapshotCount)
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
    </details>
  );
}
