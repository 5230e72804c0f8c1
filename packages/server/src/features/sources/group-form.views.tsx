/**
 * A source group's own page: its form, what it is used by, a copy for another host, and the danger zone. A form that
 * comes back shows what was typed, never what is stored. Hooks are shown to those who may edit them only.
 */
import type { ComponentChildren, JSX } from "preact";
import { formatNoun } from "../../platform/html/format.ts";
import { EditConflict, FormMessage, PostForm, SaveActions } from "../../platform/html/forms.tsx";
import { Icon } from "../../platform/html/icons.tsx";
import { renderPage } from "../../platform/html/page.tsx";
import { Notice, Panel } from "../../platform/html/parts.tsx";
import { type PageContext, useMayOperate } from "../../platform/html/scope.ts";
import type { Tone } from "../../platform/html/state.tsx";
import { HostField, type HostOption } from "../hosts/hosts.ts";
import { fieldLabels, type GroupField, type GroupValues } from "./group-form.ts";
import { KeepPanel, PathsPanel, RetryPanel } from "./group-panels.views.tsx";
import { HooksPanel } from "./hooks.views.tsx";

/** A schedule that uses the group. */
export interface GroupUse {
  scheduleId: string;
  /** The cron expression and what it says. */
  cron: string;
  words: string;
}

/** What somebody else changed since the form was opened. */
export interface GroupChange {
  field: GroupField;
  /** How it is now; null for what is not shown, as a hook is not. */
  now: string | null;
}

/** The page of one group, or of a new one. */
export interface GroupPageProps {
  host: { id: string; name: string; online: boolean; windows: boolean; hooksAllowed: boolean | null };
  /** Null for a new one. */
  group: { id: string; name: string; version: number } | null;
  values: GroupValues;
  /** What the form showed first, see seen-fields.ts. */
  seen: string;
  errors?: Partial<Record<GroupField, string>>;
  message?: string | undefined;
  /** Set when somebody else saved meanwhile; the form's version is then theirs. */
  changes?: readonly GroupChange[];
  /** What is kept finer than any schedule runs, a sentence each. */
  conflicts: readonly string[];
  usedBy: readonly GroupUse[];
  /** Nothing would be backed up without it. */
  isLast: boolean;
  /** The first of those that a copy can go to. */
  otherHosts: readonly HostOption[];
  /** The copy that was refused: to which host, and why. */
  refusedCopy?: { host: string; message: string } | undefined;
  deleteError?: string | undefined;
  notice?: { tone: Tone; text: string } | undefined;
}

/** The pages /hosts/{id}/sources/new and /hosts/{id}/sources/{gid}. */
export function renderGroupPage(page: PageContext, props: GroupPageProps): string {
  const { host, group } = props;
  const tab = `/hosts/${encodeURIComponent(host.id)}?tab=sources`;
  return renderPage(page, {
    title: `${host.name} · ${group?.name ?? "New source group"}`,
    nav: "dashboard",
    crumbs: [
      { label: "Hosts", href: "/" },
      { label: host.name, href: `/hosts/${encodeURIComponent(host.id)}`, mono: true },
      { label: "Sources", href: tab },
      group === null ? { label: "New" } : { label: group.name, mono: true },
    ],
    notice: props.notice,
    modules: ["group-form.js", "retention-preview.js"],
    content: <GroupPage {...props} />,
  });
}

function GroupPage(props: GroupPageProps): JSX.Element {
  const { group } = props;
  return (
    <div class="editing">
      <div class="head">
        <div class="head-main">
          <h1>{group === null ? "New source group" : <span class="mono break">{group.name}</span>}</h1>
          <p class="head-line">
            <Uses {...props} />
          </p>
        </div>
        {group === null ? null : <RunGroup host={props.host} groupId={group.id} />}
      </div>
      {props.conflicts.map((sentence) => (
        <Notice key={sentence} tone="warn" title="Kept finer than it is run.">
          <span>{sentence}</span>
        </Notice>
      ))}
      <GroupForm {...props} />
      {group === null ? null : <GroupVerbs {...props} groupId={group.id} />}
    </div>
  );
}

function RunGroup({ host, groupId }: Pick<GroupPageProps, "host"> & { groupId: string }): JSX.Element | null {
  if (!useMayOperate()) return null;
  return (
    <PostForm action={`${urlOf(host, groupId)}/run`}>
      <button
        type="submit"
        class="btn"
        disabled={!host.online}
        title={host.online ? undefined : "Offline: start its agent first."}
      >
        <Icon name="play" />
        Run now
      </button>
    </PostForm>
  );
}

function Uses({ host, group, usedBy }: GroupPageProps): JSX.Element {
  if (group === null) return <span>Its name becomes the tag of its snapshots.</span>;
  if (usedBy.length === 0) return <span>in no schedule: it runs by hand only</span>;
  return (
    <span>
      run by{" "}
      {usedBy.map((use, index) => (
        <span key={use.scheduleId}>
          {index > 0 ? ", " : ""}
          <a
            class="link"
            href={`/hosts/${encodeURIComponent(host.id)}/schedules/${encodeURIComponent(use.scheduleId)}`}
            title={use.words}
          >
            <code>{use.cron}</code>
          </a>
        </span>
      ))}
    </span>
  );
}

function urlOf(host: { id: string }, groupId: string): string {
  return `/hosts/${encodeURIComponent(host.id)}/sources/${encodeURIComponent(groupId)}`;
}

function GroupForm(props: GroupPageProps): JSX.Element {
  const { host, group, values, errors = {}, changes = [] } = props;
  const mayOperate = useMayOperate();
  return (
    <PostForm action={urlOf(host, group?.id ?? "new")} label="Source group">
      {group === null ? null : <input type="hidden" name="version" value={String(group.version)} />}
      <input type="hidden" name="seen" value={props.seen} />
      {changes.length > 0 ? <Conflict changes={changes} /> : null}
      <FormMessage message={props.message} />
      <fieldset class="plain form-columns" disabled={!mayOperate}>
        <legend class="sr-only">Source group</legend>
        <div class="form-column">
          <PathsPanel host={host} values={values} errors={errors} isNew={group === null} />
        </div>
        <div class="form-column">
          <KeepPanel
            values={values}
            errors={errors}
            retentionUrl={group && `${urlOf(host, group.id)}/retention`}
          />
          <RetryPanel values={values} errors={errors} />
        </div>
        <HooksPanel
          allowed={host.hooksAllowed}
          windows={host.windows}
          values={values}
          errors={errors}
          note="around every backup of this group"
          empty="Leave empty to use the host’s default."
        />
      </fieldset>
      {mayOperate ? (
        <SaveActions
          save={group === null ? "Create group" : "Save"}
          isConflict={changes.length > 0}
          formUrl={urlOf(host, group?.id ?? "new")}
          cancelUrl={`/hosts/${encodeURIComponent(host.id)}?tab=sources`}
        />
      ) : null}
    </PostForm>
  );
}

function Conflict({ changes }: { changes: readonly GroupChange[] }): JSX.Element {
  return (
    <EditConflict headline="Somebody else saved this group while you were editing.">
      <dl class="changes">
        {changes.map(({ field, now }) => (
          <div key={field}>
            <dt>{fieldLabels[field]}</dt>
            <dd class="mono break">{now === null ? "changed" : now === "" ? "now empty" : now}</dd>
          </div>
        ))}
      </dl>
    </EditConflict>
  );
}

function GroupVerbs(props: GroupPageProps & { groupId: string }): JSX.Element | null {
  if (!useMayOperate()) return null;
  return (
    <div class="form-columns form-foot">
      <ClonePanel {...props} />
      <DangerPanel {...props} />
    </div>
  );
}

function ClonePanel(props: GroupPageProps & { groupId: string }): JSX.Element {
  return (
    <Panel title="Copy to another host">
      <div class="panel-body">
        {props.otherHosts.length === 0 ? (
          <p class="muted">There is no other host yet.</p>
        ) : (
          <PostForm action={`${urlOf(props.host, props.groupId)}/clone`} class="stack">
            <HostField
              name="host"
              label="Host"
              hosts={props.otherHosts}
              value={props.refusedCopy?.host}
              error={props.refusedCopy?.message}
              hint="Paths, retention, retries and hooks as they are saved. Schedules are not copied."
            />
            <div class="actions">
              <button type="submit" class="btn">
                Copy
              </button>
            </div>
          </PostForm>
        )}
      </div>
    </Panel>
  );
}

function DangerPanel(props: GroupPageProps & { groupId: string }): JSX.Element {
  const reason = whyNotDelete(props);
  return (
    <Panel title="Danger zone" class="danger">
      <div class="panel-body">
        <FormMessage message={props.deleteError} />
        <div class="offer">
          <p class="muted" id="delete-reason">
            {reason ??
              "Deletes the group here. Its snapshots stay in the repository, with its name as their tag."}
          </p>
          <PostForm action={`${urlOf(props.host, props.groupId)}/delete`}>
            <button
              type="submit"
              class="btn danger"
              disabled={reason !== undefined}
              aria-describedby="delete-reason"
            >
              Delete group
            </button>
          </PostForm>
        </div>
      </div>
    </Panel>
  );
}

function whyNotDelete({ usedBy, isLast }: GroupPageProps): ComponentChildren | undefined {
  if (usedBy.length > 0) {
    const used = formatNoun(usedBy.length, "schedule");
    return `In use by ${used}: take the group out of ${usedBy.length === 1 ? "it" : "them"} first.`;
  }
  if (isLast) return "The last group of a host stays: without it nothing would be backed up.";
  return undefined;
}
