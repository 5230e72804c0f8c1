/** All jobs of the fleet, newest first, filtered by status, kind and host through the URL. */
import type { JSX } from "preact";
import { formatNoun } from "../../platform/html/format.ts";
import { renderFragment, renderPage } from "../../platform/html/page.tsx";
import { Empty, type PageInfo, Pagination, urlWith } from "../../platform/html/parts.tsx";
import type { PageContext } from "../../platform/html/scope.ts";
import { type JobRow, JobTable } from "./job-table.views.tsx";
import type { JobKind } from "./jobs.views.tsx";

/** What is shown; absent means everything. */
export interface JobFilter {
  status?: "live" | "failed" | "warning" | "succeeded";
  kind?: JobKind;
  host?: string;
}

/** The list. */
export interface JobListProps {
  jobs: readonly JobRow[];
  page: PageInfo;
  filter: JobFilter;
  kinds: readonly JobKind[];
}

/** The page /jobs?status=&kind=&host=&page=. */
export function renderJobListPage(page: PageContext, props: JobListProps): string {
  const { page: number } = props.page;
  const source = urlWith("/fragments/jobs", { ...props.filter, page: number === 1 ? null : number });
  return renderPage(page, {
    title: "Jobs",
    nav: "jobs",
    content: (
      <>
        <div class="head">
          <h1>Jobs</h1>
        </div>
        <div id="jobs-live" data-live-src={source} data-live-ms="5000">
          <JobList {...props} />
        </div>
      </>
    ),
  });
}

/** The fragment /fragments/jobs with the same query. */
export function renderJobListFragment(page: PageContext, props: JobListProps): string {
  return renderFragment(page, <JobList {...props} />);
}

function JobList(props: JobListProps): JSX.Element {
  const filtered = Object.values(props.filter).some((value) => value !== undefined);
  return (
    <section class="panel" aria-label="Jobs" id="jobs">
      <header>
        <h2>
          {props.filter.host ?? "All hosts"} <span class="note">{formatNoun(props.page.total, "job")}</span>
        </h2>
        <JobFilters {...props} />
      </header>
      {props.jobs.length === 0 ? (
        <Empty
          title={filtered ? "No job matches" : "No job has run yet"}
          action={
            <a class="btn" href={filtered ? "/jobs" : "/"}>
              {filtered ? "Show all jobs" : "Go to the hosts"}
            </a>
          }
        >
          {filtered ? null : "Run a backup from the dashboard or from a host’s page; it appears here."}
        </Empty>
      ) : (
        <JobTable jobs={props.jobs} of="fleet" />
      )}
      <Pagination
        info={props.page}
        noun="jobs"
        urlOf={(page) => urlWith("/jobs", { ...props.filter, page })}
      />
    </section>
  );
}

function JobFilters(props: JobListProps): JSX.Element {
  const { filter } = props;
  const chip = (status: JobFilter["status"] | null, label: string) => (
    <a
      class="chip"
      href={urlWith("/jobs", { ...filter, status })}
      aria-current={(filter.status ?? null) === status ? "true" : undefined}
    >
      {label}
    </a>
  );
  return (
    <div class="tools">
      <nav class="chips" aria-label="Filter by status">
        {chip(null, "All")}
        {chip("live", "Active")}
        {chip("failed", "Failed")}
        {chip("warning", "Warnings")}
        {chip("succeeded", "Succeeded")}
      </nav>
      <form method="get" action="/jobs" class="search-form" aria-label="Filter jobs">
        {filter.status ? <input type="hidden" name="status" value={filter.status} /> : null}
        {filter.host ? <input type="hidden" name="host" value={filter.host} /> : null}
        <select class="input" name="kind" aria-label="Kind" data-submit="">
          <option value="">Any kind</option>
          {props.kinds.map((kind) => (
            <option key={kind} value={kind} selected={kind === filter.kind}>
              {kind}
            </option>
          ))}
        </select>
        <noscript>
          <button type="submit" class="btn small">
            Apply
          </button>
        </noscript>
      </form>
    </div>
  );
}
