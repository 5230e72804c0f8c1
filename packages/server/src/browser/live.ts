/**
 * Live parts: an element with `data-live-src` is made equal to that fragment every `data-live-ms` while the
 * page is visible. A search form with `data-live-filter` changes what its part shows, and the page's URL.
 */
import { morphChildren } from "./morph.ts";

const FILTER_DELAY_MS = 180;
/** After failures the next look comes later, up to this. */
const SLOWEST_MS = 60_000;

/** Starts every live part of the page; ends with the signal. */
export function startLive(signal: AbortSignal): void {
  for (const part of document.querySelectorAll<HTMLElement>("[data-live-src]")) keepLive(part, signal);
  startFilters(signal);
}

function keepLive(part: HTMLElement, signal: AbortSignal): void {
  const intervalMs = Number(part.dataset.liveMs ?? 5000);
  let waitMs = intervalMs;
  let timer = 0;
  const look = async (): Promise<void> => {
    clearTimeout(timer);
    if (!document.hidden)
      waitMs = (await refreshPart(part, signal)) ? intervalMs : Math.min(SLOWEST_MS, waitMs * 2);
    if (signal.aborted || part.querySelector("[data-live-end]") !== null) return;
    timer = window.setTimeout(() => void look(), waitMs);
  };
  timer = window.setTimeout(() => void look(), intervalMs);
  document.addEventListener("visibilitychange", () => !document.hidden && void look(), { signal });
  signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
}

/** Loads the part's fragment and applies it. False when there was no good answer; the page then stays as it is. */
export async function refreshPart(part: HTMLElement, signal: AbortSignal): Promise<boolean> {
  const source = part.dataset.liveSrc ?? "";
  const html = await loadFragment(source, signal);
  // The reader may have changed the filter meanwhile: an answer to the old question is dropped.
  if (html === null || part.dataset.liveSrc !== source) return html !== null;
  applyFragment(part, html);
  return true;
}

/** The fragment's text; null when the server did not give it (signed out, restarting, gone). */
export async function loadFragment(source: string, signal: AbortSignal): Promise<string | null> {
  try {
    const response = await fetch(source, {
      headers: { accept: "text/html" },
      credentials: "same-origin",
      signal,
    });
    return response.status === 200 && !response.redirected ? await response.text() : null;
  } catch {
    // Offline or leaving the page: the next look tries again.
    return null;
  }
}

/** Makes the part equal to the fragment. */
export function applyFragment(part: HTMLElement, html: string): void {
  const parsed = new DOMParser().parseFromString(`<body>${html}</body>`, "text/html");
  morphChildren(part, parsed.body);
}

function startFilters(signal: AbortSignal): void {
  let timer = 0;
  const apply = (form: HTMLFormElement, part: HTMLElement): void => {
    const query = queryOf(form);
    const path = (part.dataset.liveSrc ?? "").split("?")[0] ?? "";
    part.dataset.liveSrc = `${path}${query}`;
    history.replaceState(null, "", `${location.pathname}${query}`);
    void refreshPart(part, signal);
  };
  document.addEventListener(
    "input",
    (event) => {
      const found = filterOf(event.target);
      if (found === null) return;
      clearTimeout(timer);
      timer = window.setTimeout(() => apply(found.form, found.part), FILTER_DELAY_MS);
    },
    { signal },
  );
  document.addEventListener(
    "change",
    (event) => {
      if (event.target instanceof HTMLSelectElement && "submit" in event.target.dataset)
        event.target.form?.requestSubmit();
    },
    { signal },
  );
}

function filterOf(target: EventTarget | null): { form: HTMLFormElement; part: HTMLElement } | null {
  const form =
    target instanceof HTMLElement ? target.closest<HTMLFormElement>("form[data-live-filter]") : null;
  const part = form === null ? null : document.getElementById(form.dataset.liveFilter ?? "");
  return form === null || part === null ? null : { form, part };
}

function queryOf(form: HTMLFormElement): string {
  const query = new URLSearchParams();
  for (const [name, value] of new FormData(form))
    if (typeof value === "string" && value !== "") query.set(name, value);
  const text = query.toString();
  return text === "" ? "" : `?${text}`;
}
