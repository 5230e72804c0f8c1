/**
 * Keeps times current: relative ones, countdowns and elapsed ones, once a second while the page is visible.
 * The page carries the server's clock, so a browser whose own is wrong still shows the truth.
 */
import { formatDuration, formatRelative } from "../platform/html/format.ts";

const TICK_MS = 1000;

/** How far this browser's clock is ahead of the server's, from the time written into the page. */
export function clockSkewMs(pageNow: string | undefined, openedAtMs: number): number {
  const serverMs = Number(pageNow);
  return pageNow === undefined || !Number.isFinite(serverMs) ? 0 : openedAtMs - serverMs;
}

/** Starts the ticking; ends with the signal. */
export function startTimes(signal: AbortSignal): void {
  const skewMs = clockSkewMs(document.documentElement.dataset.now, performance.timeOrigin);
  const tick = (): void => {
    if (!document.hidden) renderTimes(document, Date.now() - skewMs);
  };
  const timer = setInterval(tick, TICK_MS);
  document.addEventListener("visibilitychange", tick, { signal });
  signal.addEventListener("abort", () => clearInterval(timer), { once: true });
}

/** Writes the present wording into every time below `root`; touches only what changed. */
export function renderTimes(root: ParentNode, nowMs: number): void {
  for (const element of root.querySelectorAll("time")) {
    const text = wordingOf(element, nowMs);
    if (text !== null && element.textContent !== text) element.textContent = text;
  }
}

function wordingOf(element: HTMLTimeElement, nowMs: number): string | null {
  const atMs = Date.parse(element.dateTime);
  if (Number.isNaN(atMs)) return null;
  if ("relative" in element.dataset) return formatRelative(atMs, nowMs);
  if ("countdown" in element.dataset) return formatDuration(Math.max(0, atMs - nowMs));
  // Whole seconds: tenths would flicker.
  if ("elapsed" in element.dataset)
    return formatDuration(Math.max(0, Math.floor((nowMs - atMs) / TICK_MS) * TICK_MS));
  return null;
}
