/**
 * Pages for what went wrong: what happened, why, what to do, and the request id to quote. Shown to signed-in
 * and anonymous readers alike; never shows a stack or a cause.
 */
import type { JSX } from "preact";
import { renderPage } from "./page.tsx";
import { type PageContext, usePage } from "./scope.ts";

/** One failed request. */
export interface ErrorPageProps {
  status: number;
  /** Stable code, e.g. `hosts.not_found`. */
  code: string;
  /** A sentence for the reader; left out, the status has one of its own. */
  message?: string | undefined;
  requestId: string;
}

const TITLES: Readonly<Record<number, { title: string; advice: string }>> = {
  400: { title: "This request makes no sense to us", advice: "Go back, check what was sent, and try again." },
  403: {
    title: "You may not do this",
    advice: "Ask an administrator for the role, or go back to the dashboard.",
  },
  404: {
    title: "There is nothing at this address",
    advice: "Check the address, or find the page from the dashboard.",
  },
  409: {
    title: "This does not fit the present state",
    advice: "Somebody or something was faster. Load the page again.",
  },
  413: { title: "That is more than we take at once", advice: "Send less, and try again." },
  429: { title: "Too many attempts", advice: "Wait a minute, then try again." },
  503: {
    title: "Not available just now",
    advice: "The server is starting or stopping. Try again in a moment.",
  },
};

/** Refusals that their status alone would explain wrongly. */
const BY_CODE: Readonly<Record<string, { title: string; advice: string }>> = {
  "request.form_expired": {
    title: "This form was too old to be sent",
    advice: "Nothing was changed. You signed in anew since the page was opened: go back and load it again.",
  },
  "request.cross_site": {
    title: "This request was refused",
    advice:
      "Nothing was changed. Open the page here and send it again; behind a proxy, RM_BASE_URL must be the address you see in the browser.",
  },
};

const wordsOf = ({ status, code }: ErrorPageProps) => BY_CODE[code] ?? TITLES[status] ?? INTERNAL;

const INTERNAL = {
  title: "Something broke on our side",
  advice: "Nothing you did. Try again; when it stays, search the server's log for the request id below.",
};

/** The document for a failed request. */
export function renderErrorPage(page: PageContext, props: ErrorPageProps): string {
  const { title } = wordsOf(props);
  return renderPage(page, { title, content: <ErrorCard {...props} /> });
}

function ErrorCard(props: ErrorPageProps): JSX.Element {
  const page = usePage();
  const { title, advice } = wordsOf(props);
  return (
    <div class="error-page">
      <p class="error-status mono">{props.status}</p>
      <h1>{title}</h1>
      {/* Of our own mistakes the advice says all there is to say. */}
      {props.message && props.code !== "internal" ? <p class="error-message">{props.message}</p> : null}
      <p class="muted">{advice}</p>
      <dl class="error-facts">
        <div>
          <dt>Code</dt>
          <dd class="mono">{props.code}</dd>
        </div>
        <div>
          <dt>Request</dt>
          <dd class="mono">{props.requestId}</dd>
        </div>
      </dl>
      <p class="actions">
        {page.user ? (
          <a class="btn primary" href="/">
            Go to the dashboard
          </a>
        ) : (
          <a class="btn primary" href="/login">
            Sign in
          </a>
        )}
      </p>
    </div>
  );
}
