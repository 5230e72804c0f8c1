/** The table of jobs, as the list of all jobs and every host's page show it. */
import type { JSX } from "preact";
import { formatBytes, formatDuration, formatPercent } from "../../platform/html/format.ts";
import { type JobStatus, State, wordOf } from "../../platform/html/state.tsx";
import { Elapsed, None, Time } from "../../platform/html/values.tsx";
import type { JobKind } from "./jobs.views.tsx";

/** One row. */
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

/** Newest first. Of one host, the column with its name is left out. */
export function JobTable({ jobs, of }: { jobs: readonly JobRow[]; of: "fleet" | "host" }): JSX.Element {
  return (
    <table class={of === "fleet" ? "rows jobs" : "rows host-jobs"}>
      <caption class="sr-only">Jobs, newest first</caption>
      <thead>
        <tr>
          <th scope="col" class="col-job">
            Job
          </th>
          {of === "fleet" ? (
            <th scope="col" class="col-jobhost">
              Host
            </th>
          ) : null}
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
          <JobTableRow key={job.id} job={job} showsHost={of === "fleet"} />
        ))}
      </tbody>
    </table>
  );
}

function JobTableRow({ job, showsHost }: { job: JobRow; showsHost: boolean }): JSX.Element {
  const share = job.status === "running" && job.share !== null ? ` ${formatPercent(job.share)}` : "";
  return (
    <tr id={`job-${job.id}`} class="short">
      <td>
        <a
          class="row-link"
          href={`/jobs/${encodeURIComponent(job.id)}`}
          title={job.subject === null ? undefined : `${job.kind} ${job.subject}`}
        >
          {job.kind}
          {job.subject === null ? null : <span class="muted"> {job.subject}</span>}
        </a>
      </td>
      {showsHost ? (
        <td class="mono clip" title={job.host?.name}>
          {job.host?.name ?? <span class="faint">deleted</span>}
        </td>
      ) : null}
      <td>
        <State state={job.status} word={`${wordOf(job.status)}${share}`} />
        {/* On a phone the columns of times are gone, but when it ran is half of what one looks for. */}
        <small class="phone-only faint">
          <Time at={job.startedAt ?? job.createdAt} />
        </small>
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
