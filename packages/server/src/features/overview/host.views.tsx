/**
 * A host's page: who it is, its vitals, the tabs and the rail with its verbs. What is inside the tabs is in
 * host-tabs, host-sources, host-schedules, host-repository, host-settings and host-options (.views.tsx).
 */
import type { ComponentChildren, JSX } from "preact";
import { formatCount, splitBytes } from "../../platform/html/format.ts";
import { renderFragment, renderPage } from "../../platform/html/page.tsx";
import { Notice } from "../../platform/html/parts.tsx";
import type { PageContext } from "../../platform/html/scope.ts";
import { type JobStatus, type Tone, toneOf, wordOf } from "../../platform/html/state.tsx";
import { None, Time } from "../../platform/html/values.tsx";
import type { HostMode } from "../hosts/hosts.ts";
import { HostAside } from "./host-aside.views.tsx";
import type { Behind } from "./host-drift.ts";
import type { HostDrill } from "./host-drill.ts";
import { HostHead } from "./host-head.views.tsx";
import { SettingsTab, type SettingsTabProps } from "./host-options.views.tsx";
import { RepositoryTab, type RepositoryTabProps } from "./host-repository.views.tsx";
import { SchedulesTab, type SchedulesTabProps } from "./host-schedules.views.tsx";
import { SourcesTab, type SourcesTabProps } from "./host-sources.views.tsx";
import type { HostCondition } from "./host-table.views.tsx";
import { JobsTab, type JobsTabProps, SnapshotsTab, type SnapshotsTabProps } from "./host-tabs.views.tsx";
import { accessModules } from "./repository-access.views.tsx";

/** Who the host is. */
export interface HostHeader {
  id: string;
  name: string;
  condition: HostCondition;
  os: string | null;
  arch: string | null;
  tags: readonly string[];
  mode: HostMode;
  online: boolean;
  lastSeenAt: number | null;
  /** Whether the agent has what it must know of its schedules; null when there is nothing to know. */
  sync: ScheduleSync | null;
  agentVersion: string | null;
  resticVersion: string | null;
  /** What is served, where the host is behind it. */
  behind: Behind;
  /** The host's clock minus ours at the last connection; null before the first. */
  clockSkewMs: number | null;
  /** What is wrong with the machine itself, a sentence each. */
  problems: readonly { tone: "fail" | "warn"; title: string; text: string }[];
  createdAt: number;
}

/** The version of the host's schedules, and the one that its agent works with. */
export interface ScheduleSync {
  version: number;
  /** Null before an agent said so. */
  applied: number | null;
  /** Online and still behind after a while: something is wrong. */
  late: boolean;
}

/** The figures under the header. */
export interface HostVitals {
  lastBackup: { status: JobStatus; finishedAt: number; jobId: string } | null;
  protectedBytes: number | null;
  snapshotCount: number | null;
  newestSnapshotAt: number | null;
  /** The next planned time of all its schedules that are not paused. */
  nextRun: { at: number; cron: string } | null;
}

/** The newest restore to this host that was not a dry run. */
export interface LastRestore {
  jobId: string;
  status: JobStatus;
  /** When it ended, or was asked for while it has not. */
  at: number;
  snapshotId: string;
  /** The host whose snapshot it is, when that is another one. */
  from: string | null;
  inPlace: boolean;
  /** How many files, folders and links came back; null while nobody knows. */
  restored: number | null;
}

/** The open tab with its data. */
export type HostTab =
  | ({ name: "snapshots" } & SnapshotsTabProps)
  | ({ name: "sources" } & SourcesTabProps)
  | ({ name: "schedules" } & SchedulesTabProps)
  | ({ name: "repository" } & RepositoryTabProps)
  | ({ name: "jobs" } & JobsTabProps)
  | ({ name: "settings" } & SettingsTabProps);

/** A host's page. */
export interface HostPageProps {
  host: HostHeader;
  vitals: HostVitals;
  /** Null or absent when nothing was ever restored. */
  lastRestore?: LastRestore | null;
  activeJob: {
    id: string;
    kind: string;
    subject: string | null;
    status: "queued" | "dispatched" | "running";
    share: number | null;
    at: number;
  } | null;
  /** Whether its snapshots were proven to come back; null while there is none. */
  drill: HostDrill | null;
  /** For the rail's buttons. */
  sourceGroups: readonly { id: string; name: string }[];
  tab: HostTab;
  notice?: { tone: Tone; text: string } | undefined;
}

const TABS: readonly { name: HostTab["name"]; label: string }[] = [
  { name: "snapshots", label: "Snapshots" },
  { name: "sources", label: "Sources" },
  { name: "schedules", label: "Schedules" },
  { name: "repository", label: "Repository" },
  { name: "jobs", label: "Jobs" },
  { name: "settings", label: "Settings" },
];

/** Forms must keep what is being typed: these tabs are not refreshed by themselves. */
const STILL_TABS: readonly HostTab["name"][] = ["repository", "settings"];

/** The page /hosts/{id}?tab=&page=. */
export function renderHostPage(page: PageContext, props: HostPageProps): string {
  const tab = TABS.find((candidate) => candidate.name === props.tab.name);
  return renderPage(page, {
    title: `${props.host.name} · ${tab?.label ?? ""}`,
    nav: "dashboard",
    crumbs: [
      { label: "Hosts", href: "/" },
      { label: props.host.name, mono: true },
    ],
    notice: props.notice,
    modules: props.tab.name === "repository" ? accessModules : [],
    content: <HostPage {...props} />,
  });
}

/** The fragment /fragments/hosts/{id}?tab=&page=: the same content, for the live update. */
export function renderHostFragment(page: PageContext, props: HostPageProps): string {
  return renderFragment(page, <HostContent {...props} />);
}

function HostPage(props: HostPageProps): JSX.Element {
  const { tab } = props;
  const number = "page" in tab ? tab.page.page : 1;
  const query = `?tab=${tab.name}${number > 1 ? `&page=${number}` : ""}`;
  const live = STILL_TABS.includes(tab.name)
    ? {}
    : {
        "data-live-src": `/fragments/hosts/${encodeURIComponent(props.host.id)}${query}`,
        "data-live-ms": "5000",
      };
  return (
    <div id="host-live" {...live}>
      <HostContent {...props} />
    </div>
  );
}

function HostContent(props: HostPageProps): JSX.Element {
  const url = `/hosts/${encodeURIComponent(props.host.id)}`;
  return (
    <>
      <HostHead {...props} />
      {props.host.problems.map(({ tone, title, text }) => (
        <Notice key={title} tone={tone} title={title}>
          <span>{text}</span>
        </Notice>
      ))}
      <Vitals vitals={props.vitals} />
      {props.lastRestore ? <RestoreLine restore={props.lastRestore} /> : null}
      <nav class="tabs" aria-label="Sections of this host">
        {TABS.map(({ name, label }) => (
          <a
            key={name}
            href={name === "snapshots" ? url : `${url}?tab=${name}`}
            aria-current={props.tab.name === name ? "page" : undefined}
          >
            {label}
          </a>
        ))}
      </nav>
      <div class="with-aside">
        <div class="aside-main">
          <TabContent host={props.host} tab={props.tab} />
        </div>
        <HostAside {...props} />
      </div>
    </>
  );
}

function TabContent({ host, tab }: { host: HostHeader; tab: HostTab }): JSX.Element {
  switch (tab.name) {
    case "snapshots":
      return <SnapshotsTab host={host} {...tab} />;
    case "jobs":
      return <JobsTab hostId={host.id} {...tab} />;
    case "sources":
      return <SourcesTab host={host} {...tab} />;
    case "schedules":
      return <SchedulesTab host={host} {...tab} />;
    case "repository":
      return <RepositoryTab host={host} {...tab} />;
    case "settings":
      return <SettingsTab hostId={host.id} hostName={host.name} {...tab} />;
  }
}

/** The moment the product exists for, in one line. */
function RestoreLine({ restore }: { restore: LastRestore }): JSX.Element {
  const { restored, from } = restore;
  return (
    <p class="host-line muted" id="host-restore">
      Last restore <Time at={restore.at} />:{" "}
      <a class={`word ${toneOf(restore.status)}`} href={`/jobs/${encodeURIComponent(restore.jobId)}`}>
        {wordOf(restore.status)}
      </a>
      , {restored === null ? "" : `${formatCount(restored)} ${restored === 1 ? "item" : "items"} of `}snapshot{" "}
      <span class="mono">{restore.snapshotId.slice(0, 8)}</span>
      {from === null ? "" : ` of ${from}`} {restore.inPlace ? "in place" : "into a folder"}
    </p>
  );
}

function Vital(props: {
  term: string;
  value: ComponentChildren;
  note: ComponentChildren;
  tone?: Tone;
}): JSX.Element {
  return (
    <div class="tile">
      <dt>{props.term}</dt>
      <dd class={props.tone ? `figure ${props.tone}` : "figure"}>{props.value}</dd>
      <dd class="tile-note">{props.note}</dd>
    </div>
  );
}

function Vitals({ vitals }: { vitals: HostVitals }): JSX.Element {
  const { lastBackup } = vitals;
  const size = vitals.protectedBytes === null ? null : splitBytes(vitals.protectedBytes);
  const tone = lastBackup === null ? "idle" : toneOf(lastBackup.status);
  return (
    <dl class="tiles vitals" aria-label="Vitals" id="host-vitals">
      <Vital
        term="Last backup"
        value={lastBackup === null ? <None label="no backup yet" /> : <Time at={lastBackup.finishedAt} />}
        note={
          lastBackup === null ? (
            "no backup yet"
          ) : (
            <a class={`word ${tone}`} href={`/jobs/${encodeURIComponent(lastBackup.jobId)}`}>
              {wordOf(lastBackup.status)}
            </a>
          )
        }
      />
      <Vital
        term="Next run"
        value={vitals.nextRun === null ? <None label="none" /> : <Time at={vitals.nextRun.at} />}
        note={vitals.nextRun === null ? "not scheduled" : <code>{vitals.nextRun.cron}</code>}
      />
      <Vital
        term="Data protected"
        value={
          size === null ? (
            <None label="unknown" />
          ) : (
            <>
              {size.value}
              <small> {size.unit}</small>
            </>
          )
        }
        note={size === null ? "measured after a backup" : "in the newest snapshots"}
      />
      <Vital
        term="Snapshots"
        value={vitals.snapshotCount === null ? <None label="unknown" /> : formatCount(vitals.snapshotCount)}
        note={
          vitals.newestSnapshotAt === null ? (
            "none yet"
          ) : (
            <>
              newest <Time at={vitals.newestSnapshotAt} />
            </>
          )
        }
      />
    </dl>
  );
}
