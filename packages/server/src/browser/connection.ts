/**
 * What the page says when its live parts stand still: signed out, deleted meanwhile, or no answer. The words are
 * in the page already (shell.tsx), hidden; this only shows the fitting ones. Nothing else on the page moves.
 */

/** What became of a look at the server. */
export type Outcome = "ok" | "signed_out" | "gone" | "unreachable";

/** Shows the words for the outcome; `ok` takes them away. */
export function showConnection(outcome: Outcome): void {
  const bar = document.getElementById("connection");
  if (bar === null) return;
  for (const words of bar.querySelectorAll<HTMLElement>("[data-connection]")) {
    words.hidden = words.dataset.connection !== outcome;
  }
  bar.hidden = outcome === "ok";
  // Filters change the address while the page is open: back to what the reader sees now.
  const next = encodeURIComponent(location.pathname + location.search);
  bar.querySelector('a[href^="/login"]')?.setAttribute("href", `/login?next=${next}`);
}
