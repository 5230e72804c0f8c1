/**
 * The parts every page is made of: panels, empty states, notices, tags, copy blocks, progress, pages.
 * Pure and without knowledge of features.
 */
import type { ComponentChildren, JSX } from "preact";
import { formatCount } from "./format.ts";
import { Icon } from "./icons.tsx";
import type { Tone } from "./state.tsx";

/** A framed section with a title and, at the right of it, tools. */
export function Panel(props: {
  title: string;
  tools?: ComponentChildren;
  note?: ComponentChildren;
  id?: string;
  class?: string;
  children?: ComponentChildren;
}): JSX.Element {
  return (
    <section class={props.class ? `panel ${props.class}` : "panel"} id={props.id} aria-label={props.title}>
      <header>
        <h2>
          {props.title}
          {props.note ? <span class="note">{props.note}</span> : null}
        </h2>
        {props.tools ? <div class="tools">{props.tools}</div> : null}
      </header>
      {props.children}
    </section>
  );
}

/** Nothing here yet: what it means, and the next step. */
export function Empty(props: {
  title: string;
  children?: ComponentChildren;
  action?: ComponentChildren;
}): JSX.Element {
  return (
    <div class="empty">
      <p class="empty-title">{props.title}</p>
      {props.children ? <div class="empty-text">{props.children}</div> : null}
      {props.action ? <div class="empty-action">{props.action}</div> : null}
    </div>
  );
}

/** A sentence that matters, tinted by its meaning. */
export function Notice(props: {
  tone: Tone;
  title?: string;
  children?: ComponentChildren;
  live?: boolean;
}): JSX.Element {
  return (
    <div class={`notice ${props.tone}`} role={props.live ? "status" : undefined}>
      <Icon
        name={
          props.tone === "ok" ? "check" : props.tone === "idle" || props.tone === "running" ? "info" : "alert"
        }
      />
      <div>
        {props.title ? <strong>{props.title}</strong> : null}
        {props.children}
      </div>
    </div>
  );
}

/** A list of tags. */
export function Tags({ tags }: { tags: readonly string[] }): JSX.Element | null {
  if (tags.length === 0) return null;
  return (
    <span class="tags">
      {tags.map((tag) => (
        <span class="tag" key={tag}>
          {tag}
        </span>
      ))}
    </span>
  );
}

/** Text that may scroll, reachable by keyboard. The text itself is in an element with the id, when given. */
export function ScrollText(props: { text: string; label: string; id?: string; class?: string }): JSX.Element {
  return (
    <section
      class={props.class ?? "scroll-text"}
      aria-label={props.label}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls needs a tab stop
      tabIndex={0}
    >
      <pre id={props.id}>{props.text}</pre>
    </section>
  );
}

/** Text to take along: selectable, with a copy button where scripts run. */
export function CopyBlock({ text, label, id }: { text: string; label: string; id: string }): JSX.Element {
  return (
    <div class="copy-block">
      <ScrollText class="copy-text" text={text} label={`Text of the ${label}`} id={id} />
      <CopyButton target={id} label={label} />
    </div>
  );
}

/** Copies the text of the element with the id `target`; hidden while scripts do not run. */
export function CopyButton({ target, label }: { target: string; label: string }): JSX.Element {
  return (
    <button type="button" class="btn small scripted" data-copy={target} aria-label={`Copy ${label}`}>
      <Icon name="copy" />
      <span data-copy-word="">Copy</span>
    </button>
  );
}

/** A bar of progress; `share` from 0 to 1, null for an honest "unknown yet". */
export function ProgressBar(props: {
  share: number | null;
  label: string;
  tone?: Tone;
  id?: string;
}): JSX.Element {
  return (
    <progress
      class={`bar ${props.tone ?? "running"}`}
      id={props.id}
      aria-label={props.label}
      {...(props.share === null ? {} : { value: Math.min(1, Math.max(0, props.share)), max: 1 })}
    />
  );
}

/** Terms and values in a row that wraps. */
export function Facts({
  facts,
}: {
  facts: readonly { term: string; value: ComponentChildren; id?: string }[];
}): JSX.Element {
  return (
    <dl class="facts">
      {facts.map((fact) => (
        <div key={fact.term} id={fact.id}>
          <dt>{fact.term}</dt>
          <dd>{fact.value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** Where a list stands: page from 1, and how many rows there are altogether. */
export interface PageInfo {
  page: number;
  pageSize: number;
  total: number;
}

/** Links to the pages before and after; nothing when everything fits on one. */
export function Pagination(props: {
  info: PageInfo;
  noun: string;
  urlOf: (page: number) => string;
  /** For a list that does not go by time. */
  words?: { back: string; on: string };
}): JSX.Element | null {
  const { page, pageSize, total } = props.info;
  const last = Math.max(1, Math.ceil(total / pageSize));
  if (last === 1) return null;
  const from = (page - 1) * pageSize + 1;
  return (
    <nav class="pages" aria-label={`Pages of ${props.noun}`}>
      <span class="faint">
        {formatCount(from)}–{formatCount(Math.min(total, page * pageSize))} of {formatCount(total)}{" "}
        {props.noun}
      </span>
      <PageLink
        url={page > 1 ? props.urlOf(page - 1) : null}
        rel="prev"
        word={props.words?.back ?? "Newer"}
      />
      <PageLink
        url={page < last ? props.urlOf(page + 1) : null}
        rel="next"
        word={props.words?.on ?? "Older"}
      />
    </nav>
  );
}

function PageLink({ url, rel, word }: { url: string | null; rel: string; word: string }): JSX.Element {
  if (url === null) {
    return (
      <span class="btn small" aria-disabled="true">
        {word}
      </span>
    );
  }
  return (
    <a class="btn small" rel={rel} href={url}>
      {word}
    </a>
  );
}

/** A path with its parameters; empty ones are left out, so that links stay short. */
export function urlWith(
  path: string,
  params: Readonly<Record<string, string | number | null | undefined>>,
): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (value !== null && value !== undefined && value !== "") query.set(name, String(value));
  }
  const text = query.toString();
  return text === "" ? path : `${path}?${text}`;
}
