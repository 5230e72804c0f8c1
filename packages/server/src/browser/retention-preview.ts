/**
 * Entry of the module on a source group's page: what the retention would keep, while one types it. An element with
 * `data-retention-src` inside of the form is filled with that fragment. What is kept is asked of the server, which knows
 * the snapshots and restic's rules.
 */
import { applyFragment, loadFragment } from "./live.ts";

/** As long as a pause between two keys; the server looks a year ahead for each answer. */
const TYPING_MS = 250;
const FIELD = /^keep_[a-z]+$/;

function startPreview(box: HTMLElement, signal: AbortSignal): void {
  const form = box.closest("form");
  if (form === null) return;
  let timer = 0;
  let asked = "";
  const look = async (): Promise<void> => {
    const source = `${box.dataset.retentionSrc ?? ""}?${typedRetention(form)}`;
    if (source === asked) return;
    asked = source;
    const found = await loadFragment(source, signal);
    // The retention may have changed meanwhile.
    if (asked !== source) return;
    if (found.outcome === "ok") applyFragment(box, found.html);
    // Asked again with the next key.
    else asked = "";
  };
  const soon = (event: Event): void => {
    if (!(event.target instanceof HTMLInputElement && FIELD.test(event.target.name))) return;
    clearTimeout(timer);
    timer = window.setTimeout(() => void look(), TYPING_MS);
  };
  form.addEventListener("input", soon, { signal });
  void look();
}

/** Of the fields by their elements: in a form that is switched off, as for viewers, FormData would have none. */
function typedRetention(form: HTMLFormElement): URLSearchParams {
  const query = new URLSearchParams();
  for (const field of form.elements)
    if (field instanceof HTMLInputElement && FIELD.test(field.name)) query.set(field.name, field.value);
  return query;
}

const page = new AbortController();
for (const box of document.querySelectorAll<HTMLElement>("[data-retention-src]"))
  startPreview(box, page.signal);
