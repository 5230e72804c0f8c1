/**
 * Who reaches a repository with what: the connection, the everyday credentials, those that may delete, and the hosts that
 * share it. Secrets are written, never shown.
 */
import type { JSX } from "preact";
import { formatCount, formatNoun } from "../../platform/html/format.ts";
import { Field, FormMessage, type FormState, PostForm } from "../../platform/html/forms.tsx";
import { renderFragment } from "../../platform/html/page.tsx";
import { Notice, Panel } from "../../platform/html/parts.tsx";
import { type PageContext, useMayOperate } from "../../platform/html/scope.ts";
import { Dot } from "../../platform/html/state.tsx";
import { None, Pair, Time } from "../../platform/html/values.tsx";
import type { RepositoryView, SharerView } from "../maintenance/maintenance.ts";
import {
  adminValuesOf,
  BackendFields,
  type BackendFieldsProps,
  chosenKind,
  type RedactedCredentials,
  secretFieldsSet,
  type TestResult,
  valuesOf,
} from "../repositories/repositories.ts";
import type { TagCount } from "../snapshots/snapshots.ts";
import { AccessFacts, hasSettings } from "./access-facts.views.tsx";

/** A form of credentials that is shown again. */
export interface AccessFormState extends FormState<string> {
  /** What came of a test of what was typed; a sentence when none could be made. */
  tested?: TestResult | { refused: string };
}

/** The everyday credentials as they may be shown. */
export interface ConnectionProps {
  /** Null until the host has some. */
  access: RedactedCredentials | null;
  /** The host's agent knows locations and passwords only. */
  agentTooOld: boolean;
  form?: AccessFormState;
}

const TooOld = (): JSX.Element => (
  <Notice tone="warn" title="This host’s agent is too old for these settings.">
    It ignores variables, certificate and options, so restic can’t sign in. Update the agent.
  </Notice>
);

export function ConnectionPanel(props: ConnectionProps & { resticId: string | null }): JSX.Element {
  const { access } = props;
  return (
    <Panel title="Connection">
      {props.agentTooOld && hasSettings(access) ? (
        <div class="panel-body">
          <TooOld />
        </div>
      ) : null}
      <dl class="pairs wide">
        {access === null ? <Pair label="URL">{<None />}</Pair> : <AccessFacts access={access} />}
        <Pair label="Encryption password">
          {access?.passwordSet ? "set" : <span class="word fail">not set</span>}
        </Pair>
        <div>
          <dt>Repository id</dt>
          <dd class="mono" title={props.resticId ?? undefined}>
            {props.resticId?.slice(0, 8) ?? <None label="unknown" />}
          </dd>
        </div>
        <Pair label="Changed">
          {access === null ? <None label="never" /> : <Time at={access.updatedAt} />}
        </Pair>
      </dl>
    </Panel>
  );
}

/** Beside the credentials' form, which comes with the module that tests without leaving the page. */
export const accessModules: readonly string[] = ["access-test.js"];

/** Posts to /hosts/{id}/repository. An empty secret keeps the stored one. */
export function CredentialsPanel(props: ConnectionProps & { hostId: string }): JSX.Element {
  const { access, form } = props;
  const { values = valuesOf(access), errors = {}, message } = form ?? {};
  const action = `${urlOf(props.hostId)}/repository`;
  return (
    <Panel title="Change credentials" note="a connected agent gets them at once">
      <div class="panel-body">
        <FormMessage message={message} />
        <PostForm action={action} class="stack" label="Credentials">
          <BackendFields {...{ values, errors }} secretsSet={secretFieldsSet(access)} />
          <Field
            name="repo_password"
            label="Encryption password"
            type="password"
            optional
            autocomplete="new-password"
            error={errors.repo_password}
            hint={
              access?.passwordSet
                ? "Set. Leave empty to keep it. Changing it here does not change the repository’s own key: rotate the password for that."
                : "Not set: no backup can run."
            }
          />
          <SaveAndTest action={action} tested={form?.tested} isPrimary />
          {access?.passwordSet ? (
            <p class="hint">
              For another password of the repository itself,{" "}
              <a class="link" href={`${urlOf(props.hostId)}/rotation`}>
                rotate the password
              </a>
              .
            </p>
          ) : null}
        </PostForm>
      </div>
    </Panel>
  );
}

/** Save comes first: it is what the Enter key does. */
function SaveAndTest(props: {
  action: string;
  tested: AccessFormState["tested"];
  isPrimary?: boolean;
}): JSX.Element {
  return (
    <>
      <div class="test-result" data-test-result aria-live="polite">
        {props.tested === undefined ? null : <Tested tested={props.tested} />}
      </div>
      <div class="actions">
        <button type="submit" class={props.isPrimary ? "btn primary" : "btn"}>
          Save
        </button>
        <button
          type="submit"
          class="btn"
          formaction={`${props.action}/test`}
          data-test-src={`/fragments${props.action}/test`}
        >
          Test connection
        </button>
      </div>
    </>
  );
}

/** The fragment /fragments/hosts/{id}/repository/test. */
export const renderTested = (page: PageContext, tested: NonNullable<AccessFormState["tested"]>): string =>
  renderFragment(page, <Tested tested={tested} />);

/** What came of a test, in words. */
function Tested({ tested }: { tested: NonNullable<AccessFormState["tested"]> }): JSX.Element {
  if ("refused" in tested)
    return (
      <Notice tone="warn" title="Nothing was tested.">
        {tested.refused}
      </Notice>
    );
  const { outcome, message, lastLines } = tested;
  if (outcome !== "failed")
    return (
      <Notice tone="ok" title={outcome === "ok" ? "Connected." : "Connected, and empty."}>
        {message} Nothing is saved by a test.
      </Notice>
    );
  return (
    <Notice tone="fail" title="The connection failed.">
      <span>{message}</span>
      {lastLines.length === 0 ? null : (
        <details class="more-options">
          <summary>restic’s own words</summary>
          <pre class="last-words">{lastLines.join("\n")}</pre>
        </details>
      )}
    </Notice>
  );
}

/** What may be typed of the admin credentials; the encryption password is the everyday one. */
export const adminPrefix = "admin_";

export interface AdminProps {
  hostId: string;
  /** The everyday ones. */
  access: RedactedCredentials | null;
  admin: RepositoryView["adminCredentials"];
  form?: AccessFormState | undefined;
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
        {admin === null ? null : (
          <dl class="pairs wide">
            <AccessFacts access={admin} />
            <Pair label="Changed">
              <Time at={admin.updatedAt} />
            </Pair>
          </dl>
        )}
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

function AdminForm({ hostId, access, admin, form }: AdminProps): JSX.Element {
  const begin = admin === null ? adminValuesOf(access) : valuesOf(admin);
  const { values = begin, errors = {}, message } = form ?? {};
  const action = `${urlOf(hostId)}/admin-credentials`;
  const shared: BackendFieldsProps = {
    prefix: adminPrefix,
    values,
    errors,
    secretsSet: secretFieldsSet(admin),
  };
  return (
    <details class="more-options" open={form !== undefined}>
      <summary>{admin === null ? "Set admin credentials" : "Change them"}</summary>
      <PostForm action={action} class="stack" label="Admin credentials">
        <FormMessage message={message} />
        <BackendFields
          {...shared}
          only={form === undefined ? (admin?.kind ?? access?.kind) : chosenKind(values)}
        />
        <p class="hint">
          The same repository; another port or path where its server has one that may delete. Where the
          everyday credentials may delete too, save the same. The encryption password stays the one of the
          connection.
        </p>
        <SaveAndTest action={action} tested={form?.tested} />
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
