/**
 * A schedule's own page: when, what, whether, and the danger zone; and the question before a paused one is run. The
 * chips and the live times need scripts, everything else works without.
 */
import type { JSX } from "preact";
import { Choice, ChoiceSet, Field, FormMessage, PostForm } from "../../platform/html/forms.tsx";
import { Icon } from "../../platform/html/icons.tsx";
import { renderPage } from "../../platform/html/page.tsx";
import { Empty, Notice, Panel } from "../../platform/html/parts.tsx";
import { type PageContext, useMayOperate } from "../../platform/html/scope.ts";
import type { Tone } from "../../platform/html/state.tsx";
import { listTimeZones } from "../../platform/html/zoned.ts";
import { type CronPreview, CronTimes } from "./cron-preview.views.tsx";
import { cronChips, type ScheduleField, type ScheduleValues } from "./schedule-form.ts";

/** A group to choose. */
export interface GroupChoice {
  id: string;
  name: string;
  includes: readonly string[];
}

/** The page of one schedule, or of a new one. */
export interface SchedulePageProps {
  host: { id: string; name: string; online: boolean };
  /** Null for a new one. */
  schedule: { id: string; cron: string; version: number; paused: boolean } | null;
  values: ScheduleValues;
  chosenGroupIds: readonly string[];
  /** What the form showed first, see seen-fields.ts. */
  seen: string;
  groups: readonly GroupChoice[];
  preview: CronPreview;
  errors?: Partial<Record<ScheduleField, string>>;
  message?: string | undefined;
  /** Set when somebody else saved meanwhile: how it is now, a sentence each. The form's version is then theirs. */
  changes?: readonly string[];
  /** What is kept finer than this runs, a sentence each. */
  conflicts: readonly string[];
  notice?: { tone: Tone; text: string } | undefined;
}

/** The pages /hosts/{id}/schedules/new and /hosts/{id}/schedules/{sid}. */
export function renderSchedulePage(page: PageContext, props: SchedulePageProps): string {
  const { host, schedule } = props;
  return renderPage(page, {
    title: `${host.name} · ${schedule === null ? "New schedule" : `Schedule ${schedule.cron}`}`,
    nav: "dashboard",
    crumbs: [
      { label: "Hosts", href: "/" },
      { label: host.name, href: `/hosts/${encodeURIComponent(host.id)}`, mono: true },
      { label: "Schedules", href: tabOf(host) },
      schedule === null ? { label: "New" } : { label: schedule.cron, mono: true },
    ],
    notice: props.notice,
    modules: ["schedule-form.js"],
    content: <SchedulePage {...props} />,
  });
}

const tabOf = (host: { id: string }): string => `/hosts/${encodeURIComponent(host.id)}?tab=schedules`;
const urlOf = (host: { id: string }, scheduleId: string): string =>
  `/hosts/${encodeURIComponent(host.id)}/schedules/${encodeURIComponent(scheduleId)}`;

function SchedulePage(props: SchedulePageProps): JSX.Element {
  const { host, schedule } = props;
  const mayOperate = useMayOperate();
  return (
    <div class="editing">
      <div class="head">
        <div class="head-main">
          <h1>{schedule === null ? "New schedule" : <span class="mono">{schedule.cron}</span>}</h1>
          <p class="head-line">
            <span>Each chosen group becomes one backup of its own.</span>
          </p>
        </div>
        {schedule !== null && mayOperate ? <ScheduleVerbs host={host} schedule={schedule} /> : null}
      </div>
      {props.conflicts.map((sentence) => (
        <Notice key={sentence} tone="warn" title="Kept finer than it is run.">
          <span>{sentence}</span>
        </Notice>
      ))}
      <ScheduleForm {...props} />
      {schedule !== null && mayOperate ? <DangerPanel action={`${urlOf(host, schedule.id)}/delete`} /> : null}
    </div>
  );
}

function ScheduleVerbs({
  host,
  schedule,
}: {
  host: SchedulePageProps["host"];
  schedule: NonNullable<SchedulePageProps["schedule"]>;
}): JSX.Element {
  const url = urlOf(host, schedule.id);
  return (
    <PostForm action={`${url}/${schedule.paused ? "resume" : "pause"}`} class="actions">
      {schedule.paused ? (
        <a class="btn" href={`${url}/run`}>
          Run now…
        </a>
      ) : (
        <button
          type="submit"
          class="btn"
          formaction={`${url}/run`}
          disabled={!host.online}
          title={host.online ? undefined : "Offline: start its agent first."}
        >
          Run now
        </button>
      )}
      <button type="submit" class="btn">
        {schedule.paused ? "Resume" : "Pause"}
      </button>
    </PostForm>
  );
}

function ScheduleForm(props: SchedulePageProps): JSX.Element {
  const { host, schedule, changes = [] } = props;
  const mayOperate = useMayOperate();
  return (
    <PostForm action={urlOf(host, schedule?.id ?? "new")} label="Schedule">
      {schedule === null ? null : <input type="hidden" name="version" value={String(schedule.version)} />}
      <input type="hidden" name="seen" value={props.seen} />
      {changes.length > 0 ? <Changed changes={changes} /> : null}
      <FormMessage message={props.message} />
      <fieldset class="plain form-columns" disabled={!mayOperate}>
        <legend class="sr-only">Schedule</legend>
        <div class="form-column">
          <WhenPanel {...props} />
          <StatePanel {...props} />
        </div>
        <div class="form-column">
          <WhatPanel {...props} />
        </div>
      </fieldset>
      {mayOperate ? (
        <div class="actions form-actions">
          <button type="submit" class="btn primary">
            {schedule === null ? "Create schedule" : changes.length > 0 ? "Save anyway" : "Save"}
          </button>
          <a class="btn quiet" href={tabOf(host)}>
            Cancel
          </a>
        </div>
      ) : null}
    </PostForm>
  );
}

function Changed({ changes }: { changes: readonly string[] }): JSX.Element {
  return (
    <div class="notice warn" role="alert" id="edit-conflict">
      <Icon name="alert" />
      <div>
        <strong>Somebody else saved this schedule while you were editing.</strong>
        <span>
          Nothing of yours is saved yet, and all of it is still below. “Save anyway” overwrites what they
          changed:
        </span>
        <ul class="changes-list">
          {changes.map((sentence) => (
            <li key={sentence}>{sentence}</li>
          ))}
        </ul>
      </div>
    </div>
  );
}

function WhenPanel({ values, errors = {}, preview, schedule }: SchedulePageProps): JSX.Element {
  return (
    <Panel title="When">
      <div class="panel-body stack">
        <Field
          name="cron"
          label="Cron expression"
          mono
          autofocus={schedule === null}
          value={values.cron}
          error={errors.cron}
          hint="Minute, hour, day of the month, month, day of the week."
        />
        <div class="cron-chips scripted">
          {cronChips.map(({ label, cron }) => (
            <button
              key={cron}
              type="button"
              class="chip"
              data-cron={cron}
              aria-pressed={values.cron.trim() === cron}
            >
              {label}
            </button>
          ))}
        </div>
        <Field
          name="time_zone"
          label="Time zone"
          mono
          list="time-zones"
          value={values.time_zone}
          error={errors.time_zone}
          hint={
            <>
              An IANA name, such as <code>Europe/Berlin</code>.{" "}
              <button type="button" class="text-button scripted" data-own-zone="field-time_zone" hidden />
            </>
          }
        />
        <datalist id="time-zones">
          {listTimeZones().map((zone) => (
            <option key={zone} value={zone} />
          ))}
        </datalist>
        <div class="cron-preview" id="cron-preview" data-cron-src="/fragments/cron" aria-live="polite">
          {preview.problem !== null && (errors.cron ?? errors.time_zone) ? (
            // What is wrong stands beside its field already.
            <p class="hint">There are no runs to show.</p>
          ) : (
            <CronTimes preview={preview} />
          )}
        </div>
      </div>
    </Panel>
  );
}

function WhatPanel({ groups, chosenGroupIds, errors = {}, host }: SchedulePageProps): JSX.Element {
  return (
    <Panel title="What">
      <div class="panel-body stack">
        {groups.length === 0 ? (
          <Empty
            title="No source group"
            action={
              <a class="btn" href={`/hosts/${encodeURIComponent(host.id)}/sources/new`}>
                New group
              </a>
            }
          >
            A schedule needs at least one.
          </Empty>
        ) : (
          <ChoiceSet
            name="source_group_ids"
            legend="Source groups"
            error={errors.source_group_ids}
            class="choices boxes"
          >
            {groups.map((group) => (
              <Choice
                key={group.id}
                type="checkbox"
                boxed
                name="source_group_ids"
                value={group.id}
                checked={chosenGroupIds.includes(group.id)}
                hint={<span class="mono clip">{group.includes.join(", ")}</span>}
              >
                <span class="mono break">{group.name}</span>
              </Choice>
            ))}
          </ChoiceSet>
        )}
      </div>
    </Panel>
  );
}

function StatePanel({ values, errors = {} }: SchedulePageProps): JSX.Element {
  return (
    <Panel title="How">
      <div class="panel-body stack">
        <Field
          name="jitter_minutes"
          label="Spread"
          optional
          inputMode="decimal"
          unit="minutes"
          value={values.jitter_minutes}
          error={errors.jitter_minutes}
          hint="A run begins up to so much later than planned, each host at another moment: a thousand hosts at 03:00 would otherwise meet at one repository."
        />
        <Choice
          type="checkbox"
          name="enabled"
          checked={values.enabled === "on"}
          hint="A paused schedule keeps its place and runs by hand only."
        >
          Enabled
        </Choice>
      </div>
    </Panel>
  );
}

function DangerPanel({ action }: { action: string }): JSX.Element {
  return (
    <div class="form-foot">
      <Panel title="Danger zone" class="danger">
        <div class="panel-body offer">
          <p class="muted">
            Deletes the schedule. Its jobs and snapshots stay; a run that has begun ends by itself.
          </p>
          <PostForm action={action}>
            <button type="submit" class="btn danger">
              Delete schedule
            </button>
          </PostForm>
        </div>
      </Panel>
    </div>
  );
}

/** The question before a paused schedule is run. */
export interface RunPausedProps {
  host: { id: string; name: string; online: boolean };
  schedule: { id: string; cron: string; pausedAt: number };
  groups: readonly string[];
  message?: string | undefined;
}

/** The page /hosts/{id}/schedules/{sid}/run. */
export function renderRunPausedPage(page: PageContext, props: RunPausedProps): string {
  const { host, schedule } = props;
  return renderPage(page, {
    title: `${host.name} · Run ${schedule.cron}`,
    nav: "dashboard",
    crumbs: [
      { label: "Hosts", href: "/" },
      { label: host.name, href: `/hosts/${encodeURIComponent(host.id)}`, mono: true },
      { label: "Schedules", href: tabOf(host) },
      { label: "Run now" },
    ],
    content: <RunPaused {...props} />,
  });
}

function RunPaused({ host, schedule, groups, message }: RunPausedProps): JSX.Element {
  return (
    <div class="column">
      <div class="head">
        <h1>Run a paused schedule?</h1>
      </div>
      <Panel title="Paused">
        <div class="panel-body stack">
          <FormMessage message={message} />
          <p>
            <code>{schedule.cron}</code> is paused. This runs it once, now, and leaves it paused: one backup
            each of {groups.join(", ")}.
          </p>
          <PostForm action={`${urlOf(host, schedule.id)}/run`} class="actions">
            <input type="hidden" name="confirmed" value="1" />
            <button type="submit" class="btn primary" disabled={!host.online}>
              Run once
            </button>
            <a class="btn quiet" href={tabOf(host)}>
              Cancel
            </a>
          </PostForm>
          {host.online ? null : <p class="hint">Offline: start its agent first.</p>}
        </div>
      </Panel>
    </div>
  );
}
