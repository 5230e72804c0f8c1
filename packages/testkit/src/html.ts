/** Pages as tests see them: the surroundings of a rendered view, and queries by role or selector. */
import { type HTMLElement, parse } from "node-html-parser";
import type { PageContext } from "../../server/src/platform/html/scope.ts";

/** The instant at which test pages are made. */
export const PAGE_NOW = Date.UTC(2026, 10, 23, 4, 53, 20);

/** The surroundings of a view: an admin in the dark theme, unless the test says otherwise. */
export function viewPage(overrides: Partial<PageContext> = {}): PageContext {
  return {
    user: { name: "operator", role: "admin" },
    theme: "dark",
    version: "0.0.0-test",
    database: "SQLite",
    csrfToken: "token-of-the-form",
    now: PAGE_NOW,
    assets: new Proxy({}, { get: (_assets, name) => String(name) }),
    path: "/here",
    ...overrides,
  };
}

/** A parsed page. */
export const parseHtml = (html: string): HTMLElement => parse(html);

/** The one element a selector finds. @throws Error when there is none, naming the selector. */
export function find(root: HTMLElement, selector: string): HTMLElement {
  const found = root.querySelector(selector);
  if (found === null) throw new Error(`Nothing matches ${selector}.`);
  return found;
}

/** The text of an element as a reader sees it: tags gone, entities decoded, spaces joined. */
export function textOf(element: HTMLElement): string {
  return element.text.replace(/\s+/g, " ").trim();
}

/** The button or link with these words (or this label). @throws Error when there is none. */
export function findControl(root: HTMLElement, words: string): HTMLElement {
  const control = root
    .querySelectorAll("button, a")
    .find((candidate) => (candidate.getAttribute("aria-label") ?? textOf(candidate)) === words);
  if (control === undefined) throw new Error(`There is no button or link "${words}".`);
  return control;
}
