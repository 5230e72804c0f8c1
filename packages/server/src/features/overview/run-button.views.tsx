/**
 * The buttons that start something on a host. The server refuses a host that is away, so they are off then and
 * say why, instead of leading to a refusal.
 */
import type { ComponentChildren, JSX } from "preact";

/** What decides whether anything can be started on a host. */
export interface Reachable {
  online: boolean;
  lastSeenAt: number | null;
  /** An intermittent host that is away is `asleep`: nothing is wrong with it. */
  condition?: string;
}

/** Why nothing can be started on the host now; undefined when it can. */
export function whyNotRun(host: Reachable): string | undefined {
  if (host.online) return undefined;
  if (host.condition === "asleep") return "Asleep: what it missed runs once when it is back.";
  return host.lastSeenAt === null
    ? "Its agent has never connected: install it first."
    : "Offline: start its agent first.";
}

/** A submit button. With `form` and `formaction` it may stand outside of its form. */
export function RunButton(props: {
  host: Reachable;
  class: string;
  label?: string;
  form?: string;
  formaction?: string;
  /** Why not, beside what the host itself says. */
  reason?: string | undefined;
  children: ComponentChildren;
}): JSX.Element {
  const reason = props.reason ?? whyNotRun(props.host);
  return (
    <button
      type="submit"
      class={props.class}
      form={props.form}
      formaction={props.formaction}
      aria-label={props.label}
      disabled={reason !== undefined}
      title={reason}
    >
      {props.children}
    </button>
  );
}
