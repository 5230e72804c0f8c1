/** The schedules tab of a host: when what runs, how the last run went, and what is being waited for. */
import type { JSX } from "preact";
import { formatCount } from "../../platform/html/format.ts";
import { PostForm } from "../../platform/html/forms.tsx";
import { Icon } from "../../platform/html/icons.tsx";
import { Empty, Panel } from "../../platform/html/parts.tsx";
import { useMayOperate } from "../../platform/html/scope.ts";
import { Dot, type JobStatus, State, type Tone } from "../../platform/html/state.tsx";
import { None, Time } from "../../platform/html/values.tsx";
import { type Reachable, RunButton } from "./run-button.views.tsx";

/** How a schedule stands. `retry` is the number of the next try, from 1. */
export type ScheduleStanding =
  | { state: "active" }
  | { state: "paused"; since: number }
  | { state: "offline"; plannedAt: number }
  | { state: "retry"; retry: number; nextTryAt: number }
  | { state: "running"; plannedAt: number };

/** One schedule. */
export interface ScheduleRow {
  id: string;
  cron: string;
  words: string;
  timeZone: string;
  groups: readonly string[];
  standing: ScheduleStanding;
  nextAt: number | null;
  last: { at: number; status: JobStatus; jobId: string } | null;
}

/** The schedules of a host. */
export interface SchedulesTabProps {
  schedules: readonly ScheduleRow[];
}

type HostProps = { host: Reachable & { id: string } };

/** Schedules as rows; each row leads to the schedule's page. */
export function SchedulesTab(props: SchedulesTabProps & HostProps): JSX.Element {
  const mayOperate = useMayOperate();
  const url = `/hosts/${encodeURIComponent(props.host.id)}`;
  const create = (
    <a class="btn small" href={`${url}/schedules/new`}>
      <Icon name="plus" />
      New schedule
    </a>
  );
  if (props.schedules.length === 0) {
    return (
      <Panel title="Schedules" note="when it is backed up">
        <Empty title="Nothing runs by itself yet" action={mayOperate ? create : null}>
          This host is backed up by hand only. A schedule says when, and which source groups.
        </Empty>
      </Panel>
    );
  }
  return (
    <Panel title="Schedules" note={formatCount(props.schedules.length)} tools={mayOperate ? create : null}>
      {mayOperate ? <PostForm action={`${url}?tab=schedules`} id="schedule-verbs" label="Schedules" /> : null}
      <ScheduleTable {...props} />
    </Panel>
  );
}

function ScheduleTable({ schedules, host }: SchedulesTabProps & HostProps): JSX.Element {
  return (
    <table class="rows schedules">
      <caption class="sr-only">Schedules of this host</caption>
      <thead>
        <tr>
          <th scope="col">Schedule</th>
          <th scope="col" class="col-groups mid-up">
            Groups
          </th>
          <th scope="col" class="col-next">
            Next
          </th>
          <th scope="col" class="col-last mid-up">
            Last
          </th>
          <th scope="col" class="col-verbs mid-up">
            <span class="sr-only">Actions</span>
          </th>
        </tr>
      </thead>
      <tbody id="schedule-rows">
        {schedules.map((schedule) => (
          <Row key={schedule.id} schedule={schedule} host={host} />
        ))}
      </tbody>
    </table>
  );
}

const standingTones: Readonly<Record<ScheduleStanding["state"], Tone>> = {
  active: "ok",
  paused: "idle",
  offline: "idle",
  retry: "warn",
  running: "running",
};

/** The word of a standing. */
export function standingWord(standing: ScheduleStanding): string {
  switch (standing.state) {
    case "offline":
      return "waiting for the host";
    case "retry":
      return `retry ${standing.retry}`;
    default:
      return standing.state;
  }
}

function Row({ schedule, host }: { schedule: ScheduleRow } & HostProps): JSX.Element {
  const url = `/hosts/${encodeURIComponent(host.id)}/schedules/${encodeURIComponent(schedule.id)}`;
  return (
    <tr id={`schedule-${schedule.id}`} class={schedule.standing.state === "retry" ? "warn" : undefined}>
      <td>
        <span class="two">
          <a class="row-link mono" href={url}>
            {schedule.cron}
          </a>
          <small title={`${schedule.words} (${schedule.timeZone})`}>
            {schedule.words} · {schedule.timeZone}
          </small>
        </span>
      </td>
      <td class="mid-up tags-cell" title={schedule.groups.join(", ")}>
        <GroupTags groups={schedule.groups} />
      </td>
      <td>
        <Standing schedule={schedule} />
      </td>
      <td class="mid-up">
        <Last schedule={schedule} />
      </td>
      <td class="num mid-up">
        <Verbs schedule={schedule} host={host} url={url} />
      </td>
    </tr>
  );
}

/** What one line of the column holds. */
const groupCharacters = 14;

function GroupTags({ groups }: { groups: readonly string[] }): JSX.Element {
  const isShort = groups.join("").length <= groupCharacters;
  const shown = groups.slice(0, isShort ? 2 : 1);
  const more = groups.length - shown.length;
  return (
    <span class="one-tag">
      {shown.map((name) => (
        <span class="tag" key={name}>
          {name}
        </span>
      ))}
      {more > 0 ? <span class="more">+{formatCount(more)}</span> : null}
    </span>
  );
}

/** What it does now in a word, and below it when something happens next. */
function Standing({ schedule }: { schedule: ScheduleRow }): JSX.Element {
  const { standing } = schedule;
  return (
    <span class="two">
      <span class={`state ${standingTones[standing.state]}`}>
        <Dot tone={standingTones[standing.state]} />
        <span>{standingWord(standing)}</span>
      </span>
      <small>
        <NextMoment schedule={schedule} />
      </small>
    </span>
  );
}

function NextMoment({ schedule }: { schedule: ScheduleRow }): JSX.Element {
  const { standing, nextAt } = schedule;
  switch (standing.state) {
    case "paused":
      return (
        <>
          since <Time at={standing.since} />
        </>
      );
    case "offline":
    case "running":
      return (
        <>
          planned <Time at={standing.plannedAt} />
        </>
      );
    case "retry":
      return <Time at={standing.nextTryAt} />;
    case "active":
      return nextAt === null ? <None label="never" /> : <Time at={nextAt} />;
  }
}

function Last({ schedule }: { schedule: ScheduleRow }): JSX.Element {
  const { last } = schedule;
  if (last === null) return <span class="faint">never run</span>;
  return (
    <a class="two above" href={`/jobs/${encodeURIComponent(last.jobId)}`}>
      <State state={last.status} word={last.status === "warning" ? "warnings" : undefined} />
      <small>
        <Time at={last.at} />
      </small>
    </a>
  );
}

function Verbs({
  schedule,
  host,
  url,
}: { schedule: ScheduleRow; url: string } & HostProps): JSX.Element | null {
  if (!useMayOperate()) return null;
  const isPaused = schedule.standing.state === "paused";
  return (
    <span class="verbs above">
      {isPaused ? (
        // It was paused for a reason: that is asked on a page of its own.
        <a class="btn small" href={`${url}/run`} aria-label={`Run now: ${schedule.cron}`}>
          Run now…
        </a>
      ) : (
        <RunButton
          host={host}
          class="btn small"
          form="schedule-verbs"
          formaction={`${url}/run`}
          label={`Run now: ${schedule.cron}`}
        >
          Run now
        </RunButton>
      )}
      <button
        type="submit"
        class="btn small"
        form="schedule-verbs"
        formaction={`${url}/${isPaused ? "resume" : "pause"}`}
        aria-label={`${isPaused ? "Resume" : "Pause"}: ${schedule.cron}`}
      >
        {isPaused ? "Resume" : "Pause"}
      </button>
    </span>
  );
}
