/**
 * Live parts: an element with `data-live-src` is made equal to that fragment every `data-live-ms` while the
 * page is visible. A search form with `data-live-filter` changes what its part shows, and the page's URL.
 */
import { type Outcome, showConnection } from "./connection.ts";
import { morphChildren } from "./morph.ts";

const FILTER_DELAY_MS = 180;
/** After a failure one look comes soon, the others ever later, up to the slowest. */
const FIRST_RETRY_MS = 3000;
const SLOWEST_MS = 60_000;

/** Starts every live part of the page; ends with the signal. */
export function startLive(signal: AbortSignal): void {
  for (const part of document.querySelectorAll<HTMLElement>("[data-live-src]")) keepLive(part, signal);
  startFilters(signal);
}

function keepLive(part: HTMLElement, signal: AbortSignal): void {
  const intervalMs = Number(part.dataset.liveMs ?? 5000);
  let waitMs = intervalMs;
  let failures = 0;
  let timer = 0;
  const look = async (): Promise<void> => {
    clearTimeout(timer);
    if (!document.hidden) {
      const outcome = await refreshPart(part, signal);
      failures = outcome === "unreachable" ? failures + 1 : 0;
      waitMs = waitAfter(outcome, intervalMs, failures);
      // One failed look is a page being left or a blink of the network: not worth a word.
      if (failures !== 1) showConnection(outcome);
    }
    if (signal.aborted || part.querySelector("[data-live-end]") !== null) return;
    timer = window.setTimeout(() => void look(), waitMs);
  };
  timer = window.setTimeout(() => void look(), intervalMs);
  document.addEventListener("visibilitychange", () => !document.hidden && void look(), { signal });
  signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
}

/** How long until the next look. Signed out or gone stays so until the reader acts, perhaps in another tab. */
export function waitAfter(outcome: Outcome, intervalMs: number, failures: number): number {
  if (outcome === "ok") return intervalMs;
  if (outcome !== "unreachable") return SLOWEST_MS;
  return Math.min(SLOWEST_MS, FIRST_RETRY_MS * 2 ** Math.max(0, failures - 1));
}

/** Loads the part's fragment and applies it. Without a good answer the part stays as it is. */
export async function refreshPart(part: HTMLElement, signal: AbortSignal): Promise<Outcome> {
  const source = part.dataset.liveSrc ?? "";
  const look = await loadFragment(source, signal);
  // The reader may have changed the filter meanwhile: an answer to the old question is dropped.
  if (look.outcome === "ok" && part.dataset.liveSrc === source) applyFragment(part, look.html);
  return look.outcome;
}

/** What the server gave for a fragment. */
export type Look = { outcome: "ok"; html: string } | { outcome: Exclude<Outcome, "ok"> };

/** The fragment's text, or why there is none. */
export async function loadFragment(source: string, signal: AbortSignal): Promise<Look> {
  try {
    // A redirect is the way to the sign-in page, which must not land inside of this one.
    const response = await fetch(source, {
      headers: { accept: "text/html" },
      credentials: "same-origin",
      redirect: "manual",
      signal,
    });
    if (response.type === "opaqueredirect" || response.status === 401) return { outcome: "signed_out" };
    if (response.status === 404) return { outcome: "gone" };
    return response.status === 200
      ? { outcome: "ok", html: await response.text() }
      : { outcome: "unreachable" };
  } catch {
    // Offline, restarting or leaving the page: the next look tries again.
    return { outcome: "unreachable" };
  }
}

/** Asks whenever it is called. An answer that comes after the one to a later question is old: it is undefined. */
export function inOrder<T>(ask: () => Promise<T>): () => Promise<T | undefined> {
  let asked = 0;
  let answered = 0;
  return async () => {
    asked += 1;
    const number = asked;
    const answer = await ask();
    if (number < answered) return undefined;
    answered = number;
    return answer;
  };
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
    void refreshPart(part, signal).then(showConnection);
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
