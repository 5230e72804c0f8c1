/**
 * What differs between two snapshots: figures, filters that stand in the URL, and pages of rows. Paths are untrusted: they
 * are text, and may be long. While the job runs the page asks again by itself.
 */
import type { DiffResult } from "@restic-manager/protocol";
import type { ComponentChildren, JSX } from "preact";
import { formatBytes, formatCount, formatNoun } from "../../platform/html/format.ts";
import { Icon } from "../../platform/html/icons.tsx";
import { renderFragment, renderPage } from "../../platform/html/page.tsx";
import { Empty, Facts, Notice, type PageInfo, Pagination, urlWith } from "../../platform/html/parts.tsx";
import type { PageContext } from "../../platform/html/scope.ts";
import { isLive, type JobStatus, Pill } from "../../platform/html/state.tsx";
import { Bytes, None, Time } from "../../platform/html/values.tsx";
import type { Change, ChangeFilter, ChangeKind } from "./diff.ts";

interface Compared {
  id: string;
  /** Null when it is not listed any more. */
  at: number | null;
}

export interface ComparisonProps {
  job: { id: string; status: JobStatus; error: string | null };
  /** Null when it was removed. */
  host: { id: string; name: string } | null;
  from: Compared;
  to: Compared;
  result: DiffResult | null;
  /** Of this page, in restic's order. */
  changes: readonly Change[];
  /** How many the log holds. */
  total: number;
  logPruned: boolean;
  filter: ChangeFilter;
  /** Of those that pass the filter. */
  page: PageInfo;
}

/** The page /jobs/{id}/diff?kind=&text=&page=. */
export function renderComparisonPage(page: PageContext, props: ComparisonProps): string {
  const { host, job } = props;
  const name = host?.name ?? "deleted host";
  const live = isLive(job.status)
    ? { "data-live-src": `/fragments${urlOf(props, props.page.page)}`, "data-live-ms": "2000" }
    : {};
  return renderPage(page, {
    title: `Changes · ${name}`,
    nav: "jobs",
    crumbs: [
      { label: "Hosts", href: "/" },
      { label: name, mono: true, ...(host ? { href: `/hosts/${encodeURIComponent(host.id)}` } : {}) },
      { label: "Comparison", href: `/jobs/${encodeURIComponent(job.id)}` },
      { label: "Changes" },
    ],
    content: (
      <div id="diff-live" {...live}>
        <Comparison {...props} />
      </div>
    ),
  });
}

/** The fragment /fragments/jobs/{id}/diff with the same query. */
export function renderComparisonFragment(page: PageContext, props: ComparisonProps): string {
  return renderFragment(page, <Comparison {...props} />);
}

const urlOf = ({ job, filter }: ComparisonProps, page: number): string =>
  urlWith(`/jobs/${encodeURIComponent(job.id)}/diff`, { ...filter, page: page === 1 ? null : page });

function Comparison(props: ComparisonProps): JSX.Element {
  const { job } = props;
  return (
    <>
      <div class="head" id="diff-head">
        <div class="head-main">
          <h1>Changes between two snapshots</h1>
          <p class="head-line">
            <Side {...props.from} />
            <Side {...props.to} word="to" />
          </p>
        </div>
        <a class="btn" href={`/jobs/${encodeURIComponent(job.id)}`}>
          Open job
        </a>
      </div>
      {isLive(job.status) ? <Waiting {...props} /> : <Ended {...props} />}
    </>
  );
}

function Side({ id, at, word = "from" }: Compared & { word?: string }): JSX.Element {
  return (
    <span>
      {word}{" "}
      <span class="mono" title={id}>
        {id.slice(0, 8)}
      </span>
      {at === null ? (
        ", not listed any more"
      ) : (
        <>
          , <Time at={at} />
        </>
      )}
    </span>
  );
}

function Waiting({ job }: ComparisonProps): JSX.Element {
  return (
    <section class="panel" aria-label="Changes" id="diff-rows">
      <Empty title="Comparing…">
        <Pill state={job.status} /> restic compares the two snapshots. What differs appears here when it is
        done.
      </Empty>
    </section>
  );
}

function Ended(props: ComparisonProps): JSX.Element {
  const { job, result } = props;
  return (
    <>
      {/* Nothing changes any more. */}
      <span data-live-end="" hidden />
      {job.error === null ? null : (
        <Notice tone="fail" title="The comparison did not end well.">
          <span>{job.error}</span>
        </Notice>
      )}
      <Incomplete {...props} />
      {result === null ? null : (
        <section class="panel" aria-label="In figures" id="diff-figures">
          <Facts facts={figuresOf(result)} />
        </section>
      )}
      <section class="panel" aria-label="Changes" id="diff-rows">
        <header>
          <h2>
            Changes <span class="note">{formatCount(props.page.total)}</span>
          </h2>
          <Filters {...props} />
        </header>
        {props.changes.length === 0 ? <NoRows {...props} /> : <Rows changes={props.changes} />}
        <Pagination
          info={props.page}
          noun="changes"
          words={{ back: "Previous", on: "Next" }}
          urlOf={(page) => urlOf(props, page)}
        />
      </section>
    </>
  );
}

function figuresOf({ added, removed, changed, metadata }: DiffResult) {
  const both = (figure: DiffResult["added"]): string =>
    `${formatCount(figure.count)} · ${formatBytes(figure.bytes)}`;
  return [
    { term: "Added", value: both(added) },
    { term: "Removed", value: both(removed) },
    { term: "Changed", value: `${formatCount(changed.count)} · now ${formatBytes(changed.bytes)}` },
    { term: "Metadata only", value: formatCount(metadata) },
  ];
}

/** What the rows do not show, so that nobody takes them for everything. */
function Incomplete({ result, total, logPruned, job }: ComparisonProps): JSX.Element | null {
  if (logPruned)
    return (
      <Notice tone="idle" title="The log of this comparison was removed for its age.">
        <span>Its figures stay. Compare the two snapshots again to see what differs.</span>
      </Notice>
    );
  if (result === null) return null;
  const all = result.added.count + result.removed.count + result.changed.count + result.metadata;
  const missing = Math.max(0, all - total);
  if (missing > 0)
    return (
      <Notice tone="warn" title={`${formatNoun(missing, "change")} of ${formatCount(all)} can’t be shown.`}>
        <span>
          The log is not complete yet, or there were more than one may hold.{" "}
          <a class="link" href={`/jobs/${encodeURIComponent(job.id)}`}>
            The job
          </a>{" "}
          says which.
        </span>
      </Notice>
    );
  if (result.sized) return null;
  return (
    <Notice tone="idle">
      <span>There are very many changes: sizes and modes were looked up for the first 100,000 only.</span>
    </Notice>
  );
}

const kindWords: Readonly<Record<ChangeKind, string>> = {
  added: "added",
  removed: "removed",
  content: "content",
  type: "type",
  metadata: "metadata",
};

function Filters(props: ComparisonProps): JSX.Element {
  const { filter, job } = props;
  const url = `/jobs/${encodeURIComponent(job.id)}/diff`;
  const chip = (kind: ChangeKind | null, label: string) => (
    <a
      class="chip"
      href={urlWith(url, { ...filter, kind })}
      aria-current={(filter.kind ?? null) === kind ? "true" : undefined}
    >
      {label}
    </a>
  );
  return (
    <div class="tools">
      <nav class="chips" aria-label="Filter by kind">
        {chip(null, "All")}
        {chip("added", "Added")}
        {chip("removed", "Removed")}
        {chip("content", "Content")}
        {chip("type", "Type")}
        {chip("metadata", "Metadata")}
      </nav>
      <form method="get" action={url} class="search-form" aria-label="Filter by path">
        {filter.kind ? <input type="hidden" name="kind" value={filter.kind} /> : null}
        <input
          class="input"
          type="search"
          name="text"
          value={filter.text ?? ""}
          placeholder="Part of a path"
          aria-label="Part of a path"
          autocapitalize="none"
          spellcheck={false}
        />
        <button type="submit" class="btn small">
          <Icon name="search" />
          Find
        </button>
      </form>
    </div>
  );
}

function NoRows(props: ComparisonProps): JSX.Element {
  const { filter, job, result } = props;
  if (filter.kind !== undefined || (filter.text ?? "") !== "")
    return (
      <Empty
        title="No change matches"
        action={
          <a class="btn" href={`/jobs/${encodeURIComponent(job.id)}/diff`}>
            Show all changes
          </a>
        }
      />
    );
  return result === null || props.logPruned ? (
    <Empty title="No changes to show" />
  ) : (
    <Empty title="The snapshots do not differ">Every file is the same in both.</Empty>
  );
}

function Rows({ changes }: { changes: readonly Change[] }): JSX.Element {
  return (
    <table class="rows differences">
      <caption class="sr-only">What differs, in the order of the paths</caption>
      <thead>
        <tr>
          <th scope="col" class="col-change">
            Change
          </th>
          <th scope="col">Path</th>
          <th scope="col" class="num col-size">
            Size
          </th>
          <th scope="col" class="num col-size mid-up">
            Before
          </th>
          <th scope="col" class="col-mode mid-up">
            Mode
          </th>
        </tr>
      </thead>
      <tbody>
        {changes.map((change) => (
          <tr key={change.path}>
            <td>
              <KindWord change={change} />
            </td>
            <td class="mono break">{change.path}</td>
            <td class="num">
              <Bytes size={change.sizeAfter} />
            </td>
            <td class="num mid-up">
              <Bytes size={change.sizeBefore} />
            </td>
            <td class="mono mid-up">
              <Mode change={change} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** Colour is for what may be wrong, and an ordinary change is not. */
function KindWord({ change }: { change: Change }): JSX.Element {
  if (!change.suspicious) return <>{kindWords[change.kind]}</>;
  return (
    <span class="word warn" title="Other bytes under the same size and times: the disk may have lost some.">
      bit rot?
    </span>
  );
}

function Mode({ change: { modeBefore, modeAfter } }: { change: Change }): ComponentChildren {
  if (modeBefore === null && modeAfter === null) return <None />;
  if (modeBefore === null || modeAfter === null || modeBefore === modeAfter)
    return <>{modeAfter ?? modeBefore}</>;
  return (
    <>
      {modeBefore} → {modeAfter}
    </>
  );
}
