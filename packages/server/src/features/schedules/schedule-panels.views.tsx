/** The panels of a schedule's form: when, what, how. Chips and live times need scripts, everything else does without. */
import type { JSX } from "preact";
import { Choice, ChoiceSet, Field } from "../../platform/html/forms.tsx";
import { Empty, Panel } from "../../platform/html/parts.tsx";
import { listTimeZones } from "../../platform/html/zoned.ts";
import { type CronPreview, CronTimes } from "./cron-preview.views.tsx";
import { cronChips, type ScheduleField, type ScheduleValues } from "./schedule-form.ts";

/** A group to choose. */
export interface GroupChoice {
  id: string;
  name: string;
  includes: readonly string[];
}

interface PanelProps {
  values: ScheduleValues;
  errors: Partial<Record<ScheduleField, string>>;
}

/** Where a schedule has its page. */
export const scheduleUrl = (host: { id: string }, scheduleId: string): string =>
  `/hosts/${encodeURIComponent(host.id)}/schedules/${encodeURIComponent(scheduleId)}`;

/** Where all of a host's are listed. */
export const schedulesTabUrl = (host: { id: string }): string =>
  `/hosts/${encodeURIComponent(host.id)}?tab=schedules`;

/** The expression with its chips, the zone, and the next runs. */
export function WhenPanel({
  values,
  errors,
  preview,
  isNew,
}: PanelProps & { preview: CronPreview; isNew: boolean }): JSX.Element {
  return (
    <Panel title="When">
      <div class="panel-body stack">
        <Field
          name="cron"
          label="Cron expression"
          mono
          autofocus={isNew}
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

/** The groups as cards to check. */
export function WhatPanel({
  groups,
  chosenGroupIds,
  error,
  hostId,
}: {
  groups: readonly GroupChoice[];
  chosenGroupIds: readonly string[];
  error: string | undefined;
  hostId: string;
}): JSX.Element {
  return (
    <Panel title="What">
      <div class="panel-body stack">
        {groups.length === 0 ? (
          <Empty
            title="No source group"
            action={
              <a class="btn" href={`/hosts/${encodeURIComponent(hostId)}/sources/new`}>
                New group
              </a>
            }
          >
            A schedule needs at least one.
          </Empty>
        ) : (
          <ChoiceSet name="source_group_ids" legend="Source groups" error={error} class="choices boxes">
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

/** Spread, and whether it runs at all. */
export function HowPanel({ values, errors }: PanelProps): JSX.Element {
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
