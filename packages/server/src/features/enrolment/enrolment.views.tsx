/**
 * Add host: the form, its result with the install command, and the panel that turns green by itself. The
 * minted password is on the result page once and nowhere else.
 */
import type { JSX } from "preact";
import { Field, type FieldProps, FormMessage, type FormState, PostForm } from "../../platform/html/forms.tsx";
import { renderFragment, renderPage } from "../../platform/html/page.tsx";
import { CopyBlock, Notice, Panel, Tags } from "../../platform/html/parts.tsx";
import type { PageContext } from "../../platform/html/scope.ts";
import {
  BackendFields,
  type BackendFieldsProps,
  chosenKind,
  firstProblem,
} from "../repositories/repositories.ts";
import { type EnrolmentStatusProps, LiveStatus, Status } from "./enrolment-status.views.tsx";

export type { EnrolmentStatusProps };

/** The form. */
export interface AddHostProps {
  /** Travels with the form, so that the same form sent twice makes one token. */
  formId?: string;
  /** The fields are the host's own and those of `BackendFields`. */
  form?: FormState<string>;
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

function AddHost({ form, formId }: AddHostProps): JSX.Element {
  const { values = {}, errors = {}, message } = form ?? {};
  const kind = chosenKind(values);
  const focused =
    ["hostname", "tags", "initial_paths"].find((name) => errors[name] !== undefined) ??
    firstProblem(kind, errors) ??
    (errors.repo_password === undefined ? "hostname" : "repo_password");
  const field: FieldOf = (name) => ({
    name,
    value: values[name],
    error: errors[name],
    autofocus: name === focused,
  });
  return (
    <>
      <div class="head">
        <h1>Add host</h1>
      </div>
      <PostForm action="/hosts/new" class="form-grid">
        {formId === undefined ? null : <input type="hidden" name="form_id" value={formId} />}
        <FormMessage message={message} />
        <HostFields field={field} />
        <RepositoryFields field={field} backend={{ values, errors, focused }} />
        <div class="actions">
          <button type="submit" class="btn primary">
            Create install command
          </button>
          <a class="btn quiet" href="/">
            Cancel
          </a>
        </div>
      </PostForm>
    </>
  );
}

/** What a field shows of a form that came back. */
type FieldOf = (name: string) => Pick<FieldProps, "name" | "value" | "error" | "autofocus">;

function HostFields({ field }: { field: FieldOf }): JSX.Element {
  return (
    <Panel title="Host">
      <div class="panel-body stack">
        <Field
          {...field("hostname")}
          label="Host name"
          mono
          placeholder="web-01"
          hint="As it calls itself; snapshots carry this name."
        />
        <Field
          {...field("tags")}
          label="Tags"
          optional
          placeholder="prod, web"
          hint="Separated by commas; for finding and filtering."
        />
        <Field
          {...field("initial_paths")}
          label="Paths to back up"
          optional
          mono
          rows={4}
          placeholder={"/etc\n/home\n/var/lib"}
          hint="One absolute path per line. They become the first source group. Left empty: the whole machine but temporary files."
        />
      </div>
    </Panel>
  );
}

function RepositoryFields(props: {
  field: FieldOf;
  backend: Pick<BackendFieldsProps, "values" | "errors" | "focused">;
}): JSX.Element {
  return (
    <Panel title="Repository">
      <div class="panel-body stack">
        <BackendFields
          {...props.backend}
          secretsSet={[]}
          emptyRestPassword="Empty: the same as the encryption password."
        />
        <Field
          {...props.field("repo_password")}
          label="Encryption password"
          type="password"
          optional
          autocomplete="new-password"
          hint="Encrypts the repository. Leave it empty and a strong one is made and shown once."
        />
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
        <Panel title="What it will do">
          <dl class="facts">
            <div>
              <dt>Repository</dt>
              <dd class="mono break">{props.repositoryUrl}</dd>
            </div>
            <div>
              <dt>Paths</dt>
              <dd class="mono break">
                {props.initialPaths.length === 0
                  ? "the whole machine but temporary files"
                  : props.initialPaths.join("\n")}
              </dd>
            </div>
            {props.tags.length === 0 ? null : (
              <div>
                <dt>Tags</dt>
                <dd>
                  <Tags tags={props.tags} />
                </dd>
              </div>
            )}
          </dl>
        </Panel>
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
              Without sudo, as root: leave out <code>sudo -E</code>. The token in it works once. The agent
              dials out to this server and needs no open port.
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

function MintedPassword(props: AddHostResultProps & { password: string }): JSX.Element {
  return (
    <Panel title="Repository password" note="shown only now" class="warn">
      <div class="panel-body stack">
        <Notice tone="warn" title="Keep it where this server is not.">
          Without it no snapshot of this repository can ever be read. We store it encrypted and never show it
          again.
        </Notice>
        <CopyBlock id="minted-password" text={props.password} label="repository password" />
        {props.htpasswdCommand === null ? null : (
          <>
            <p class="hint">
              On the rest-server, so that it accepts this user (asks for the password above):
            </p>
            <CopyBlock id="htpasswd-command" text={props.htpasswdCommand} label="htpasswd command" />
          </>
        )}
      </div>
    </Panel>
  );
}
