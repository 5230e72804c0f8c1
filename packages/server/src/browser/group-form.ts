/**
 * Entry of the module on a source group's page: the browser of folders, what is kept in words while one types, and names
 * of hosts that a copy can go to.
 */
import { keepSentence, keepUnits, readKeep } from "../platform/html/keep-words.ts";
import { startFolderBrowser } from "./folder-browser.ts";
import { findHostField } from "./host-field.ts";

/** Writes the sentence anew with each change of a number. */
function startKeepWords(box: HTMLElement, signal: AbortSignal): void {
  const sentence = document.getElementById(box.dataset.keepWords ?? "");
  if (sentence === null) return;
  const typed = (name: string): string => {
    const field = document.getElementById(`field-keep_${name}`);
    return field instanceof HTMLInputElement ? field.value : "";
  };
  const write = (): void => {
    const counts = Object.fromEntries(keepUnits.map((unit) => [unit, typed(unit)]));
    const keep = readKeep({ ...counts, within: typed("within") } as Parameters<typeof readKeep>[0]);
    sentence.textContent = keep === null ? "Whole numbers, or nothing." : keepSentence(keep);
  };
  box.addEventListener("input", write, { signal });
}

const page = new AbortController();
for (const box of document.querySelectorAll<HTMLElement>("[data-keep-words]"))
  startKeepWords(box, page.signal);
for (const box of document.querySelectorAll<HTMLElement>("[data-browse]"))
  startFolderBrowser(box, page.signal);
findHostField(document, "host", { signal: page.signal, onAnswer: () => undefined });
