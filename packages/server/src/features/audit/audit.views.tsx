/**
 * The audit log: who did what to what, newest first, in absolute UTC, with filters that live in the URL.
 * Shows what is recorded and offers no way to change it.
 */
import type { JSX } from "preact";
import { renderPage } from "../../platform/html/page.tsx";
import { Empty, Panel, urlWith } from "../../platform/html/parts.tsx";
import type { PageContext } from "../../platform/html/scope.ts";
import { None, UtcTime } from "../../platform/html/values.tsx";
import type { Actor } from "../../platform/http/identity.ts";

/** One recorded act. */
export interface AuditRow {
  id: string;
  at: number;
  /** Who: a user's name, `system`, or an agent's host name. */
  actor: string;
  actorKind: Actor["kind"];
  /** The name of the API token that the user's program came with. */
  actorToken?: string | undefined;
  /** E.g. `host.delete`. */
  action: string;
  targetKind: string | null;
  targetId: string | null;
  /** The name of the target at that time. */
  targetName: string | null;
  /** Without secrets; any JSON value. Null when there is none. */
  payload: unknown;
}

/** What is filtered by; `from` and `to` as `YYYY-MM-DD`, inclusive, UTC. */
export interface AuditFormValues {
  user?: string | undefined;
  action?: string | undefined;
  target?: string | undefined;
  from?: string | undefined;
  to?: string | undefined;
}

/** The audit page. */
export interface AuditPageProps {
  entries: readonly AuditRow[];
  /** The cursor of the following, older page; null on the last one. */
  next: string | null;
  /** Whether newer entries come before these. */
  paged: boolean;
  filter: AuditFormValues;
  /** The names to choose from. */
  users: readonly string[];
  actions: readonly string[];
  /** Said when a filter could not be read, e.g. an impossible date. */
  filterError?: string | undefined;
}

/** The page /audit?user=&action=&target=&from=&to=&before=. */
export function renderAuditPage(page: PageContext, props: AuditPageProps): string {
  return renderPage(page, { title: "Audit", nav: "audit", content: <AuditPage {...props} /> });
}

function AuditPage(props: AuditPageProps): JSX.Element {
  const filtered = Object.values(props.filter).some((value) => value !== undefined && value !== "");
  return (
    <>
      <div class="head">
        <h1>Audit</h1>
        <p class="faint">Every change, by whom and when. Entries cannot be edited.</p>
      </div>
      <Panel title="Entries">
        <Filters {...props} filtered={filtered} />
        {props.entries.length === 0 ? (
          <Empty
            title={filtered ? "No entry matches these filters" : "Nothing has been recorded yet"}
            action={
              filtered ? (
                <a class="btn" href="/audit">
                  Clear the filters
                </a>
              ) : null
            }
          />
        ) : (
          <Entries entries={props.entries} />
        )}
        <Pages {...props} />
      </Panel>
    </>
  );
}

/** By cursor, not by number: entries arrive while one reads, and a count of the whole trail would be slow. */
function Pages({ next, paged, filter }: AuditPageProps): JSX.Element | null {
  if (next === null && !paged) return null;
  return (
    <nav class="pages" aria-label="Pages of entries">
      {paged ? (
        <a class="btn small" href={urlWith("/audit", { ...filter })}>
          Newest
        </a>
      ) : null}
      {next === null ? null : (
        <a class="btn small" rel="next" href={urlWith("/audit", { ...filter, before: next })}>
          Older
        </a>
      )}
    </nav>
  );
}

function Filters(props: AuditPageProps & { filtered: boolean }): JSX.Element {
  const { filter } = props;
  return (
    <form class="filters" method="get" action="/audit" aria-label="Filter the audit log">
      <Choice name="user" label="User" value={filter.user} options={props.users} any="Anyone" />
      <Choice name="action" label="Action" value={filter.action} options={props.actions} any="Any action" />
      <label class="filter">
        <span>Target</span>
        <input
          class="input"
          type="search"
          name="target"
          value={filter.target ?? ""}
          placeholder="Name or id"
          data-search=""
        />
      </label>
      <label class="filter">
        <span>From (UTC)</span>
        <input class="input" type="date" name="from" value={filter.from ?? ""} />
      </label>
      <label class="filter">
        <span>To (UTC)</span>
        <input class="input" type="date" name="to" value={filter.to ?? ""} />
      </label>
      <div class="filter-actions">
        <button type="submit" class="btn">
          Filter
        </button>
        {props.filtered ? (
          <a class="btn quiet" href="/audit">
            Clear
          </a>
        ) : null}
      </div>
      {props.filterError ? (
        <p class="field-error" role="alert">
          {props.filterError}
        </p>
      ) : null}
    </form>
  );
}

function Choice(props: {
  name: string;
  label: string;
  value: string | undefined;
  options: readonly string[];
  any: string;
}): JSX.Element {
  return (
    <label class="filter">
      <span>{props.label}</span>
      <select class="input" name={props.name}>
        <option value="">{props.any}</option>
        {props.options.map((option) => (
          <option key={option} value={option} selected={option === props.value}>
            {option}
          </option>
        ))}
      </select>
    </label>
  );
}

function Entries({ entries }: { entries: readonly AuditRow[] }): JSX.Element {
  return (
    <table class="rows audit">
      <caption class="sr-only">Audit entries, newest first</caption>
      <thead>
        <tr>
          <th scope="col">Time</th>
          <th scope="col">Actor</th>
          <th scope="col">Action</th>
          <th scope="col">Target</th>
          <th scope="col">Details</th>
        </tr>
      </thead>
      <tbody>
        {entries.map((entry) => (
          <Entry key={entry.id} entry={entry} />
        ))}
      </tbody>
    </table>
  );
}

function Entry({ entry }: { entry: AuditRow }): JSX.Element {
  return (
    <tr>
      <td class="when">
        <UtcTime at={entry.at} />
      </td>
      <td>
        <span class={entry.actorKind === "user" ? "" : "muted"}>{entry.actor}</span>
        {entry.actorKind === "user" || entry.actorKind === entry.actor ? null : (
          <small class="faint"> {entry.actorKind}</small>
        )}
        {entry.actorToken === undefined ? null : (
          <small class="faint">
            {" "}
            token <span class="mono">{entry.actorToken}</span>
          </small>
        )}
      </td>
      <td class="mono">{entry.action}</td>
      <td class="target">
        <Target entry={entry} />
      </td>
      <td class="payload">
        {entry.payload === null ? (
          <None label="no details" />
        ) : (
          <details>
            <summary>{gistOf(entry.payload)}</summary>
            <pre class="mono">{JSON.stringify(entry.payload, null, 2)}</pre>
          </details>
        )}
      </td>
    </tr>
  );
}

/** More is read by opening it. */
const GIST_CHARACTERS = 44;

/** The payload in a line: what is simple in it, as much as fits. */
function gistOf(payload: unknown): string {
  if (typeof payload !== "object" || payload === null) return "Payload";
  const simple = Object.entries(payload).filter(([, value]) =>
    ["string", "number", "boolean"].includes(typeof value),
  );
  const gist = simple.map(([name, value]) => `${name}: ${value}`).join(", ");
  if (gist === "") return "Payload";
  return gist.length > GIST_CHARACTERS ? `${gist.slice(0, GIST_CHARACTERS - 1)}…` : gist;
}

function Target({ entry }: { entry: AuditRow }): JSX.Element {
  if (entry.targetKind === null) return <None label="no target" />;
  return (
    <>
      <span class="faint">{entry.targetKind} </span>
      <span class="mono" title={entry.targetId ?? undefined}>
        {entry.targetName ?? entry.targetId}
      </span>
    </>
  );
}
