/**
 * Add host: the form, its result with the install command, and the panel that turns green by itself. The
 * minted password is on the result page once and nowhere else.
 */
import type { JSX } from "preact";
import { FormMessage, type FormState, PostForm } from "../../platform/html/forms.tsx";
import { renderFragment, renderPage } from "../../platform/html/page.tsx";
import { CopyBlock, Notice, Panel } from "../../platform/html/parts.tsx";
import type { PageContext } from "../../platform/html/scope.ts";
import { type EnrolmentStatusProps, LiveStatus, Status } from "./enrolment-status.views.tsx";
import { MintedPassword, PlanFields, PlanSummary } from "./plan-form.views.tsx";

export type { EnrolmentStatusProps };

/** The form. */
export interface AddHostProps {
  /** Travels with the form, so that the same form sent twice makes one token. */
  formId?: string;
  /** The fields are the host's own and those of `BackendFields`. */
  form?: FormState<string>;
  /** For a machine without a token. */
  announceCommand?: string;
}

/** The result page. */
export interface AddHostResultProps {
  status: EnrolmentStatusProps;
  installCommand: string;
  /** Present only when the server minted it. */
  mintedPassword: string | null;
  /** The line for a rest-server's password file, when there is one to write. */
  htpasswdCommand: string | null;
  /** Without user info or password. */
  repositoryUrl: string;
  tags: readonly string[];
  initialPaths: readonly string[];
}

/** The page /hosts/new; posts to the same address. */
export function renderAddHostPage(page: PageContext, props: AddHostProps): string {
  return renderPage(page, {
    title: "Add host",
    nav: "dashboard",
    crumbs: [{ label: "Hosts", href: "/" }, { label: "Add" }],
    content: <AddHost {...props} />,
  });
}

/** The answer to the post: shown once, MUST be sent with `Cache-Control: no-store`. */
export function renderAddHostResultPage(page: PageContext, props: AddHostResultProps): string {
  return renderPage(page, {
    title: `${props.status.hostname} · Add host`,
    nav: "dashboard",
    crumbs: [
      { label: "Hosts", href: "/" },
      { label: "Add", href: "/hosts/new" },
      { label: props.status.hostname, mono: true },
    ],
    content: <Result {...props} />,
  });
}

/** The page /hosts/new/{tokenId}: what became of the token, without its secrets. */
export function renderEnrolmentPage(page: PageContext, props: { status: EnrolmentStatusProps }): string {
  return renderPage(page, {
    title: `${props.status.hostname} · Add host`,
    nav: "dashboard",
    crumbs: [
      { label: "Hosts", href: "/" },
      { label: "Add", href: "/hosts/new" },
      { label: props.status.hostname, mono: true },
    ],
    content: <ShownOnce {...props} />,
  });
}

/** The fragment /hosts/new/{tokenId}/status. */
export function renderEnrolmentStatus(page: PageContext, props: EnrolmentStatusProps): string {
  return renderFragment(page, <Status {...props} />);
}

function AddHost({ form, formId, announceCommand }: AddHostProps): JSX.Element {
  return (
    <>
      <div class="head">
        <h1>Add host</h1>
      </div>
      <PostForm action="/hosts/new" class="form-grid">
        {formId === undefined ? null : <input type="hidden" name="form_id" value={formId} />}
        <FormMessage message={form?.message} />
        <PlanFields form={form} />
        <div class="actions">
          <button type="submit" class="btn primary">
            Create install command
          </button>
          <a class="btn quiet" href="/">
            Cancel
          </a>
        </div>
      </PostForm>
      {announceCommand === undefined ? null : <Announcing command={announceCommand} />}
    </>
  );
}

function Announcing({ command }: { command: string }): JSX.Element {
  return (
    <Panel title="Or let the machine announce itself" note="without a token">
      <div class="panel-body stack">
        <p class="hint">
          Run this as root on the machine. It prints a fingerprint and waits; the dashboard shows the same
          one, and there you say where it backs up to and accept it.
        </p>
        <CopyBlock id="announce-command" text={command} label="announce command" />
      </div>
    </Panel>
  );
}

function Result(props: AddHostResultProps): JSX.Element {
  return (
    <>
      <div class="head">
        <h1>
          Install the agent on <span class="mono">{props.status.hostname}</span>
        </h1>
      </div>
      <div class="column">
        <LiveStatus {...props.status} />
        {props.mintedPassword === null ? null : <MintedPassword {...props} password={props.mintedPassword} />}
        <Panel title="Install command" note="run as root on the host">
          <div class="panel-body stack">
            <CopyBlock id="install-command" text={props.installCommand} label="install command" />
            <p class="hint">
              The token in it works once. The agent dials out to this server and needs no open port. There is
              no package of the agent yet: in a built source tree on the host,{" "}
              <code>restic-manager-agent</code> is <code>node packages/agent/dist/main.js</code>. Start it
              with <code>run</code> afterwards.
            </p>
          </div>
        </Panel>
        <PlanSummary {...props} />
      </div>
    </>
  );
}

function ShownOnce({ status }: { status: EnrolmentStatusProps }): JSX.Element {
  return (
    <>
      <div class="head">
        <h1>
          Enrolment of <span class="mono">{status.hostname}</span>
        </h1>
      </div>
      <div class="column">
        <LiveStatus {...status} />
        <Notice tone="idle" title="The install command was shown once.">
          So was the password, if we made one. Neither can be shown again;{" "}
          <a href="/hosts/new">make a new token</a> if you need one.
        </Notice>
      </div>
    </>
  );
}
