/**
 * What was chosen and typed, kept in this tab while the wizard is not through: a session that ends, a reload or a step
 * back in the history loses nothing. Two wizards in two tabs have nothing to do with each other. No secret is in it.
 */
import type { Item } from "./restore-selection.ts";

export interface Draft {
  /** Typed and chosen values by the name of their field. */
  fields: Record<string, string>;
  items: Item[];
}

const keyOfHost = (hostId: string): string => `restore:${hostId}`;
/** What the tree and the server see to themselves. */
const notKept = new Set(["csrf_token", "path", "dry_run"]);

export function saveDraft(hostId: string, form: HTMLFormElement, items: readonly Item[]): void {
  const fields: Record<string, string> = {};
  for (const control of form.elements) {
    if (
      !(
        control instanceof HTMLInputElement ||
        control instanceof HTMLSelectElement ||
        control instanceof HTMLTextAreaElement
      )
    )
      continue;
    if (control.name === "" || notKept.has(control.name)) continue;
    if (control instanceof HTMLInputElement && (control.type === "radio" || control.type === "checkbox")) {
      if (control.checked) fields[control.name] = control.value;
      else if (control.type === "checkbox") fields[control.name] = "";
    } else fields[control.name] = control.value;
  }
  try {
    sessionStorage.setItem(keyOfHost(hostId), JSON.stringify({ fields, items: [...items] } satisfies Draft));
  } catch {
    // Full or switched off: the page works without.
  }
}

/** What was kept, when this page is the same wizard again and not a new one. */
export function findDraft(hostId: string): Draft | null {
  const entry = performance.getEntriesByType("navigation")[0] as PerformanceNavigationTiming | undefined;
  const cameBack = entry?.type === "reload" || entry?.type === "back_forward";
  if (!cameBack && !document.referrer.startsWith(`${location.origin}/login`)) return null;
  try {
    return readDraft(JSON.parse(sessionStorage.getItem(keyOfHost(hostId)) ?? "null"));
  } catch {
    return null;
  }
}

export function dropDraft(hostId: string): void {
  try {
    sessionStorage.removeItem(keyOfHost(hostId));
  } catch {
    // As above.
  }
}

/** Of another version of this page anything may be there. */
export function readDraft(value: unknown): Draft | null {
  if (typeof value !== "object" || value === null) return null;
  const { fields, items } = value as Partial<Draft>;
  if (typeof fields !== "object" || fields === null || !Array.isArray(items)) return null;
  const texts = Object.entries(fields).filter(([, text]) => typeof text === "string");
  return { fields: Object.fromEntries(texts), items: items.filter(isItem) };
}

const isItem = (value: unknown): value is Item => {
  const { ref, path, kind, sizeBytes } = (value ?? {}) as Partial<Item>;
  return (
    [ref, path, kind].every((text) => typeof text === "string") &&
    (sizeBytes === null || typeof sizeBytes === "number")
  );
};

/** Puts kept values into the form. */
export function fillForm(form: HTMLFormElement, { fields }: Draft): void {
  for (const control of form.elements) {
    if (control instanceof HTMLInputElement && (control.type === "radio" || control.type === "checkbox")) {
      const value = fields[control.name];
      if (value !== undefined) control.checked = control.value === value;
    } else if (
      control instanceof HTMLInputElement ||
      control instanceof HTMLSelectElement ||
      control instanceof HTMLTextAreaElement
    ) {
      const value = fields[control.name];
      if (value !== undefined && !notKept.has(control.name)) control.value = value;
    }
  }
}
