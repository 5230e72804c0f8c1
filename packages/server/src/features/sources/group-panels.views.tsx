/** The panels of a source group's form: what is backed up, what is kept, what happens when a run fails. */
import type { JSX } from "preact";
import { Choice, Field } from "../../platform/html/forms.tsx";
import { Icon } from "../../platform/html/icons.tsx";
import { keepSentence, keepUnits, readKeep } from "../../platform/html/keep-words.ts";
import { Panel } from "../../platform/html/parts.tsx";
import { useMayOperate } from "../../platform/html/scope.ts";
import { type GroupField, type GroupValues, sizeUnits } from "./group-form.ts";

interface PanelProps {
  values: GroupValues;
  errors: Partial<Record<GroupField, string>>;
}

/** Name, paths, what is left out. */
export function PathsPanel(
  props: PanelProps & { host: { id: string; online: boolean; windows: boolean }; isNew: boolean },
): JSX.Element {
  const { values, errors, host } = props;
  const example = host.windows ? "C:\\Users" : "/etc";
  return (
    <Panel title="What is backed up">
      <div class="panel-body stack">
        <Field
          name="name"
          label="Name"
          mono
          autofocus={props.isNew}
          value={values.name}
          error={errors.name}
          hint={
            props.isNew
              ? "Unique on this host; the tag of its snapshots."
              : "The tag of its snapshots; fixed once there is one."
          }
        />
        <Field
          name="includes"
          label="Paths"
          mono
          rows={6}
          value={values.includes}
          error={errors.includes}
          hint={
            <>
              One a line, absolute, such as <code>{example}</code>.
            </>
          }
        />
        <PathBrowser host={host} />
        <Field
          name="excludes"
          label="Left out"
          mono
          optional
          rows={4}
          value={values.excludes}
          error={errors.excludes}
          hint={
            <>
              One pattern a line, such as <code>*.tmp</code> or <code>node_modules</code>.
            </>
          }
        />
        <MoreOptions {...props} />
      </div>
    </Panel>
  );
}

/** Filled by the browser module; without scripts paths are typed. */
function PathBrowser({
  host,
}: {
  host: { id: string; online: boolean; windows: boolean };
}): JSX.Element | null {
  if (!useMayOperate()) return null;
  return (
    <div
      class="browse scripted"
      data-browse={`/api/hosts/${encodeURIComponent(host.id)}/files`}
      data-browse-into="field-includes"
      data-browse-from={host.windows ? "" : "/"}
    >
      <button
        type="button"
        class="btn small"
        aria-expanded="false"
        aria-controls="browse-panel"
        disabled={!host.online}
        aria-describedby={host.online ? undefined : "browse-off"}
      >
        <Icon name="folder" />
        Browse the host
      </button>
      {host.online ? null : (
        <span class="hint" id="browse-off">
          Its folders can be read while its agent is connected. Type the paths instead.
        </span>
      )}
      <section class="browse-panel" id="browse-panel" aria-label="Folders of the host" hidden />
    </div>
  );
}

const optionFields: readonly GroupField[] = ["exclude_if_present", "exclude_larger_than", "min_size"];

/** Open when it holds anything: what is set must not hide. */
function MoreOptions({ values, errors }: PanelProps): JSX.Element {
  const isSet =
    optionFields.some((name) => values[name] !== "" || errors[name] !== undefined) ||
    values.exclude_caches === "on" ||
    values.one_file_system === "on";
  return (
    <details class="more-options" open={isSet}>
      <summary>More options</summary>
      <div class="stack">
        <div class="choices">
          <Choice
            type="checkbox"
            name="exclude_caches"
            checked={values.exclude_caches === "on"}
            hint="Folders that a program marked with CACHEDIR.TAG."
          >
            Leave out caches
          </Choice>
          <Choice
            type="checkbox"
            name="one_file_system"
            checked={values.one_file_system === "on"}
            hint="What is mounted below a path is left out."
          >
            Stay on one file system
          </Choice>
        </div>
        <Field
          name="exclude_if_present"
          label="Leave out folders that hold"
          mono
          optional
          rows={2}
          value={values.exclude_if_present}
          error={errors.exclude_if_present}
          hint={
            <>
              A file name a line, such as <code>.nobackup</code>.
            </>
          }
        />
        <div class="two-up">
          <SizeField
            name="exclude_larger_than"
            label="Leave out files larger than"
            values={values}
            errors={errors}
          />
          <SizeField
            name="min_size"
            label="Expected at least"
            hint="A smaller snapshot is a warning: a source that was moved or is not mounted looks fine otherwise."
            values={values}
            errors={errors}
          />
        </div>
      </div>
    </details>
  );
}

function SizeField(
  props: PanelProps & { name: "exclude_larger_than" | "min_size"; label: string; hint?: string },
): JSX.Element {
  const unitName = `${props.name}_unit` as const;
  return (
    <Field
      name={props.name}
      label={props.label}
      optional
      inputMode="decimal"
      value={props.values[props.name]}
      error={props.errors[props.name]}
      hint={props.hint}
      unit={
        <select class="input" name={unitName} aria-label={`Unit of “${props.label}”`}>
          {Object.keys(sizeUnits).map((unit) => (
            <option key={unit} value={unit} selected={unit === props.values[unitName]}>
              {unit}
            </option>
          ))}
        </select>
      }
    />
  );
}

const keepLabels = {
  last: "Last",
  hourly: "Hourly",
  daily: "Daily",
  weekly: "Weekly",
  monthly: "Monthly",
  yearly: "Yearly",
} as const;

/** The 3×2 grid, with what it means in words, and what it would do: filled in by a script, else a page of its own. */
export function KeepPanel({
  values,
  errors,
  retentionUrl,
}: PanelProps & { retentionUrl: string | null }): JSX.Element {
  const mayOperate = useMayOperate();
  const keep = readKeep({
    last: values.keep_last,
    hourly: values.keep_hourly,
    daily: values.keep_daily,
    weekly: values.keep_weekly,
    monthly: values.keep_monthly,
    yearly: values.keep_yearly,
    within: values.keep_within,
  });
  return (
    <Panel title="How long snapshots are kept">
      <div class="panel-body stack" data-keep-words="keep-sentence">
        <div class="keep-grid">
          {keepUnits.map((unit) => (
            <Field
              key={unit}
              name={`keep_${unit}`}
              label={keepLabels[unit]}
              inputMode="numeric"
              value={values[`keep_${unit}`]}
              error={errors[`keep_${unit}`]}
              optional
            />
          ))}
        </div>
        <Field
          name="keep_within"
          label="Everything within"
          mono
          optional
          value={values.keep_within}
          error={errors.keep_within}
          hint={
            <>
              A length of time: <code>30d</code>, <code>1y6m</code>, <code>12h</code>.
            </>
          }
        />
        <p class="keep-sentence" id="keep-sentence" aria-live="polite">
          {keep === null ? "Whole numbers, or nothing." : keepSentence(keep)}
        </p>
        {retentionUrl === null ? null : (
          // Who can't type reads it on its own page: all of this form is switched off for them.
          <div
            class="retention-box"
            data-retention-src={mayOperate ? `/fragments${retentionUrl}` : undefined}
          >
            <a class="link" href={retentionUrl}>
              What the saved retention keeps and removes
            </a>
          </div>
        )}
      </div>
    </Panel>
  );
}

/** What happens after a run that failed or never began. */
export function RetryPanel({ values, errors }: PanelProps): JSX.Element {
  return (
    <Panel title="When a scheduled run fails">
      <div class="panel-body stack">
        <div class="two-up">
          <Field
            name="retry_max"
            label="Tries again"
            inputMode="numeric"
            unit="times"
            value={values.retry_max}
            error={errors.retry_max}
          />
          <Field
            name="retry_backoff_seconds"
            label="First pause"
            inputMode="numeric"
            unit="s"
            value={values.retry_backoff_seconds}
            error={errors.retry_backoff_seconds}
          />
        </div>
        <p class="hint">
          The pause doubles each time, up to 30 minutes. A host that was away at its time is waited for and
          backs up when it is back; that costs no try.
        </p>
      </div>
    </Panel>
  );
}
