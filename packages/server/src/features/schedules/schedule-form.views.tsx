/**
 * A schedule's own page: its form, its verbs, and the danger zone. A form that comes back shows what was typed, never
 * what is stored.
 */
import type { JSX } from "preact";
import { ChangesList, EditConflict, FormMessage, PostForm, SaveActions } from "../../platform/html/forms.tsx";
import { renderPage } from "../../platform/html/page.tsx";
import { Notice, Panel } from "../../platform/html/parts.tsx";
import { type PageContext, useMayOperate } from "../../platform/html/scope.ts";
import type { Tone } from "../../platform/html/state.tsx";
import type { CronPreview } from "./cron-preview.views.tsx";
import type { ScheduleField, ScheduleValues } from "./schedule-form.ts";
import {
  type GroupChoice,
  HowPanel,
  schedulesTabUrl,
  scheduleUrl,
  WhatPanel,
  WhenPanel,
} from "./schedule-panels.views.tsx";

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
      { label: "Schedules", href: schedulesTabUrl(host) },
      schedule === null ? { label: "New" } : { label: schedule.cron, mono: true },
    ],
    notice: props.notice,
    modules: ["schedule-form.js"],
    content: <SchedulePage {...props} />,
  });
}

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
      {schedule !== null && mayOperate ? (
        <DangerPanel action={`${scheduleUrl(host, schedule.id)}/delete`} />
      ) : null}
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
  const url = scheduleUrl(host, schedule.id);
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
  const { host, schedule, values, errors = {}, changes = [] } = props;
  const mayOperate = useMayOperate();
  return (
    <PostForm action={scheduleUrl(host, schedule?.id ?? "new")} label="Schedule">
      {schedule === null ? null : <input type="hidden" name="version" value={String(schedule.version)} />}
      <input type="hidden" name="seen" value={props.seen} />
      {changes.length > 0 ? (
        <EditConflict headline="Somebody else saved this schedule while you were editing.">
          <ChangesList changes={changes} />
        </EditConflict>
      ) : null}
      <FormMessage message={props.message} />
      <fieldset class="plain form-columns" disabled={!mayOperate}>
        <legend class="sr-only">Schedule</legend>
        <div class="form-column">
          <WhenPanel values={values} errors={errors} preview={props.preview} isNew={schedule === null} />
          <HowPanel values={values} errors={errors} />
        </div>
        <div class="form-column">
          <WhatPanel
            groups={props.groups}
            chosenGroupIds={props.chosenGroupIds}
            error={errors.source_group_ids}
            hostId={host.id}
          />
        </div>
      </fieldset>
      {mayOperate ? (
        <SaveActions
          save={schedule === null ? "Create schedule" : "Save"}
          isConflict={changes.length > 0}
          formUrl={scheduleUrl(host, schedule?.id ?? "new")}
          cancelUrl={schedulesTabUrl(host)}
        />
      ) : null}
    </PostForm>
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
