/**
 * Who reaches a repository with what: the connection, the everyday credentials, those that may delete, and the hosts that
 * share it. Secrets are written, never shown.
 */
import type { JSX } from "preact";
import { formatCount, formatNoun } from "../../platform/html/format.ts";
import { Field, FormMessage, type FormState, PostForm } from "../../platform/html/forms.tsx";
import { Panel } from "../../platform/html/parts.tsx";
import { useMayOperate } from "../../platform/html/scope.ts";
import { Dot } from "../../platform/html/state.tsx";
import { None, Time } from "../../platform/html/values.tsx";
import type { RepositoryView, SharerView } from "../maintenance/maintenance.ts";
import type { TagCount } from "../snapshots/snapshots.ts";

/** The everyday credentials as they may be shown. */
export interface ConnectionProps {
  /** Without user info. */
  url: string;
  username: string | null;
  repositoryPasswordSet: boolean;
  restPasswordSet: boolean;
  updatedAt: number | null;
  form?: FormState<"repo_url" | "repo_username" | "repo_password" | "rest_password">;
}

export function ConnectionPanel(props: ConnectionProps & { resticId: string | null }): JSX.Element {
  return (
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
          <dt>Repository id</dt>
          <dd class="mono" title={props.resticId ?? undefined}>
            {props.resticId?.slice(0, 8) ?? <None label="unknown" />}
          </dd>
        </div>
        <div>
          <dt>Changed</dt>
          <dd>{props.updatedAt === null ? <None label="never" /> : <Time at={props.updatedAt} />}</dd>
        </div>
      </dl>
    </Panel>
  );
}

/** Posts to /hosts/{id}/repository. An empty password keeps the stored one. */
export function CredentialsPanel(props: ConnectionProps & { hostId: string }): JSX.Element {
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
                ? "Set. Leave empty to keep it. Changing it here does not change the repository’s own key: rotate the password for that."
                : "Not set: no backup can run."
            }
          />
          <div class="actions">
            <button type="submit" class="btn primary">
              Save
            </button>
            {props.repositoryPasswordSet ? (
              <a class="btn" href={`${urlOf(props.hostId)}/rotation`}>
                Rotate the password
              </a>
            ) : null}
          </div>
        </PostForm>
      </div>
    </Panel>
  );
}

/** What may be typed of the admin credentials; the encryption password is the everyday one. */
export type AdminField = "admin_url" | "admin_username" | "admin_password";

export interface AdminProps {
  hostId: string;
  url: string;
  admin: RepositoryView["adminCredentials"];
  form?: FormState<AdminField> | undefined;
}

/** What may delete: set or not, its form, its end. */
export function AdminPanel(props: AdminProps): JSX.Element {
  const { admin } = props;
  const mayOperate = useMayOperate();
  return (
    <Panel title="Admin credentials" id="admin-credentials" note={admin === null ? "not set" : "set"}>
      <div class="panel-body stack">
        <p class="muted">
          For servers that let everyday users only append: prune deletes with these, and they reach the host
          for that job alone.
        </p>
        {admin === null ? null : <AdminFacts admin={admin} />}
        {mayOperate ? <AdminForm {...props} /> : null}
        {mayOperate && admin !== null ? (
          <PostForm action={`${urlOf(props.hostId)}/admin-credentials/remove`} class="offer">
            <p class="hint">Without them nothing is pruned on this host.</p>
            <button type="submit" class="btn danger">
              Remove
            </button>
          </PostForm>
        ) : null}
      </div>
    </Panel>
  );
}

const urlOf = (hostId: string): string => `/hosts/${encodeURIComponent(hostId)}`;

function AdminFacts({ admin }: { admin: NonNullable<RepositoryView["adminCredentials"]> }): JSX.Element {
  return (
    <dl class="pairs wide">
      <div>
        <dt>URL</dt>
        <dd class="mono break">{admin.location}</dd>
      </div>
      <div>
        <dt>User</dt>
        <dd class="mono">{admin.restUsername ?? <None />}</dd>
      </div>
      <div>
        <dt>User’s password</dt>
        <dd>{admin.restPasswordSet ? "set" : <span class="faint">not set</span>}</dd>
      </div>
      <div>
        <dt>Changed</dt>
        <dd>
          <Time at={admin.updatedAt} />
        </dd>
      </div>
    </dl>
  );
}

function AdminForm({ hostId, url, admin, form }: AdminProps): JSX.Element {
  const { values = {}, errors = {}, message } = form ?? {};
  return (
    <details class="more-options" open={form !== undefined}>
      <summary>{admin === null ? "Set admin credentials" : "Change them"}</summary>
      <PostForm action={`${urlOf(hostId)}/admin-credentials`} class="stack" label="Admin credentials">
        <FormMessage message={message} />
        <Field
          name="admin_url"
          label="URL"
          mono
          value={values.admin_url ?? admin?.location ?? url}
          error={errors.admin_url}
          hint="The same repository; another port or path where its server has one that may delete."
        />
        <div class="two-up">
          <Field
            name="admin_username"
            label="User"
            mono
            optional
            value={values.admin_username ?? admin?.restUsername ?? ""}
            error={errors.admin_username}
          />
          <Field
            name="admin_password"
            label="User’s password"
            type="password"
            optional
            autocomplete="new-password"
            error={errors.admin_password}
            hint={admin?.restPasswordSet ? "Set. Leave empty to keep it." : "Not set."}
          />
        </div>
        <p class="hint">
          Where the everyday credentials may delete too, save the same. The encryption password stays the one
          of the connection.
        </p>
        <div class="actions">
          <button type="submit" class="btn">
            Save
          </button>
        </div>
      </PostForm>
    </details>
  );
}

/** What of this host lies in it, by the tags of its snapshots: a tag is a source group, or somebody's own. */
export function TagsPanel({ tags }: { tags: readonly TagCount[] }): JSX.Element | null {
  if (tags.length === 0) return null;
  return (
    <Panel title="Snapshots by tag" note="of this host" id="repository-tags">
      <ul class="sharers">
        {tags.slice(0, shownTags).map(({ tag, count, newestAt }) => (
          <li key={tag ?? ""}>
            {tag === null ? <span class="muted">without a tag</span> : <span class="mono clip">{tag}</span>}
            <small>
              {formatNoun(count, "snapshot")}, newest <Time at={newestAt} />
            </small>
          </li>
        ))}
      </ul>
      {tags.length > shownTags ? (
        <p class="panel-body hint">And {formatCount(tags.length - shownTags)} more tags.</p>
      ) : null}
    </Panel>
  );
}

/** Of a program that tags each run anew, nobody reads them all. */
const shownTags = 20;

/** Everybody who backs up to it; nothing to say when this host is alone. */
export function SharersPanel({
  sharers,
  hostId,
}: {
  sharers: readonly SharerView[];
  hostId: string;
}): JSX.Element | null {
  if (sharers.length < 2) return null;
  return (
    <Panel title="Hosts that share it" note={formatCount(sharers.length)} id="repository-sharers">
      <ul class="sharers">
        {sharers.map((sharer) => (
          <li key={sharer.id}>
            <Dot tone={sharer.isOnline ? "ok" : "idle"} label={sharer.isOnline ? "online" : "offline"} />
            {sharer.id === hostId ? (
              <span class="mono clip">{sharer.name}</span>
            ) : (
              <a class="link mono clip" href={`${urlOf(sharer.id)}?tab=repository`}>
                {sharer.name}
              </a>
            )}
            <small>
              {[
                ...(sharer.id === hostId ? ["this host"] : []),
                ...(sharer.isOwner ? ["prunes and checks for all"] : []),
                ...(sharer.isAdminSet ? ["admin credentials set"] : []),
              ].join(", ")}
            </small>
          </li>
        ))}
      </ul>
    </Panel>
  );
}
