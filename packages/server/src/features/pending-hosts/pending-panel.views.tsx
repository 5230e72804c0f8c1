/**
 * The machines that wait to be accepted, as the dashboard shows them, and what is said of one wherever it is shown. The
 * fingerprint is the one thing to look at: all else is what a stranger says of itself.
 */
import type { JSX } from "preact";
import { Icon } from "../../platform/html/icons.tsx";
import { CopyButton, Panel } from "../../platform/html/parts.tsx";
import { useMayOperate } from "../../platform/html/scope.ts";
import { Countdown, Time } from "../../platform/html/values.tsx";
import type { Duplicate } from "./pending-hosts.ts";

/** One machine. */
export interface PendingRow {
  id: string;
  hostname: string;
  fingerprint: string;
  os: string;
  arch: string;
  address: string;
  note: string | null;
  /** Whether it has proved that it holds the key; only then can it be accepted. */
  proved: boolean;
  /** Whether its agent waits at the server now; if not, it learns a decision when it comes back. */
  connected: boolean;
  duplicates: readonly Duplicate[];
  announcedAt: number;
  expiresAt: number;
}

/** The panel; nothing at all when nobody waits. */
export function PendingPanel({ pending }: { pending: readonly PendingRow[] }): JSX.Element | null {
  if (pending.length === 0) return null;
  const count = pending.length === 1 ? "1 machine" : `${pending.length} machines`;
  return (
    <Panel title="Waiting to be accepted" note={count} id="pending-hosts">
      <p class="pending-hint hint">
        Accept a machine only when its fingerprint is the one that the machine itself printed.
      </p>
      <ul class="pending-list">
        {pending.map((row) => (
          <Row key={row.id} {...row} />
        ))}
      </ul>
    </Panel>
  );
}

function Row(props: PendingRow): JSX.Element {
  const mayOperate = useMayOperate();
  const { id, hostname } = props;
  return (
    <li class="pending-row" id={`pending-${id}`}>
      <div class="pending-who">
        <span class="mono break strong">{hostname}</span>
        <small class="faint">
          {props.os}/{props.arch} · from <span class="mono">{props.address}</span> · announced{" "}
          <Time at={props.announcedAt} /> · <Countdown at={props.expiresAt} /> left
          {props.proved && !props.connected ? " · not connected now" : ""}
        </small>
        {props.note === null ? null : <small class="muted break">“{props.note}”</small>}
        <Doubts {...props} />
      </div>
      <Fingerprint id={`fingerprint-${id}`} text={props.fingerprint} of={hostname} />
      <a class="btn small row-link" href={`/pending-hosts/${encodeURIComponent(id)}`}>
        {mayOperate ? "Compare and accept" : "Look"}
        <span class="sr-only"> {hostname}</span>
      </a>
    </li>
  );
}

/** Large enough to be compared character by character, and copied by one click. */
export function Fingerprint(props: { id: string; text: string; of: string }): JSX.Element {
  return (
    <div class="fingerprint above">
      <code id={props.id}>{props.text}</code>
      <CopyButton target={props.id} label={`fingerprint of ${props.of}`} />
    </div>
  );
}

/** Why it may not be what it seems, one sentence each. */
export function Doubts(props: Pick<PendingRow, "proved" | "duplicates" | "hostname">): JSX.Element | null {
  const sentences = [
    ...(props.proved ? [] : ["It has not proved its key yet, and can't be accepted before."]),
    ...new Set(props.duplicates.map((one) => wordsOf(one, props.hostname))),
  ];
  if (sentences.length === 0) return null;
  return (
    <ul class="doubts">
      {sentences.map((sentence) => (
        <li key={sentence} class="warn">
          <Icon name="alert" />
          <span class="break">{sentence}</span>
        </li>
      ))}
    </ul>
  );
}

function wordsOf(one: Duplicate, hostname: string): string {
  switch (one.kind) {
    case "host_name":
      return `There already is a host called ${one.hostName}: this may be the same machine, installed anew, or another that takes its name.`;
    case "host_machine":
      return `It says that it is the machine of the host ${one.hostName}: installed anew, or a copy of it.`;
    case "pending_name":
      return `Another machine that calls itself ${hostname} waits too: look at both fingerprints.`;
    case "pending_machine":
      return `${one.hostname}, which waits too, says that it is the same machine: one may be a copy.`;
  }
}
