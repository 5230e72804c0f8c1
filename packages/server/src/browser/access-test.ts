/**
 * Entry of the module beside a form of credentials: "Test connection" asks without leaving the page, so that the secrets
 * that were typed stay in their fields. Without this module the page comes back with the result and without them.
 */
import { applyFragment } from "./live.ts";

const RUNNING =
  '<p class="state running"><i class="dot running" aria-hidden="true"></i><span>The host tries to open the repository. This takes up to 15 seconds.</span></p>';
const UNREACHABLE =
  '<p class="form-message">No answer came from this server. Look whether it runs, then test again.</p>';

async function ask(form: HTMLFormElement, button: HTMLButtonElement): Promise<string> {
  const body = new URLSearchParams();
  for (const [name, value] of new FormData(form)) if (typeof value === "string") body.set(name, value);
  try {
    const source = button.dataset.testSrc ?? "";
    // A redirect is the way to the sign-in page.
    const init = { method: "POST", body, credentials: "same-origin", redirect: "manual" } as const;
    const response = await fetch(source, init);
    if (response.type === "opaqueredirect" || response.status === 401) {
      location.reload();
      return "";
    }
    return response.status === 200 ? await response.text() : UNREACHABLE;
  } catch {
    return UNREACHABLE;
  }
}

async function test(form: HTMLFormElement, button: HTMLButtonElement): Promise<void> {
  const result = form.querySelector<HTMLElement>("[data-test-result]");
  if (result === null) return;
  button.disabled = true;
  applyFragment(result, RUNNING);
  applyFragment(result, await ask(form, button));
  button.disabled = false;
  button.focus();
  result.scrollIntoView({ block: "nearest" });
}

document.addEventListener("submit", (event) => {
  const { target, submitter } = event;
  if (!(target instanceof HTMLFormElement && submitter instanceof HTMLButtonElement)) return;
  if (submitter.dataset.testSrc === undefined) return;
  event.preventDefault();
  void test(target, submitter);
});
