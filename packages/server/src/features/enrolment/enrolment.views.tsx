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
  /** Goes back with the form that downloads an installer; on this page only. */
  token: string;
  /** Null when the server has no installer for that system. */
  installCommand: string | null;
  windowsCommand: string | null;
  /** For a host that has the agent already; shown when there is no installer at all. */
  enrolCommand: string;
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
        <InstallPanels {...props} />
        <PlanSummary {...props} />
      </div>
    </>
  );
}

function InstallPanels(props: AddHostResultProps): JSX.Element {
  const { installCommand, windowsCommand } = props;
  if (installCommand === null && windowsCommand === null) return <EnrolPanel {...props} />;
  return (
    <>
      {installCommand === null ? null : (
        <Panel title="Linux" note="in a shell on the host">
          <div class="panel-body stack">
            <CopyBlock id="install-command" text={installCommand} label="install command" />
            <p class="hint">
              Without sudo, as root: leave out <code>sudo --preserve-env=…</code>. The token in it works once.
              The agent dials out to this server and needs no open port.
            </p>
            <InstallerForm {...props} kind="sh" run="sudo sh" />
          </div>
        </Panel>
      )}
      {windowsCommand === null ? null : (
        <Panel title="Windows" note="in PowerShell, as an administrator">
          <div class="panel-body stack">
            <CopyBlock id="windows-command" text={windowsCommand} label="command for Windows" />
            <InstallerForm {...props} kind="ps1" run="powershell -ExecutionPolicy Bypass -File" />
          </div>
        </Panel>
      )}
    </>
  );
}

/** In another tab, because this page and what it shows once must stay. */
function InstallerForm(props: AddHostResultProps & { kind: "sh" | "ps1"; run: string }): JSX.Element {
  const { kind, status, token, run } = props;
  const fileName = `install-${status.hostname}.${kind}`;
  return (
    <PostForm action={`/hosts/new/${encodeURIComponent(status.tokenId)}/installer`} class="actions" newTab>
      <input type="hidden" name="token" value={token} />
      <input type="hidden" name="kind" value={kind} />
      <button type="submit" class="btn" aria-label={`Download installer ${fileName}`}>
        Download installer
      </button>
      <span class="hint">
        Once, with server and token inside: keep it private, run{" "}
        <code class="break">
          {run} {fileName}
        </code>
        , then delete it.
      </span>
    </PostForm>
  );
}

function EnrolPanel({ enrolCommand }: AddHostResultProps): JSX.Element {
  return (
    <Panel title="Enrol command" note="run as root on the host">
      <div class="panel-body stack">
        <Notice tone="warn" title="This server has no installer to hand out.">
          An administrator puts a release into the folder that Settings → Agents names. Where the agent is
          installed already, this enrols it:
        </Notice>
        <CopyBlock id="install-command" text={enrolCommand} label="enrol command" />
        <p class="hint">
          The token in it works once. In a built source tree on the host, <code>restic-manager-agent</code> is{" "}
          <code>node packages/agent/dist/main.js</code>. Start it with <code>run</code> afterwards.
        </p>
      </div>
    </Panel>
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
