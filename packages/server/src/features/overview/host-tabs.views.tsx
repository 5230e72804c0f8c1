/** The reading tabs of a host: snapshots and jobs. Paths are untrusted and may be long. */
import type { JSX } from "preact";
import { formatBytes, formatCount } from "../../platform/html/format.ts";
import { Empty, type PageInfo, Pagination, Panel, urlWith } from "../../platform/html/parts.tsx";
import { useMayOperate } from "../../platform/html/scope.ts";
import { Bytes, None, Time } from "../../platform/html/values.tsx";
import { type JobRow, JobTable } from "../jobs/jobs.ts";
import { type Reachable, whyNotRun } from "./run-button.views.tsx";

/** One snapshot. */
export interface SnapshotRow {
  /** The full id; the first eight characters are shown. */
  id: string;
  at: number;
  tags: readonly string[];
  paths: readonly string[];
  sizeBytes: number | null;
  fileCount: number | null;
  addedBytes: number | null;
}

/** The snapshots of a host, newest first. */
export interface SnapshotsTabProps {
  snapshots: readonly SnapshotRow[];
  page: PageInfo;
}

/** The jobs of a host, newest first. */
export interface JobsTabProps {
  jobs: readonly JobRow[];
  page: PageInfo;
}

/** Snapshots as rows. */
export function SnapshotsTab(props: SnapshotsTabProps & { host: Reachable & { id: string } }): JSX.Element {
  const url = `/hosts/${encodeURIComponent(props.host.id)}`;
  const reason = whyNotRun(props.host);
  return (
    <Panel title="Snapshots" note={formatCount(props.page.total)}>
      {props.snapshots.length === 0 ? (
        <Empty title="No snapshot yet">
          The first backup makes one. {reason ?? "Run it now, at the top of this page."}
        </Empty>
      ) : (
        <SnapshotTable hostId={props.host.id} snapshots={props.snapshots} />
      )}
      <Pagination
        info={props.page}
        noun="snapshots"
        urlOf={(page) => urlWith(url, { tab: "snapshots", page })}
      />
    </Panel>
  );
}

function RestoreLink({ hostId, snapshotId }: { hostId: string; snapshotId: string }): JSX.Element {
  const query = `?snapshot=${encodeURIComponent(snapshotId)}`;
  return (
    <a
      class="btn small"
      href={`/hosts/${encodeURIComponent(hostId)}/restore${query}`}
      aria-label={`Restore from ${snapshotId.slice(0, 8)}`}
    >
      Restore
    </a>
  );
}

function SnapshotTable(props: { hostId: string; snapshots: readonly SnapshotRow[] }): JSX.Element {
  const { hostId, snapshots } = props;
  const mayOperate = useMayOperate();
  return (
    <table class="rows snapshots">
      <caption class="sr-only">Snapshots, newest first</caption>
      <thead>
        <tr>
          <th scope="col" class="col-id">
            Id
          </th>
          <th scope="col" class="col-when">
            Time
          </th>
          <th scope="col" class="col-group mid-up">
            Group
          </th>
          <th scope="col">Paths</th>
          <th scope="col" class={mayOperate ? "num col-size mid-up" : "num col-size"}>
            Size
          </th>
          <th scope="col" class="num col-count mid-up">
            Files
          </th>
          <th scope="col" class="num col-size mid-up">
            Added
          </th>
          {mayOperate ? (
            <th scope="col" class="col-restore">
              <span class="sr-only">Restore</span>
            </th>
          ) : null}
        </tr>
      </thead>
      <tbody id="snapshot-rows">
        {snapshots.map((snapshot) => (
          <tr key={snapshot.id} id={`snapshot-${snapshot.id}`} class="short">
            <td class="mono" title={snapshot.id}>
              {snapshot.id.slice(0, 8)}
            </td>
            <td>
              <Time at={snapshot.at} />
            </td>
            <td class="clip mid-up">
              {snapshot.tags.length === 0 ? <None label="no tag" /> : snapshot.tags.join(", ")}
            </td>
            <td class="mono clip" title={snapshot.paths.join("\n")}>
              <Paths paths={snapshot.paths} />
            </td>
            <td class={mayOperate ? "num mid-up" : "num"}>
              <Bytes size={snapshot.sizeBytes} />
            </td>
            <td class="num mid-up">
              {snapshot.fileCount === null ? <None label="unknown" /> : formatCount(snapshot.fileCount)}
            </td>
            <td class="num mid-up">
              {snapshot.addedBytes === null ? <None label="unknown" /> : formatBytes(snapshot.addedBytes)}
            </td>
            {mayOperate ? (
              <td class="col-restore">
                <RestoreLink hostId={hostId} snapshotId={snapshot.id} />
              </td>
            ) : null}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Paths({ paths }: { paths: readonly string[] }): JSX.Element {
  const [first, ...others] = paths;
  if (first === undefined) return <None label="no paths" />;
  return (
    <>
      {first}
      {others.length === 0 ? null : <span class="faint"> +{others.length}</span>}
    </>
  );
}

/** Jobs as rows. */
export function JobsTab(props: JobsTabProps & { hostId: string }): JSX.Element {
  const url = `/hosts/${encodeURIComponent(props.hostId)}`;
  return (
    <Panel title="Jobs" note={formatCount(props.page.total)}>
      {props.jobs.length === 0 ? (
        <Empty title="No job yet">
          Every backup and every repository operation of this host is listed here.
        </Empty>
      ) : (
        <JobTable jobs={props.jobs} of="host" />
      )}
      <Pagination info={props.page} noun="jobs" urlOf={(page) => urlWith(url, { tab: "jobs", page })} />
    </Panel>
  );
}
