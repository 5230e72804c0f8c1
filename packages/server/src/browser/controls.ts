/** Small enhancements of what works without them: copy buttons, the theme switch, keyboard shortcuts. */

const COPIED_MS = 1600;
/** A second key that comes later than this is not part of a sequence. */
const SEQUENCE_MS = 900;

const GO: Readonly<Record<string, string>> = { h: "/", j: "/jobs", l: "/audit", s: "/settings/account" };

/** Starts them; ends with the signal. */
export function startControls(signal: AbortSignal): void {
  document.addEventListener("click", (event) => onClick(event), { signal });
  document.addEventListener("submit", (event) => onSubmit(event), { signal });
  startKeys(signal);
  // On a phone tabs and filters scroll sideways: where one is must be in sight.
  for (const current of document.querySelectorAll(".tabs [aria-current], .chips [aria-current]")) {
    current.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
}

function onClick(event: MouseEvent): void {
  const target = event.target instanceof Element ? event.target : null;
  const copy = target?.closest<HTMLElement>("[data-copy]");
  if (copy) void copyFrom(copy);
  if (target?.closest("[data-shortcuts]")) openShortcuts();
}

async function copyFrom(button: HTMLElement): Promise<void> {
  const source = document.getElementById(button.dataset.copy ?? "");
  if (source === null) return;
  const copied = (await writeClipboard(source.textContent ?? "")) || copySelected(source);
  const word = button.querySelector("[data-copy-word]");
  if (word === null) return;
  word.textContent = copied ? "Copied" : "Press Ctrl+C";
  window.setTimeout(() => {
    word.textContent = "Copy";
  }, COPIED_MS);
}

async function writeClipboard(text: string): Promise<boolean> {
  // Over plain HTTP (not localhost) browsers have no clipboard object.
  if (!window.isSecureContext) return false;
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

function copySelected(source: HTMLElement): boolean {
  const selection = getSelection();
  selection?.selectAllChildren(source);
  return document.execCommand("copy");
}

function onSubmit(event: SubmitEvent): void {
  const form = event.target;
  if (!(form instanceof HTMLFormElement) || form.getAttribute("action") !== "/preferences/theme") return;
  const button = event.submitter;
  if (!(button instanceof HTMLButtonElement)) return;
  event.preventDefault();
  void chooseTheme(form, button);
}

async function chooseTheme(form: HTMLFormElement, button: HTMLButtonElement): Promise<void> {
  document.documentElement.dataset.theme = button.value;
  for (const other of document.querySelectorAll<HTMLButtonElement>("button[name=theme]")) {
    other.setAttribute("aria-pressed", String(other.value === button.value));
  }
  const body = new URLSearchParams();
  for (const [name, value] of new FormData(form, button))
    if (typeof value === "string") body.set(name, value);
  try {
    await fetch(form.action, { method: "POST", body, credentials: "same-origin", redirect: "manual" });
  } catch {
    // Offline: the choice holds on this page, only the cookie is missing.
  }
}

function openShortcuts(): void {
  const dialog = document.getElementById("shortcuts");
  if (dialog instanceof HTMLDialogElement && !dialog.open) dialog.showModal();
}

function startKeys(signal: AbortSignal): void {
  let goUntilMs = 0;
  document.addEventListener(
    "keydown",
    (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (isTyping(event.target)) {
        if (event.key === "Escape" && event.target instanceof HTMLElement) event.target.blur();
        return;
      }
      if (document.querySelector("dialog[open]") !== null) return;
      const goes = event.timeStamp < goUntilMs ? GO[event.key] : undefined;
      goUntilMs = event.key === "g" ? event.timeStamp + SEQUENCE_MS : 0;
      if (goes !== undefined) location.assign(goes);
      else if (pressed(event.key)) event.preventDefault();
    },
    { signal },
  );
}

/** True when the key did something. */
function pressed(key: string): boolean {
  if (key === "?") openShortcuts();
  else if (key === "n") document.querySelector<HTMLAnchorElement>('main a[href="/hosts/new"]')?.click();
  else if (key === "/") {
    const search = document.querySelector<HTMLInputElement>("input[data-search]");
    search?.focus();
    search?.select();
  } else return false;
  return true;
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.matches("input, textarea, select");
}
