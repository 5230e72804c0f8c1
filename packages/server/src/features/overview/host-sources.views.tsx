/** The sources tab of a host: what is backed up, how long it is kept, and what runs it. Paths are untrusted and long. */
import type { JSX } from "preact";
import { formatCount } from "../../platform/html/format.ts";
import { PostForm } from "../../platform/html/forms.tsx";
import { Icon } from "../../platform/html/icons.tsx";
import { Empty, Panel } from "../../platform/html/parts.tsx";
import { useMayOperate } from "../../platform/html/scope.ts";
import { type JobStatus, State } from "../../platform/html/state.tsx";
import { Time } from "../../platform/html/values.tsx";
import { type Reachable, RunButton } from "./run-button.views.tsx";

/** One source group. */
export interface SourceRow {
  id: string;
  name: string;
  includes: readonly string[];
  /** What is kept, in a few words; null without any rule. */
  kept: string | null;
  /** What is kept finer than any schedule runs, a sentence each. */
  conflicts: readonly string[];
  usedBy: readonly { scheduleId: string; cron: string; words: string }[];
  lastRun: { jobId: string; status: JobStatus; at: number } | null;
}

/** The source groups of a host. */
export interface SourcesTabProps {
  groups: readonly SourceRow[];
}

type HostProps = { host: Reachable & { id: string } };

/** Source groups as rows; each row leads to the group's page. */
export function SourcesTab(props: SourcesTabProps & HostProps): JSX.Element {
  const mayOperate = useMayOperate();
  const url = `/hosts/${encodeURIComponent(props.host.id)}`;
  return (
    <Panel
      title="Source groups"
      note={props.groups.length === 0 ? "what is backed up" : formatCount(props.groups.length)}
      tools={
        mayOperate ? (
          <a class="btn small" href={`${url}/sources/new`}>
            <Icon name="plus" />
            New group
          </a>
        ) : null
      }
    >
      {props.groups.length === 0 ? (
        <Empty title="No source group">
          Nothing of this host is backed up. Make a group: it says which paths, and how long they are kept.
        </Empty>
      ) : (
        <>
          {mayOperate ? <PostForm action={`${url}?tab=sources`} id="source-run" label="Run a group" /> : null}
          <SourceTable {...props} />
        </>
      )}
    </Panel>
  );
}

function SourceTable({ groups, host }: SourcesTabProps & HostProps): JSX.Element {
  return (
    <table class="rows sources">
      <caption class="sr-only">Source groups by name</caption>
      <thead>
        <tr>
          <th scope="col">Group</th>
          <th scope="col" class="col-kept mid-up">
            Kept
          </th>
          <th scope="col" class="col-used mid-up">
            Run by
          </th>
          <th scope="col" class="col-last">
            Last run
          </th>
          <th scope="col" class="col-act mid-up">
            <span class="sr-only">Actions</span>
          </th>
        </tr>
      </thead>
      <tbody id="source-rows">
        {groups.map((group) => (
          <GroupRow key={group.id} group={group} host={host} />
        ))}
      </tbody>
    </table>
  );
}

function GroupRow({ group, host }: { group: SourceRow } & HostProps): JSX.Element {
  const mayOperate = useMayOperate();
  const url = `/hosts/${encodeURIComponent(host.id)}/sources/${encodeURIComponent(group.id)}`;
  return (
    <tr id={`source-${group.id}`} class={group.conflicts.length > 0 ? "warn" : undefined}>
      <td>
        <span class="two">
          <a class="row-link mono" href={url} title={group.name}>
            {group.name}
          </a>
          <small class="mono" title={group.includes.join("\n")}>
            <Includes includes={group.includes} />
          </small>
          {group.conflicts.length === 0 ? null : (
            <small class="phone-only">
              <span class="word warn">kept finer than it runs</span>
            </small>
          )}
        </span>
      </td>
      <td class="mid-up">
        <Kept group={group} />
      </td>
      <td class="mid-up">
        <UsedBy group={group} />
      </td>
      <td>
        <LastRun group={group} />
      </td>
      <td class="num mid-up">
        {mayOperate ? (
          <RunButton
            host={host}
            class="btn small above"
            form="source-run"
            formaction={`${url}/run`}
            label={`Run now: ${group.name}`}
          >
            Run now
          </RunButton>
        ) : null}
      </td>
    </tr>
  );
}

/** As many as a line holds; the rest is counted, and in the title. */
const shownIncludes = 2;

function Includes({ includes }: { includes: readonly string[] }): JSX.Element {
  const more = includes.length - shownIncludes;
  return (
    <>
      {more > 0 ? `+${formatCount(more)} · ` : ""}
      {includes.slice(0, shownIncludes).join(", ")}
    </>
  );
}

function Kept({ group }: { group: SourceRow }): JSX.Element {
  if (group.kept === null) {
    return (
      <span class="two">
        <span>for ever</span>
        <small>nothing is forgotten</small>
      </span>
    );
  }
  return (
    <span class="two">
      <span title={group.kept}>{group.kept}</span>
      {group.conflicts.length === 0 ? null : (
        <small>
          <span class="word warn" title={group.conflicts.join("\n")}>
            finer than it runs
          </span>
        </small>
      )}
    </span>
  );
}

function UsedBy({ group }: { group: SourceRow }): JSX.Element {
  const [first, ...others] = group.usedBy;
  if (first === undefined) return <span class="faint">by hand only</span>;
  return (
    <span class="two" title={group.usedBy.map(({ cron, words }) => `${cron} – ${words}`).join("\n")}>
      <span class="mono">{first.cron}</span>
      <small>{others.length === 0 ? first.words : `and ${formatCount(others.length)} more`}</small>
    </span>
  );
}

function LastRun({ group }: { group: SourceRow }): JSX.Element {
  if (group.lastRun === null) return <span class="faint">never run</span>;
  return (
    <a class="two above" href={`/jobs/${encodeURIComponent(group.lastRun.jobId)}`}>
      <State
        state={group.lastRun.status}
        word={group.lastRun.status === "warning" ? "warnings" : undefined}
      />
      <small>
        <Time at={group.lastRun.at} />
      </small>
    </a>
  );
}
