/**
 * Values as cells: times that tick, sizes with their exact bytes, durations. The browser keeps `data-relative`
 * and `data-countdown` elements current; without it they are right at the moment the page was made.
 */
import type { ComponentChildren, JSX } from "preact";
import { formatBytes, formatDuration, formatRelative, formatUtc } from "./format.ts";
import { usePage } from "./scope.ts";

/** A point in time, relative, with the absolute UTC time as its title. */
export function Time({ at, class: className }: { at: number; class?: string }): JSX.Element {
  const { now } = usePage();
  return (
    <time datetime={new Date(at).toISOString()} title={formatUtc(at)} data-relative="" class={className}>
      {formatRelative(at, now)}
    </time>
  );
}

/** A point in time in absolute UTC. */
export function UtcTime({ at }: { at: number }): JSX.Element {
  return (
    <time datetime={new Date(at).toISOString()} class="mono">
      {formatUtc(at)}
    </time>
  );
}

/** The time that is left until `at`, counted down by the second. */
export function Countdown({ at }: { at: number }): JSX.Element {
  const { now } = usePage();
  return (
    <time datetime={new Date(at).toISOString()} title={formatUtc(at)} data-countdown="">
      {formatDuration(Math.max(0, at - now))}
    </time>
  );
}

/** The time since `from`, counted up by the second. */
export function Elapsed({ from }: { from: number }): JSX.Element {
  const { now } = usePage();
  return (
    <time datetime={new Date(from).toISOString()} data-elapsed="">
      {formatDuration(Math.max(0, now - from))}
    </time>
  );
}

/** A size in IEC units with the exact number of bytes as its title; a dash when unknown. */
export function Bytes({ size }: { size: number | null }): JSX.Element {
  if (size === null) return <None />;
  return <span title={`${size.toLocaleString("en-US")} bytes`}>{formatBytes(size)}</span>;
}

/** The sign for "there is none", spoken as such. */
export function None({ label = "none" }: { label?: string }): JSX.Element {
  return (
    <span class="faint">
      <span aria-hidden="true">–</span>
      <span class="sr-only">{label}</span>
    </span>
  );
}

/** One fact of a list: its name and what it is. */
export function Pair(props: { label: string; mono?: boolean; children: ComponentChildren }): JSX.Element {
  return (
    <div>
      <dt>{props.label}</dt>
      <dd class={props.mono ? "mono break" : undefined}>{props.children}</dd>
    </div>
  );
}
