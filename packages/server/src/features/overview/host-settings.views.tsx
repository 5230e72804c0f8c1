/**
 * The writing tabs of a host: repository credentials (secrets are written, never shown) and the danger zone.
 */
import type { JSX } from "preact";
import { formatNoun } from "../../platform/html/format.ts";
import { Field, FormMessage, type FormState, PostForm } from "../../platform/html/forms.tsx";
import { Panel } from "../../platform/html/parts.tsx";
import { useMayOperate } from "../../platform/html/scope.ts";
import { None, Time } from "../../platform/html/values.tsx";
import { type Reachable, RunButton } from "./run-button.views.tsx";

/** The repository as it may be shown. */
export interface RepositoryTabProps {
  /** Without user info. */
  url: string;
  username: string | null;
  repositoryPasswordSet: boolean;
  restPasswordSet: boolean;
  updatedAt: number | null;
  form?: FormState<"repo_url" | "repo_username" | "repo_password" | "rest_password">;
}

/** What deleting the host loses, in numbers. */
export interface DangerZoneProps {
  loss: { jobCount: number; snapshotCount: number; sourceGroupCount: number };
  form?: FormState<"confirm_name">;
}

/** Connection and its form; posts to /hosts/{id}/repository. An empty password keeps the stored one. */
export function RepositoryTab(props: RepositoryTabProps & { host: Reachable & { id: string } }): JSX.Element {
  const mayOperate = useMayOperate();
  return (
    <>
      <Panel title="Connection">
        <dl class="pairs wide">
          <div>
            <dt>URL</dt>
            <dd class="mono break">{props.url}</dd>
          </div>
          <div>
            <dt>User</dt>
            <dd class="mono">{props.username ?? <None />}</dd>
          </div>
          <div>
            <dt>User’s password</dt>
            <dd>{props.restPasswordSet ? "set" : <span class="faint">not set</span>}</dd>
          </div>
          <div>
            <dt>Encryption password</dt>
            <dd>{props.repositoryPasswordSet ? "set" : <span class="word fail">not set</span>}</dd>
          </div>
          <div>
            <dt>Changed</dt>
            <dd>{props.updatedAt === null ? <None label="never" /> : <Time at={props.updatedAt} />}</dd>
          </div>
        </dl>
      </Panel>
      {mayOperate ? <CheckPanel host={props.host} /> : null}
      {mayOperate ? <RepositoryForm {...props} hostId={props.host.id} /> : null}
    </>
  );
}

function CheckPanel({ host }: { host: Reachable & { id: string } }): JSX.Element {
  return (
    <Panel title="Check">
      <div class="panel-body offer">
        <p class="muted">
          Reads the repository’s structure, not the files in it, and reports what is damaged. It needs the
          repository alone: other jobs on it wait until it is done.
        </p>
        <PostForm action={`/hosts/${encodeURIComponent(host.id)}/check`}>
          <RunButton host={host} class="btn" label="Check the repository">
            Check
          </RunButton>
        </PostForm>
      </div>
    </Panel>
  );
}

function RepositoryForm(props: RepositoryTabProps & { hostId: string }): JSX.Element {
  const { values = {}, errors = {}, message } = props.form ?? {};
  return (
    <Panel title="Change credentials" note="a connected agent gets them at once">
      <div class="panel-body">
        <FormMessage message={message} />
        <PostForm action={`/hosts/${encodeURIComponent(props.hostId)}/repository`} class="stack">
          <Field
            name="repo_url"
            label="URL"
            mono
            value={values.repo_url ?? props.url}
            error={errors.repo_url}
          />
          <div class="two-up">
            <Field
              name="repo_username"
              label="User"
              mono
              optional
              value={values.repo_username ?? props.username ?? ""}
              error={errors.repo_username}
            />
            <Field
              name="rest_password"
              label="User’s password"
              type="password"
              optional
              autocomplete="new-password"
              error={errors.rest_password}
              hint={props.restPasswordSet ? "Set. Leave empty to keep it." : "Not set."}
            />
          </div>
          <Field
            name="repo_password"
            label="Encryption password"
            type="password"
            optional
            autocomplete="new-password"
            error={errors.repo_password}
            hint={
              props.repositoryPasswordSet
                ? "Set. Leave empty to keep it. Changing it here does not change the repository’s own key."
                : "Not set: no backup can run."
            }
          />
          <div class="actions">
            <button type="submit" class="btn primary">
              Save
            </button>
          </div>
        </PostForm>
      </div>
    </Panel>
  );
}

/** Deleting the host; posts `confirm_name` to /hosts/{id}/delete. */
export function DangerZone(props: DangerZoneProps & { hostId: string; hostName: string }): JSX.Element {
  const mayOperate = useMayOperate();
  const { values = {}, errors = {}, message } = props.form ?? {};
  const { loss } = props;
  if (!mayOperate) {
    return (
      <Panel title="Settings">
        <p class="panel-body muted">Only operators and admins change a host.</p>
      </Panel>
    );
  }
  return (
    <Panel title="Danger zone" class="danger">
      <div class="panel-body">
        <p class="strong">Delete this host</p>
        <ul class="loss">
          <li>
            Lost here: {formatNoun(loss.jobCount, "job")} with logs,{" "}
            {formatNoun(loss.sourceGroupCount, "source group")}, the stored credentials.
          </li>
          <li>
            Kept: {formatNoun(loss.snapshotCount, "snapshot")} in the repository. restic still reads{" "}
            {loss.snapshotCount === 1 ? "it" : "them"}, with the repository’s password.
          </li>
          <li>The agent is told, stops, and needs a new token to come back.</li>
        </ul>
        <FormMessage message={message} />
        <PostForm action={`/hosts/${encodeURIComponent(props.hostId)}/delete`} class="stack narrow">
          <Field
            name="confirm_name"
            label="Type the host’s name"
            mono
            value={values.confirm_name}
            error={errors.confirm_name}
            hint={
              <>
                It is <code class="break">{props.hostName}</code>.
              </>
            }
          />
          <div class="actions">
            <button type="submit" class="btn danger">
              Delete host
            </button>
          </div>
        </PostForm>
      </div>
    </Panel>
  );
}
