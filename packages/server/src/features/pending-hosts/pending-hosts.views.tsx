/**
 * One machine that waits: its fingerprint to compare, the form that accepts it, the line that rejects it, and what
 * became of it. Without the right to decide, the facts alone.
 */
import type { JSX } from "preact";
import { Choice, Field, FormMessage, type FormState, PostForm } from "../../platform/html/forms.tsx";
import { renderFragment, renderPage } from "../../platform/html/page.tsx";
import { Facts, Notice, Panel } from "../../platform/html/parts.tsx";
import { type PageContext, useMayOperate } from "../../platform/html/scope.ts";
import { Dot } from "../../platform/html/state.tsx";
import { Countdown, None, Time } from "../../platform/html/values.tsx";
import { Connected, MintedPassword, PlanFields, PlanSummary } from "../enrolment/enrolment.ts";
import { Doubts, Fingerprint, type PendingRow } from "./pending-panel.views.tsx";

/** What became of it. */
export type PendingState =
  | { name: "pending" }
  | { name: "expired" }
  | { name: "rejected"; reason: string | null }
  | {
      name: "accepted";
      hostId: string;
      /** Once it has connected. */
      connected: {
        agentVersion: string;
        resticVersion: string | null;
        lastSeenAt: number;
        offline: boolean;
      } | null;
    };

export interface PendingHostPageProps extends PendingRow {
  state: PendingState;
  agentVersion: string;
  resticVersion: string | null;
  /** What it dialled; null until it has proved its key. */
  serverName: string | null;
  /** The name of this server by which the reader came. */
  ownName: string;
  form?: FormState<string>;
  /** Of the form that rejects. */
  rejection?: FormState<string>;
}

/** The answer to accepting, when a password was made. */
export interface AcceptedProps {
  id: string;
  hostname: string;
  state: Extract<PendingState, { name: "accepted" }>;
  mintedPassword: string;
  htpasswdCommand: string | null;
  /** Without user info or password. */
  repositoryUrl: string;
  tags: readonly string[];
  initialPaths: readonly string[];
}

const urlOf = (id: string): string => `/pending-hosts/${encodeURIComponent(id)}`;
const crumbsOf = (hostname: string) => [
  { label: "Hosts", href: "/" },
  { label: "Waiting", href: "/" },
  { label: hostname, mono: true },
];

/** The page /pending-hosts/{id}. */
export function renderPendingHostPage(page: PageContext, props: PendingHostPageProps): string {
  return renderPage(page, {
    title: `${props.hostname} · Waiting to be accepted`,
    nav: "dashboard",
    crumbs: crumbsOf(props.hostname),
    content: props.state.name === "pending" ? <Waiting {...props} /> : <Decided {...props} />,
  });
}

/** The answer to the post: shown once, MUST be sent with `Cache-Control: no-store`. */
export function renderAcceptedPage(page: PageContext, props: AcceptedProps): string {
  return renderPage(page, {
    title: `${props.hostname} · Accepted`,
    nav: "dashboard",
    crumbs: crumbsOf(props.hostname),
    content: (
      <>
        <div class="head">
          <h1>
            <span class="mono break">{props.hostname}</span> is accepted
          </h1>
        </div>
        <div class="column">
          <LiveAccepted {...props} />
          <MintedPassword password={props.mintedPassword} htpasswdCommand={props.htpasswdCommand} />
          <PlanSummary {...props} />
        </div>
      </>
    ),
  });
}

/** The fragment /pending-hosts/{id}/status. */
export function renderPendingStatus(
  page: PageContext,
  props: Pick<PendingHostPageProps, "hostname" | "state">,
): string {
  return renderFragment(page, <Status {...props} />);
}

function Waiting(props: PendingHostPageProps): JSX.Element {
  const mayOperate = useMayOperate();
  return (
    <>
      <div class="head">
        <h1>
          <span class="mono break">{props.hostname}</span> waits to be accepted
        </h1>
      </div>
      <Identity {...props} />
      {mayOperate && props.proved ? <AcceptForm {...props} /> : null}
      {mayOperate ? <RejectForm {...props} /> : null}
    </>
  );
}

function Identity(props: PendingHostPageProps): JSX.Element {
  return (
    <Panel title="Is it this machine?" id="identity">
      <div class="panel-body stack">
        <Fingerprint id="fingerprint" text={props.fingerprint} of={props.hostname} />
        <p class="hint">
          Compare every character with what the machine printed when it announced itself. If one differs,
          another machine uses this name: reject it. What stands below, the machine says of itself.
        </p>
        <Doubts {...props} />
      </div>
      <Facts
        facts={[
          { term: "System", value: `${props.os}/${props.arch}` },
          { term: "Address", value: <span class="mono">{props.address}</span> },
          { term: "Agent", value: props.agentVersion },
          { term: "restic", value: props.resticVersion ?? "not found" },
          { term: "Dialled", value: <span class="mono break">{props.serverName ?? <None />}</span> },
          { term: "Connected", value: props.connected ? "yes, it waits" : "not now" },
          { term: "Announced", value: <Time at={props.announcedAt} /> },
          { term: "Time left", value: <Countdown at={props.expiresAt} /> },
          ...(props.note === null ? [] : [{ term: "Note", value: <span class="break">{props.note}</span> }]),
        ]}
      />
    </Panel>
  );
}

function AcceptForm(props: PendingHostPageProps): JSX.Element {
  const { id, fingerprint, hostname, form } = props;
  const shown = form ?? { values: { hostname } };
  return (
    <PostForm action={`${urlOf(id)}/accept`} class="form-grid" label="Accept">
      <input type="hidden" name="fingerprint" value={fingerprint} />
      <FormMessage message={shown.message} />
      <PlanFields form={shown} />
      <ServerName {...props} />
      <div class="actions">
        <button type="submit" class="btn primary">
          The fingerprint is the same: accept
        </button>
        <a class="btn quiet" href="/">
          Cancel
        </a>
      </div>
    </PostForm>
  );
}

/** A relay between the machine and this server would show here. */
function ServerName({ serverName, ownName, form }: PendingHostPageProps): JSX.Element | null {
  if (serverName === null || serverName === ownName) return null;
  const error = form?.errors?.server_name;
  return (
    <Panel title="The address it dialled" class="warn">
      <div class="panel-body stack">
        <Notice tone="warn" title="It is not the address that you use.">
          The machine dialled <span class="mono break">{serverName}</span>, and you are at{" "}
          <span class="mono break">{ownName}</span>. If the first is not this server's as well, somebody
          stands in between: reject it.
        </Notice>
        <Choice type="checkbox" name="server_name" value={serverName} checked={false}>
          <span class="mono break">{serverName}</span> is an address of this server
        </Choice>
        {error === undefined ? null : <p class="field-error">{error}</p>}
      </div>
    </Panel>
  );
}

function RejectForm({ id, rejection }: PendingHostPageProps): JSX.Element {
  return (
    <Panel title="Reject" class="danger" id="reject">
      <PostForm action={`${urlOf(id)}/reject`} class="panel-body stack" label="Reject">
        <FormMessage message={rejection?.message} />
        <Field
          name="reason"
          label="Reason"
          optional
          value={rejection?.values?.reason}
          error={rejection?.errors?.reason}
          hint="One line; the machine prints it and stops waiting. It may announce itself again."
        />
        <div class="actions">
          <button type="submit" class="btn danger">
            Reject this machine
          </button>
        </div>
      </PostForm>
    </Panel>
  );
}

function Decided(props: PendingHostPageProps): JSX.Element {
  return (
    <>
      <div class="head">
        <h1>
          Announcement of <span class="mono break">{props.hostname}</span>
        </h1>
      </div>
      <div class="column">
        {props.state.name === "accepted" ? <LiveAccepted {...props} /> : <Status {...props} />}
      </div>
    </>
  );
}

/** Kept fresh by the page's script until the host is connected. */
function LiveAccepted(props: Pick<PendingHostPageProps, "id" | "hostname" | "state">): JSX.Element {
  return (
    <div
      id="accepted"
      class="live"
      data-live-src={`${urlOf(props.id)}/status`}
      data-live-ms="2000"
      aria-live="polite"
    >
      <Status {...props} />
    </div>
  );
}

function Status({ hostname, state }: Pick<PendingHostPageProps, "hostname" | "state">): JSX.Element {
  if (state.name === "accepted" && state.connected !== null)
    return <Connected hostname={hostname} host={{ id: state.hostId, ...state.connected }} />;
  if (state.name === "accepted") {
    return (
      <div class="wait" id="enrolment-status">
        <Dot tone="running" />
        <div>
          <p class="strong">Accepted; waiting for its first connection</p>
          <p class="muted">
            The machine fetches its access and connects. If it was away, it does when it announces itself
            again.
            <noscript> Load the page again to see news.</noscript>
          </p>
        </div>
        <a class="btn" href={`/hosts/${encodeURIComponent(state.hostId)}`}>
          Open host
        </a>
      </div>
    );
  }
  return (
    <div class="wait fail" id="enrolment-status" data-live-end="">
      <Dot tone={state.name === "rejected" ? "idle" : "fail"} />
      <div>
        <p class="strong">
          {state.name === "rejected" ? "This machine was rejected" : "This announcement has expired"}
        </p>
        <p class="muted break">
          {state.name === "rejected"
            ? (state.reason ?? "No reason was given. It may announce itself again.")
            : "Nobody decided within an hour. Let the machine announce itself again."}
        </p>
      </div>
      <a class="btn" href="/">
        Dashboard
      </a>
    </div>
  );
}
