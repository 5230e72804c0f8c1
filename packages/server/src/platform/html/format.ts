/**
 * Numbers as people read them: sizes, durations, relative times, counts. Used by the server's views and by
 * the browser modules, so that a ticking cell never disagrees with the page it came in.
 * Pure; no Node, no DOM, no clock: "now" is always an argument.
 */

const BYTE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] as const;
const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
/** Below this a relative time would only flicker between small numbers. */
const JUST_NOW_MS = 5 * SECOND_MS;

/** A size in IEC units, e.g. `184.2 GiB`. Two decimals below 10, one above; whole bytes below 1 KiB. */
export function formatBytes(sizeBytes: number): string {
  const { value, unit } = splitBytes(sizeBytes);
  return `${value} ${unit}`;
}

/** The same as {@link formatBytes} in two parts, for figures that set the unit smaller. */
export function splitBytes(sizeBytes: number): { value: string; unit: string } {
  let value = Number.isFinite(sizeBytes) ? Math.max(0, sizeBytes) : 0;
  let step = 0;
  // What would print as "1024" or "1024.0": climb before rounding does.
  while (value >= (step === 0 ? 1023.5 : 1023.95) && step < BYTE_UNITS.length - 1) {
    value /= 1024;
    step += 1;
  }
  const unit = BYTE_UNITS[step] ?? "B";
  if (step === 0) return { value: String(Math.round(value)), unit };
  return { value: value.toFixed(value < 9.995 ? 2 : 1), unit };
}

/** A throughput, e.g. `84.20 MiB/s`. */
export function formatRate(bytesPerSecond: number): string {
  return `${formatBytes(bytesPerSecond)}/s`;
}

/** A length of time with its two largest parts: `4m 12s`, `2h 05m`, `3d 4h`; under a second `0.4s`. */
export function formatDuration(durationMs: number): string {
  const length = Math.max(0, durationMs);
  if (length < SECOND_MS) return length === 0 ? "0s" : `${Math.max(0.1, length / SECOND_MS).toFixed(1)}s`;
  const seconds = Math.floor(length / SECOND_MS) % 60;
  const minutes = Math.floor(length / MINUTE_MS) % 60;
  const hours = Math.floor(length / HOUR_MS) % 24;
  const days = Math.floor(length / DAY_MS);
  if (days > 0) return `${days}d ${hours}h`;
  if (hours > 0) return `${hours}h ${String(minutes).padStart(2, "0")}m`;
  if (minutes > 0) return `${minutes}m ${String(seconds).padStart(2, "0")}s`;
  return `${seconds}s`;
}

/** A point in time seen from now: `just now`, `12m ago`, `in 48m`. One unit, rounded down. */
export function formatRelative(atMs: number, nowMs: number): string {
  const distanceMs = Math.abs(nowMs - atMs);
  if (distanceMs < JUST_NOW_MS) return "just now";
  const amount = largestUnit(distanceMs);
  return atMs > nowMs ? `in ${amount}` : `${amount} ago`;
}

function largestUnit(distanceMs: number): string {
  if (distanceMs < MINUTE_MS) return `${Math.floor(distanceMs / SECOND_MS)}s`;
  if (distanceMs < HOUR_MS) return `${Math.floor(distanceMs / MINUTE_MS)}m`;
  // Up to two days hours say more than "1d": a nightly backup 26h old is late, one 1d old sounds fine.
  if (distanceMs < 2 * DAY_MS) return `${Math.floor(distanceMs / HOUR_MS)}h`;
  if (distanceMs < 365 * DAY_MS) return `${Math.floor(distanceMs / DAY_MS)}d`;
  return `${Math.floor(distanceMs / (365 * DAY_MS))}y`;
}

/** The absolute time, always UTC: `2026-11-23 04:12:09 UTC`. */
export function formatUtc(atMs: number): string {
  return `${new Date(atMs).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/** The time of day with milliseconds for log lines: `04:12:09.104`. */
export function formatClock(atMs: number): string {
  return new Date(atMs).toISOString().slice(11, 23);
}

/** A whole number with thousands separated: `1,204`. */
export function formatCount(count: number): string {
  return Math.round(count)
    .toString()
    .replace(/\B(?=(\d{3})+(?!\d))/g, ",");
}

/** A share as a whole percentage; never says 100 % before it is. */
export function formatPercent(share: number): string {
  return `${share >= 1 ? 100 : Math.min(99, Math.floor(Math.max(0, share) * 100))}%`;
}

/** `1 snapshot`, `2 snapshots`: a count with its noun. */
export function formatNoun(count: number, singular: string, plural = `${singular}s`): string {
  return `${formatCount(count)} ${count === 1 ? singular : plural}`;
}

/** Text in which control characters can be seen instead of acting: names of files may hold any of them. */
export const visible = (text: string): string =>
  text.replace(/\p{Cc}/gu, (character) => {
    const short = JSON.stringify(character).slice(1, -1);
    return short.length === 2 ? short : `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
  });
