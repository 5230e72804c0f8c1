/**
 * The table of hosts on the dashboard, a page of it at a time. Order and filters are links, so that they live in the URL.
 */
import type { JSX } from "preact";
import { formatCount, formatPercent } from "../../platform/html/format.ts";
import { urlWith } from "../../platform/html/parts.tsx";
import { useMayOperate } from "../../platform/html/scope.ts";
import { Dot, type JobStatus, type Tone, toneOf, wordOf } from "../../platform/html/state.tsx";
import { Bytes, None, Time } from "../../platform/html/values.tsx";
import type { Outdated } from "./host-drift.ts";
import { RunButton } from "./run-button.views.tsx";
import { sparkBox } from "./size-chart.ts";

/** How a host stands, worst thing first; decides dot, accent and filter. */
export type HostCondition =
  | "ok"
  | "warning"
  | "failed"
  | "running"
  | "offline"
  | "asleep"
  | "waiting"
  | "new";

/** One row of the table. */
export interface HostRow {
  id: string;
  name: string;
  condition: HostCondition;
  os: string | null;
  arch: string | null;
  /** Which of its programs are older than what is served; null for none. */
  outdated: Outdated | null;
  tags: readonly string[];
  online: boolean;
  lastSeenAt: number | null;
  lastBackup: { status: JobStatus; finishedAt: number } | null;
  /** The job that is queued or running now. `share` is 0 to 1, null while the total is unknown. */
  activeJob: {
    id: string;
    status: "queued" | "dispatched" | "running";
    share: number | null;
    at: number;
  } | null;
  /** What lies in its repository, which other hosts may share. */
  repositoryBytes: number | null;
  /** The path of the last 30 days of that; null for less than two days. */
  trend: string | null;
  snapshotCount: number | null;
  /** The next planned time of all its schedules; null when nothing is planned. */
  nextRunAt: number | null;
  /** The one schedule that runs all its groups; null when there is none or more than one. */
  coveringScheduleId: string | null;
}

/** What the table is filtered and ordered by. */
export interface HostFilter {
  search?: string;
  tag?: string;
  state?: "attention" | "running" | "offline";
  /** Older than what is served. */
  agent?: "behind";
  restic?: "behind";
  sort?: HostSort;
  direction?: "asc" | "desc";
}

/** The columns one can order by. */
export type HostSort = "name" | "backup" | "size" | "snapshots";

/** The table; the form with the id `run` MUST be on the page for its buttons. */
export function HostTable(props: { hosts: readonly HostRow[]; filter: HostFilter }): JSX.Element {
  return (
    <table class="rows hosts">
      <caption class="sr-only">Hosts and their last backups</caption>
      <thead>
        <tr>
          <SortHeader filter={props.filter} column="name" label="Host" class="col-host" />
          <th scope="col" class="col-tags wide-only">
            Tags
          </th>
          <SortHeader filter={props.filter} column="backup" label="Last backup" class="col-backup" />
          <th scope="col" class="col-next mid-up">
            Next run
          </th>
          <SortHeader filter={props.filter} column="size" label="Repository" class="num col-size mid-up" />
          <SortHeader
            filter={props.filter}
            column="snapshots"
            label="Snapshots"
            class="num col-count mid-up"
          />
          <th scope="col" class="col-act mid-up">
            <span class="sr-only">Actions</span>
          </th>
        </tr>
      </thead>
      <tbody id="host-rows">
        {props.hosts.map((host) => (
          <HostTableRow key={host.id} host={host} />
        ))}
      </tbody>
    </table>
  );
}

function SortHeader(props: {
  filter: HostFilter;
  column: HostSort;
  label: string;
  class: string;
}): JSX.Element {
  const { filter, column } = props;
  const active = (filter.sort ?? "name") === column;
  const direction = filter.direction ?? "asc";
  const next = active && direction === "asc" ? "desc" : "asc";
  const order = direction === "asc" ? "ascending" : "descending";
  return (
    <th scope="col" class={props.class} aria-sort={active ? order : undefined}>
      <a class="sort" href={urlWith("/", { ...filter, sort: column, direction: next })}>
        {props.label}
      </a>
    </th>
  );
}

const ACCENTS: Partial<Record<Tone, string>> = { fail: "fail", warn: "warn" };

function HostTableRow({ host }: { host: HostRow }): JSX.Element {
  const mayOperate = useMayOperate();
  const tone = toneOf(host.condition);
  const id = encodeURIComponent(host.id);
  const platform = host.os === null ? "not connected yet" : `${host.os}/${host.arch ?? "?"}`;
  return (
    <tr class={ACCENTS[tone]} id={`host-${host.id}`}>
      <td>
        <span class="lead">
          <Dot tone={tone} label={wordOf(host.condition)} />
          <span class="two">
            <a class="row-link mono" href={`/hosts/${id}`}>
              {host.name}
            </a>
            <small>
              {platform}
              {host.outdated === null ? null : (
                <span class="word warn" title={`${host.outdated.versions}: older than what is served`}>
                  {" "}
                  · {host.outdated.words}
                </span>
              )}
            </small>
          </span>
        </span>
      </td>
      <td class="wide-only tags-cell">
        <TagCell tags={host.tags} />
      </td>
      <td>
        <BackupCell host={host} />
      </td>
      <td class="mid-up">
        {host.nextRunAt === null ? <None label="not scheduled" /> : <Time at={host.nextRunAt} />}
      </td>
      <td class="num mid-up">
        <Bytes size={host.repositoryBytes} />
        {host.trend === null ? null : <Spark path={host.trend} />}
      </td>
      <td class="num mid-up">
        {host.snapshotCount === null ? <None label="unknown" /> : formatCount(host.snapshotCount)}
      </td>
      <td class="num mid-up">{mayOperate ? <RowAction host={host} /> : null}</td>
    </tr>
  );
}

/** The shape of 30 days; the figures are on the repository's page. As lean as it can be: a thousand are on a page. */
function Spark({ path }: { path: string }): JSX.Element {
  return (
    <svg class="spark" viewBox={`0 0 ${sparkBox.width} ${sparkBox.height}`} aria-hidden="true">
      <path d={path} />
    </svg>
  );
}

/** What fits into the column; the rest is counted, and in the title. */
const TAG_CHARACTERS = 24;

function TagCell({ tags }: { tags: readonly string[] }): JSX.Element {
  let room = TAG_CHARACTERS;
  const shown = tags.filter((tag) => {
    room -= tag.length + 2;
    return room >= 0;
  });
  const visible = shown.length === 0 ? tags.slice(0, 1) : shown;
  return (
    <>
      {visible.map((tag) => (
        <span class="tag" key={tag}>
          {tag}
        </span>
      ))}
      {visible.length === tags.length ? null : (
        <span class="more" title={tags.join(", ")}>
          +{tags.length - visible.length}
        </span>
      )}
    </>
  );
}

function BackupCell({ host }: { host: HostRow }): JSX.Element {
  const { activeJob, lastBackup } = host;
  if (activeJob !== null) {
    const share =
      activeJob.status === "running" && activeJob.share !== null ? ` ${formatPercent(activeJob.share)}` : "";
    return (
      <span class="two">
        <span class={`word ${toneOf(activeJob.status)}`}>
          {wordOf(activeJob.status)}
          {share}
        </span>
        <small>
          {activeJob.status === "queued" ? "" : "started "}
          <Time at={activeJob.at} />
          {lastBackup === null || isGood(lastBackup.status) ? null : (
            <span class={`word ${toneOf(lastBackup.status)}`}> · last {wordOf(lastBackup.status)}</span>
          )}
        </small>
      </span>
    );
  }
  if (!host.online) return <AwayCell host={host} />;
  if (lastBackup === null) return <span class="muted">no backup yet</span>;
  return (
    <span class="two">
      <span class={`word ${toneOf(lastBackup.status)}`}>{wordOf(lastBackup.status)}</span>
      <small>
        <Time at={lastBackup.finishedAt} />
      </small>
    </span>
  );
}

const isGood = (status: JobStatus): boolean => status === "succeeded";

/** Away comes first: it is what can be mended. How the last backup went stands below. */
function AwayCell({ host }: { host: HostRow }): JSX.Element {
  const { lastBackup } = host;
  if (host.lastSeenAt === null) return <span class="muted">never connected</span>;
  return (
    <span class="two">
      <span class={`word ${toneOf(host.condition === "asleep" ? "asleep" : "offline")}`}>
        {wordOf(host.condition === "asleep" ? "asleep" : "offline")}
      </span>
      <small>
        {lastBackup === null ? (
          "no backup yet"
        ) : (
          <span class={isGood(lastBackup.status) ? undefined : `word ${toneOf(lastBackup.status)}`}>
            {wordOf(lastBackup.status)} <Time at={lastBackup.finishedAt} />
          </span>
        )}
      </small>
    </span>
  );
}

function RowAction({ host }: { host: HostRow }): JSX.Element {
  if (host.activeJob !== null) {
    return (
      <a class="btn small above" href={`/jobs/${encodeURIComponent(host.activeJob.id)}`}>
        Open job
      </a>
    );
  }
  if (host.coveringScheduleId === null) {
    // Which of its groups is meant, the sources tab asks.
    return (
      <a
        class="btn small above"
        href={`/hosts/${encodeURIComponent(host.id)}?tab=sources`}
        aria-label={`Run now: ${host.name}`}
      >
        Run now…
      </a>
    );
  }
  return (
    <RunButton
      host={host}
      class="btn small above"
      form="run"
      formaction={`/hosts/${encodeURIComponent(host.id)}/schedules/${encodeURIComponent(host.coveringScheduleId)}/run`}
      label={`Run now: ${host.name}`}
    >
      Run now
    </RunButton>
  );
}
