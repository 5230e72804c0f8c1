/**
 * The job page: how it stands, how far it is, what went wrong and its log. The head, facts and error come
 * anew from the server whenever the status changes; progress and log are streamed (browser/job.ts). The list
 * of all jobs is in job-list.views.tsx.
 */
import type { JobResult } from "@restic-manager/protocol";
import type { ComponentChildren, JSX } from "preact";
import { formatBytes, formatCount, formatDuration, formatUtc } from "../../platform/html/format.ts";
import { PostForm } from "../../platform/html/forms.tsx";
import { Icon } from "../../platform/html/icons.tsx";
import { renderFragment, renderPage } from "../../platform/html/page.tsx";
import { Facts, Notice, ProgressBar, ScrollText } from "../../platform/html/parts.tsx";
import { PROGRESS_CELLS, type Progress, progressCells } from "../../platform/html/progress.ts";
import { type PageContext, useMayOperate } from "../../platform/html/scope.ts";
import { isLive, type JobStatus, Pill, type Tone, toneOf, wordOf } from "../../platform/html/state.tsx";
import { Elapsed, Time } from "../../platform/html/values.tsx";
import { LogPanel, type LogPanelProps } from "./job-log.views.tsx";
import { ResultDetails, resultFacts } from "./job-result.views.tsx";
import { type Blocker, CancelBlocker, type RestoreOrder, RestoreWish } from "./restore-wish.views.tsx";

/** The kinds of jobs. */
export type JobKind =
  | "backup"
  | "init"
  | "forget"
  | "prune"
  | "check"
  | "unlock"
  | "repair"
  | "key"
  | "restore"
  | "diff"
  | "verify"
  | "update";

/** What went wrong, in words. */
export interface JobFailure {
  /** One sentence: what happened. */
  what: string;
  why: string;
  /** What to do about it. */
  advice: string;
  exitCode: number | null;
  /** The last lines of restic's stderr. */
  stderrTail: readonly string[];
}

/** What a finished backup did. */
export interface BackupResult {
  snapshotId: string | null;
  filesNew: number;
  filesChanged: number;
  filesUnmodified: number;
  processedBytes: number;
  addedBytes: number;
}

/** The job page. */
export interface JobPageProps {
  id: string;
  kind: JobKind;
  status: JobStatus;
  /** What it waits for while it is queued, e.g. `another job on this host`. */
  waitsFor: string | null;
  /** The job that it waits for, where it is offered to cancel that one. */
  blocker?: Blocker | null;
  host: { id: string; name: string } | null;
  /** What a restore was asked to do. */
  order?: RestoreOrder | null;
  /** The source group of a backup, or the snapshot of a restore. */
  subject: string | null;
  actor: { kind: "user" | "schedule" | "system"; name: string };
  createdAt: number;
  startedAt: number | null;
  finishedAt: number | null;
  cancelRequestedAt: number | null;
  progress: Progress | null;
  result: BackupResult | null;
  /** What a job of another kind did; absent or null when it told nothing. */
  outcome?: JobResult | null;
  failure: JobFailure | null;
  /** Whether this kind can be run again from here. */
  repeatable: boolean;
  /** How many log lines are stored, and the last of them for a reader without scripts. */
  log: Pick<LogPanelProps, "lineCount" | "preview" | "removed">;
  notice?: { tone: Tone; text: string } | undefined;
}

/** The page /jobs/{id}. */
export function renderJobPage(page: PageContext, props: JobPageProps): string {
  const name = props.host?.name ?? "deleted host";
  return renderPage(page, {
    title: `${titleOf(props)} · ${name}`,
    nav: "jobs",
    modules: ["job.js"],
    notice: props.notice,
    crumbs: [
      { label: "Hosts", href: "/" },
      {
        label: name,
        mono: true,
        ...(props.host ? { href: `/hosts/${encodeURIComponent(props.host.id)}` } : {}),
      },
      ...(props.host
        ? [{ label: "Jobs", href: `/hosts/${encodeURIComponent(props.host.id)}?tab=jobs` }]
        : []),
    ],
    content: (
      <>
        <div
          id="job-live"
          data-job-src={`/fragments/jobs/${encodeURIComponent(props.id)}`}
          data-job-status={props.status}
        >
          <JobHead {...props} />
        </div>
        <LogPanel jobId={props.id} live={isLive(props.status)} {...props.log} />
      </>
    ),
  });
}

/** The fragment /fragments/jobs/{id}: everything but the log. */
export function renderJobFragment(page: PageContext, props: JobPageProps): string {
  return renderFragment(page, <JobHead {...props} />);
}

function titleOf(props: JobPageProps): string {
  const kind = props.kind.charAt(0).toUpperCase() + props.kind.slice(1);
  return props.subject === null ? kind : `${kind} ${props.subject}`;
}

function JobHead(props: JobPageProps): JSX.Element {
  return (
    <>
      <div class="head" id="job-head">
        <h1>
          <Pill state={props.status} />
          <span class="kind">{props.kind}</span>
          {props.subject === null ? null : <span class="subject clip">{props.subject}</span>}
        </h1>
        <JobActions {...props} />
      </div>
      {props.failure === null ? null : <Failure failure={props.failure} status={props.status} />}
      <section class="panel" aria-label="Progress" id="job-progress">
        <JobFacts {...props} />
        {props.order ? <RestoreWish order={props.order} /> : null}
        <JobProgressBlock {...props} />
        {props.outcome ? <ResultDetails jobId={props.id} result={props.outcome} /> : null}
      </section>
    </>
  );
}

function JobActions(props: JobPageProps): JSX.Element | null {
  const mayOperate = useMayOperate();
  if (!mayOperate) return null;
  const action = `/jobs/${encodeURIComponent(props.id)}`;
  if (isLive(props.status)) {
    const asked = props.cancelRequestedAt !== null;
    return (
      <PostForm action={`${action}/cancel`}>
        <button type="submit" class="btn danger" disabled={asked}>
          <Icon name="cross" />
          {asked ? "Cancelling…" : "Cancel"}
        </button>
      </PostForm>
    );
  }
  if (!props.repeatable || props.host === null) return null;
  return (
    <PostForm action={`${action}/run-again`}>
      <button type="submit" class="btn primary">
        <Icon name="repeat" />
        Run again
      </button>
    </PostForm>
  );
}

function Failure({ failure, status }: { failure: JobFailure; status: JobStatus }): JSX.Element {
  return (
    <div id="job-failure">
      <Notice tone={toneOf(status) === "warn" ? "warn" : "fail"} title={failure.what}>
        <p class="muted">
          {failure.why} {failure.advice}
        </p>
        {failure.stderrTail.length === 0 ? null : (
          <ScrollText
            class="stderr"
            label="Last lines of restic’s errors"
            text={failure.stderrTail.join("\n")}
          />
        )}
        {failure.exitCode === null ? null : <p class="faint">restic ended with code {failure.exitCode}.</p>}
      </Notice>
    </div>
  );
}

function JobFacts(props: JobPageProps): JSX.Element {
  const facts: { term: string; value: ComponentChildren; id?: string }[] = [
    { term: "Host", value: <HostValue host={props.host} /> },
    startFact(props),
    { term: props.finishedAt === null ? "Running for" : "Took", value: <Took {...props} /> },
    { term: "By", value: <ActorValue actor={props.actor} /> },
  ];
  if (props.result !== null) {
    const { result } = props;
    facts.push(
      { term: "Added", value: formatBytes(result.addedBytes) },
      {
        term: "Files",
        value: `${formatCount(result.filesNew)} new · ${formatCount(result.filesChanged)} changed · ${formatCount(result.filesUnmodified)} same`,
      },
      {
        term: "Snapshot",
        value:
          result.snapshotId === null ? "none" : <span class="mono">{result.snapshotId.slice(0, 8)}</span>,
      },
    );
  }
  if (props.outcome) facts.push(...resultFacts(props.outcome));
  return <Facts facts={facts} />;
}

function HostValue({ host }: { host: JobPageProps["host"] }): JSX.Element {
  if (host === null) return <span class="faint">deleted</span>;
  return (
    <a class="mono link break" href={`/hosts/${encodeURIComponent(host.id)}`}>
      {host.name}
    </a>
  );
}

function startFact(props: JobPageProps): { term: string; value: ComponentChildren } {
  const at = props.startedAt ?? props.createdAt;
  return {
    term: props.startedAt === null ? "Queued" : "Started",
    value: (
      <>
        {formatUtc(at).slice(11)} <Time at={at} class="faint" />
      </>
    ),
  };
}

function Took(props: JobPageProps): JSX.Element {
  if (props.startedAt === null) return <span class="faint">not started</span>;
  if (props.finishedAt !== null) return <>{formatDuration(props.finishedAt - props.startedAt)}</>;
  return <Elapsed from={props.startedAt} />;
}

function ActorValue({ actor }: { actor: JobPageProps["actor"] }): JSX.Element {
  if (actor.kind === "user") return <>{actor.name}</>;
  return (
    <>
      {actor.kind} <span class="mono faint">{actor.kind === actor.name ? "" : actor.name}</span>
    </>
  );
}

function JobProgressBlock(props: JobPageProps): JSX.Element | null {
  const { progress, status } = props;
  if (status === "queued" || status === "dispatched") {
    return (
      <div class="progress-block">
        <p class="progress-line">
          <span class="muted">{waitSentence(props)}</span>
        </p>
        {props.blocker ? <CancelBlocker jobId={props.id} blocker={props.blocker} /> : null}
      </div>
    );
  }
  if (progress === null && status !== "running") return null;
  const share = status === "succeeded" || status === "warning" ? 1 : (progress?.share ?? null);
  if (share === null && status !== "running") return null;
  return (
    <div class="progress-block">
      <ProgressBar
        share={share}
        label={`${wordOf(status)}, progress`}
        tone={toneOf(status)}
        id="progress-bar"
      />
      {status === "running" ? <ProgressLine progress={progress} /> : null}
    </div>
  );
}

function waitSentence(props: JobPageProps): string {
  if (props.status === "dispatched") return "Sent to the agent; waiting for its answer.";
  return props.waitsFor === null ? "Waiting for its turn." : `Waiting for ${props.waitsFor}.`;
}

/** The cells carry ids: browser/job.ts writes the streamed figures into them, in the same words. */
function ProgressLine({ progress }: { progress: Progress | null }): JSX.Element {
  const cells = progressCells(progress);
  return (
    <>
      <dl class="progress-line">
        {PROGRESS_CELLS.map(({ name, term }) => (
          <div key={name} class={`cell-${name}`}>
            <dt>{term}</dt>
            <dd id={`progress-${name}`}>{cells[name]}</dd>
          </div>
        ))}
      </dl>
      <p class="current mono clip" id="progress-current" title={progress?.currentFiles[0]}>
        {progress?.currentFiles[0] ?? "\u00a0"}
      </p>
    </>
  );
}
