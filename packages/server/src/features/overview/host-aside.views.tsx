/** Beside a host's tabs: what runs now, what can be run, and the agent's facts. */
import type { ComponentChildren, JSX } from "preact";
import { formatDuration, formatPercent } from "../../platform/html/format.ts";
import { PostForm } from "../../platform/html/forms.tsx";
import { Icon } from "../../platform/html/icons.tsx";
import { Panel, ProgressBar } from "../../platform/html/parts.tsx";
import { useIsAdmin, useMayOperate } from "../../platform/html/scope.ts";
import { toneOf, wordOf } from "../../platform/html/state.tsx";
import { None, Pair, Time } from "../../platform/html/values.tsx";
import type { HostPageProps } from "./host.views.tsx";
import { DrillPanel } from "./host-drill.views.tsx";
import { RunButton, whyNotRun } from "./run-button.views.tsx";

type AsideProps = Pick<HostPageProps, "host" | "activeJob" | "drill" | "sourceGroups" | "tab">;

/** More of them are better found on their own tab. */
const MANY_GROUPS = 8;

/** The column beside the tabs. */
export function HostAside(props: AsideProps): JSX.Element {
  const { host } = props;
  const mayOperate = useMayOperate();
  return (
    <aside class="aside" aria-label="About this host" id="host-aside">
      {props.activeJob === null ? null : <ActiveJob job={props.activeJob} />}
      {mayOperate && props.sourceGroups.length > 0 && props.tab.name !== "sources" ? (
        <RunGroups {...props} />
      ) : null}
      {mayOperate ? <GetBack {...props} /> : null}
      {props.drill === null ? null : <DrillPanel host={host} drill={props.drill} />}
      <Panel title="Agent">
        <dl class="pairs">
          <Pair label="Agent">
            {host.agentVersion === null ? (
              <None label="unknown" />
            ) : (
              <span class="mono">{host.agentVersion}</span>
            )}
            <Served version={host.behind.agent} />
          </Pair>
          <Pair label="restic">
            <ResticVersion host={host} />
            <Served version={host.behind.restic} />
          </Pair>
          <Pair label="Clock">{clockWords(host.clockSkewMs)}</Pair>
          <Pair label="Added">
            <Time at={host.createdAt} />
          </Pair>
          <Pair label="Id">
            <span class="mono break">{host.id}</span>
          </Pair>
        </dl>
        <UpdateActions host={host} />
      </Panel>
    </aside>
  );
}

/** Beside the version that the host has. */
const Served = ({ version }: { version: string | null }): JSX.Element | null =>
  version === null ? null : <span class="word warn"> {version} is served</span>;

/** Only for what is behind, and only for administrators. */
function UpdateActions({ host }: Pick<AsideProps, "host">): JSX.Element | null {
  const isAdmin = useIsAdmin();
  const programs = (["agent", "restic"] as const).filter((program) => host.behind[program] !== null);
  if (!isAdmin || programs.length === 0) return null;
  if (!host.behind.updatable) {
    return (
      <p class="hint host-update">
        This agent is too old to replace anything.{" "}
        <a class="link" href="/settings/agents">
          Update it by hand
        </a>
      </p>
    );
  }
  return (
    <div class="host-update">
      {programs.map((program) => (
        <PostForm key={program} action={`/hosts/${encodeURIComponent(host.id)}/update`}>
          <input type="hidden" name="program" value={program} />
          <button
            type="submit"
            class="btn small"
            disabled={!host.online}
            title={host.online ? undefined : "The host is offline."}
          >
            Update {program}
          </button>
        </PostForm>
      ))}
    </div>
  );
}

/** The way back for files, beside what makes their copies. */
function GetBack({ host }: Pick<AsideProps, "host">): JSX.Element {
  return (
    <Panel title="Get files back" id="host-get-back">
      <p class="get-back">
        <a class="btn" href={`/hosts/${encodeURIComponent(host.id)}/restore`}>
          <Icon name="repeat" />
          Restore…
        </a>
      </p>
    </Panel>
  );
}

/** Nothing is known before the agent's first word; after it, no version means no restic. */
function ResticVersion({ host }: Pick<AsideProps, "host">): JSX.Element {
  if (host.resticVersion !== null) return <span class="mono">{host.resticVersion}</span>;
  return host.agentVersion === null ? <None label="unknown" /> : <span class="word fail">not found</span>;
}

/** A second is what a network and two clocks differ anyway. */
function clockWords(skewMs: number | null): ComponentChildren {
  if (skewMs === null) return <None label="unknown" />;
  if (Math.abs(skewMs) < 1000) return "correct";
  return `${formatDuration(Math.abs(skewMs))} ${skewMs > 0 ? "ahead" : "behind"}`;
}

function ActiveJob({ job }: { job: NonNullable<AsideProps["activeJob"]> }): JSX.Element {
  return (
    <Panel title="Now" id="host-now">
      <a class="now" href={`/jobs/${encodeURIComponent(job.id)}`}>
        <span class="now-line">
          <span>
            {job.kind} <span class="muted">{job.subject}</span>
          </span>
          <span class={`word ${toneOf(job.status)}`}>
            {job.share === null ? wordOf(job.status) : formatPercent(job.share)}
          </span>
        </span>
        {job.status === "running" ? <ProgressBar share={job.share} label={`${job.kind} progress`} /> : null}
        <small class="faint">
          {job.status === "queued" ? "queued " : "started "}
          <Time at={job.at} />
        </small>
      </a>
    </Panel>
  );
}

function RunGroups(props: AsideProps): JSX.Element {
  const reason = whyNotRun(props.host);
  return (
    <Panel title="Run now" id="host-run">
      <ul class="run-list">
        {props.sourceGroups.slice(0, MANY_GROUPS).map((group) => (
          <li key={group.id}>
            <span class="mono clip" title={group.name}>
              {group.name}
            </span>
            <PostForm
              action={`/hosts/${encodeURIComponent(props.host.id)}/sources/${encodeURIComponent(group.id)}/run`}
            >
              <RunButton host={props.host} class="btn small" label={`Run ${group.name}`}>
                Run
              </RunButton>
            </PostForm>
          </li>
        ))}
      </ul>
      {props.sourceGroups.length > MANY_GROUPS ? (
        <p class="hint run-hint">
          <a class="link" href={`/hosts/${encodeURIComponent(props.host.id)}?tab=sources`}>
            All {props.sourceGroups.length} groups
          </a>
        </p>
      ) : null}
      {reason === undefined ? null : <p class="hint run-hint">{reason}</p>}
    </Panel>
  );
}
