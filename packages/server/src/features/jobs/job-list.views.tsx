/** All jobs of the fleet, newest first, filtered by status, kind and host through the URL. */
import type { JSX } from "preact";
import { formatBytes, formatDuration, formatNoun, formatPercent } from "../../platform/html/format.ts";
import { renderFragment, renderPage } from "../../platform/html/page.tsx";
import { Empty, type PageInfo, Pagination, urlWith } from "../../platform/html/parts.tsx";
import type { PageContext } from "../../platform/html/scope.ts";
import { type JobStatus, State, wordOf } from "../../platform/html/state.tsx";
import { Elapsed, None, Time } from "../../platform/html/values.tsx";
import type { JobKind } from "./jobs.views.tsx";

/** One row of the list. */
export interface JobRow {
  id: string;
  kind: JobKind;
  status: JobStatus;
  host: { id: string; name: string } | null;
  /** The source group of a backup. */
  subject: string | null;
  actor: { kind: "user" | "schedule" | "system"; name: string };
  createdAt: number;
  startedAt: number | null;
  finishedAt: number | null;
  /** 0 to 1, of a running job. */
  share: number | null;
  addedBytes: number | null;
}

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
          All hosts <span class="note">{formatNoun(props.page.total, "job")}</span>
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
        <JobTable jobs={props.jobs} />
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
        {chip("live", "Running")}
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

function JobTable({ jobs }: { jobs: readonly JobRow[] }): JSX.Element {
  return (
    <table class="rows jobs">
      <caption class="sr-only">Jobs, newest first</caption>
      <thead>
        <tr>
          <th scope="col" class="col-job">
            Job
          </th>
          <th scope="col" class="col-jobhost">
            Host
          </th>
          <th scope="col" class="col-state">
            Status
          </th>
          <th scope="col" class="col-when mid-up">
            Started
          </th>
          <th scope="col" class="num col-took mid-up">
            Took
          </th>
          <th scope="col" class="num col-added wide-only">
            Added
          </th>
          <th scope="col" class="col-by wide-only">
            By
          </th>
        </tr>
      </thead>
      <tbody id="job-rows">
        {jobs.map((job) => (
          <JobTableRow key={job.id} job={job} />
        ))}
      </tbody>
    </table>
  );
}

function JobTableRow({ job }: { job: JobRow }): JSX.Element {
  const share = job.status === "running" && job.share !== null ? ` ${formatPercent(job.share)}` : "";
  return (
    <tr id={`job-${job.id}`} class="short">
      <td>
        <a class="row-link" href={`/jobs/${encodeURIComponent(job.id)}`}>
          {job.kind}
          {job.subject === null ? null : <span class="muted"> {job.subject}</span>}
        </a>
      </td>
      <td class="mono clip">{job.host?.name ?? <span class="faint">deleted</span>}</td>
      <td>
        <State state={job.status} word={`${wordOf(job.status)}${share}`} />
      </td>
      <td class="muted mid-up">
        <Time at={job.startedAt ?? job.createdAt} />
      </td>
      <td class="num mid-up">
        <JobTook job={job} />
      </td>
      <td class="num wide-only">{job.addedBytes === null ? <None /> : formatBytes(job.addedBytes)}</td>
      <td class="muted wide-only clip">{job.actor.kind === "user" ? job.actor.name : job.actor.kind}</td>
    </tr>
  );
}

function JobTook({ job }: { job: JobRow }): JSX.Element {
  if (job.startedAt === null) return <None label="not started" />;
  if (job.finishedAt === null) return <Elapsed from={job.startedAt} />;
  return <>{formatDuration(job.finishedAt - job.startedAt)}</>;
}
