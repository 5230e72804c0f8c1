/** The panel on the result page that turns green by itself when the agent connects. */
import type { JSX } from "preact";
import { Icon } from "../../platform/html/icons.tsx";
import { Dot } from "../../platform/html/state.tsx";
import { Countdown, Time } from "../../platform/html/values.tsx";

/** What became of a token. */
export interface EnrolmentStatusProps {
  tokenId: string;
  hostname: string;
  expiresAt: number;
  /** `waiting` for the agent, `enrolled` but not connected yet, `online`, or `expired` unused. */
  state: "waiting" | "enrolled" | "online" | "expired";
  host: {
    id: string;
    agentVersion: string;
    resticVersion: string | null;
    lastSeenAt: number;
    /** It was connected, and its last heartbeat is too old now. */
    offline?: boolean;
  } | null;
}

/** The status, kept fresh by the page's script. */
export function LiveStatus(status: EnrolmentStatusProps): JSX.Element {
  return (
    <div
      id="enrolment"
      class="live"
      data-live-src={`/hosts/new/${encodeURIComponent(status.tokenId)}/status`}
      data-live-ms="2000"
      aria-live="polite"
    >
      <Status {...status} />
    </div>
  );
}

/** What became of the token, as the panel that turns green. */
export function Status(props: EnrolmentStatusProps): JSX.Element {
  if (props.state === "online" && props.host !== null) return <Connected {...props} host={props.host} />;
  if (props.state === "expired") {
    return (
      <div class="wait fail" id="enrolment-status" data-live-end="">
        <Dot tone="fail" />
        <div>
          <p class="strong">The token expired unused</p>
          <p class="muted">
            It ended <Time at={props.expiresAt} />. Nothing was changed on the host.
          </p>
        </div>
        <a class="btn" href="/hosts/new">
          Make a new one
        </a>
      </div>
    );
  }
  const enrolled = props.state === "enrolled";
  return (
    <div class="wait" id="enrolment-status">
      <Dot tone="running" />
      <div>
        <p class="strong">
          {enrolled ? "Enrolled; waiting for its first connection" : "Waiting for the agent"}
        </p>
        <p class="muted">
          {enrolled
            ? "The token was used. The agent connects next."
            : "Run the command below; this turns green by itself."}
          <noscript> Load the page again to see news.</noscript>
        </p>
      </div>
      {enrolled ? null : (
        <span class="faint">
          Token valid for <Countdown at={props.expiresAt} />
        </span>
      )}
    </div>
  );
}

/** The green end of waiting. */
export function Connected(
  props: Pick<EnrolmentStatusProps, "hostname"> & { host: NonNullable<EnrolmentStatusProps["host"]> },
): JSX.Element {
  const { host } = props;
  return (
    <div class="wait ok" id="enrolment-status" data-live-end="">
      <span class="wait-check">
        <Icon name="check" />
      </span>
      <div>
        <p class="strong">
          <span class="mono break">{props.hostname}</span>{" "}
          {host.offline ? "is enrolled, but offline now" : "is connected"}
        </p>
        <p class="muted">
          Agent {host.agentVersion} ·{" "}
          {host.resticVersion === null ? "restic not found" : `restic ${host.resticVersion}`} · seen{" "}
          <Time at={host.lastSeenAt} />
        </p>
      </div>
      <a class="btn primary" href={`/hosts/${encodeURIComponent(host.id)}`}>
        Open host
      </a>
    </div>
  );
}
