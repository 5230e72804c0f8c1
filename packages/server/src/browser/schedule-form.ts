/**
 * Entry of the module on a schedule's page: chips that fill in an expression, the next runs while one types, and the
 * zone of this browser. What an expression means is asked of the server, so that there is one answer.
 */
import { applyFragment, loadFragment } from "./live.ts";

/** As long as a pause between two keys; every key at once would ask for half an expression. */
const TYPING_MS = 160;

function startPreview(box: HTMLElement, signal: AbortSignal): void {
  const cron = document.getElementById("field-cron");
  const zone = document.getElementById("field-time_zone");
  if (!(cron instanceof HTMLInputElement) || !(zone instanceof HTMLInputElement)) return;
  let timer = 0;
  let asked = "";
  const look = async (): Promise<void> => {
    const query = new URLSearchParams({ cron: cron.value, time_zone: zone.value });
    const source = `${box.dataset.cronSrc ?? ""}?${query}`;
    asked = source;
    const found = await loadFragment(source, signal);
    // The expression may have changed meanwhile.
    if (found.outcome === "ok" && asked === source) applyFragment(box, found.html);
  };
  const soon = (): void => {
    markChip(cron.value);
    clearTimeout(timer);
    timer = window.setTimeout(() => void look(), TYPING_MS);
  };
  for (const field of [cron, zone]) field.addEventListener("input", soon, { signal });
  for (const chip of document.querySelectorAll<HTMLButtonElement>("button[data-cron]")) {
    const fill = (): void => {
      cron.value = chip.dataset.cron ?? "";
      soon();
    };
    chip.addEventListener("click", fill, { signal });
  }
  offerOwnZone(zone, soon, signal);
}

function markChip(expression: string): void {
  for (const chip of document.querySelectorAll<HTMLButtonElement>("button[data-cron]"))
    chip.setAttribute("aria-pressed", String(chip.dataset.cron === expression.trim()));
}

/** The person's own zone, by one click, where it is another. */
function offerOwnZone(zone: HTMLInputElement, changed: () => void, signal: AbortSignal): void {
  const button = document.querySelector<HTMLButtonElement>("button[data-own-zone]");
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (button === null || own === "" || own === zone.value) return;
  button.textContent = `Use ${own}, this browser’s`;
  button.hidden = false;
  const choose = (): void => {
    zone.value = own;
    button.hidden = true;
    changed();
  };
  button.addEventListener("click", choose, { signal });
}

const page = new AbortController();
for (const box of document.querySelectorAll<HTMLElement>("[data-cron-src]")) startPreview(box, page.signal);
