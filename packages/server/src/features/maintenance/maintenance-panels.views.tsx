/** The panels of the form of maintenance: an operation each, how deep a check reads, where and in which zone it runs. */
import type { ComponentChildren, JSX } from "preact";
import { cronWords } from "../../platform/html/cron-words.ts";
import { Choice, ChoiceSet, Field } from "../../platform/html/forms.tsx";
import { Icon } from "../../platform/html/icons.tsx";
import { Panel } from "../../platform/html/parts.tsx";
import { Time } from "../../platform/html/values.tsx";
import { listTimeZones } from "../../platform/html/zoned.ts";
import type { Operation } from "./cadences.ts";
import type { MaintenanceField, MaintenanceValues } from "./maintenance-form.ts";

interface PanelProps {
  values: MaintenanceValues;
  errors?: Partial<Record<MaintenanceField, string>> | undefined;
}

interface Sharer {
  id: string;
  name: string;
}

type CadenceProps = PanelProps & {
  nextAt: Readonly<Record<Operation, number | null>>;
  operation: Operation;
  title: string;
  note: string;
  children?: ComponentChildren;
};

/** One operation: whether and when it runs by itself, and what else belongs to it. */
export function CadencePanel({ operation, values, errors = {}, ...props }: CadenceProps): JSX.Element {
  const name = `${operation}_cron` as const;
  const isOn = values[`${operation}_on`] === "on";
  const nextAt = props.nextAt[operation];
  const words = cronWords(values[name].trim());
  return (
    <Panel title={props.title} note={props.note}>
      <div class="panel-body stack">
        <Choice type="checkbox" name={`${operation}_on`} checked={isOn}>
          By itself
        </Choice>
        <Field
          name={name}
          label={`${props.title} cron expression`}
          mono
          value={values[name]}
          error={errors[name]}
          hint={
            words === "" ? (
              "Minute, hour, day of the month, month, day of the week."
            ) : (
              <>
                {words}
                {isOn && nextAt !== null ? (
                  <>
                    ; as saved, next <Time at={nextAt} />
                  </>
                ) : null}
              </>
            )
          }
        />
        {props.children}
      </div>
    </Panel>
  );
}

/** How much of the data a check reads. */
export function DepthChoice({ values, errors = {} }: PanelProps): JSX.Element {
  return (
    <>
      <ChoiceSet
        name="check_depth"
        legend="Each check reads"
        error={errors.check_depth}
        class="choices boxes tall"
      >
        <Choice
          type="radio"
          boxed
          name="check_depth"
          value="structure"
          checked={values.check_depth === "structure"}
          hint="Index, packs and trees. Quick, and it notices no rotten bytes."
        >
          The structure only
        </Choice>
        <Choice
          type="radio"
          boxed
          name="check_depth"
          value="percent"
          checked={values.check_depth === "percent"}
          hint="Drawn anew each time; it may take long until each pack was read."
        >
          A share of the data
        </Choice>
        <Choice
          type="radio"
          boxed
          name="check_depth"
          value="slices"
          checked={values.check_depth === "slices"}
          hint="One part each time, so that in turn every pack is read."
        >
          Parts in turn
        </Choice>
      </ChoiceSet>
      <div class="two-up">
        <Field
          name="check_percent"
          label="Share"
          optional
          inputMode="decimal"
          unit="%"
          value={values.check_percent}
          error={errors.check_percent}
        />
        <Field
          name="check_slices"
          label="Parts"
          optional
          inputMode="numeric"
          value={values.check_slices}
          error={errors.check_slices}
        />
      </div>
    </>
  );
}

/** How much a restore drill brings back at most. */
export function DrillBounds({ values, errors = {} }: PanelProps): JSX.Element {
  return (
    <>
      <div class="two-up">
        <Field
          name="verify_files"
          label="At most"
          inputMode="numeric"
          unit="files"
          value={values.verify_files}
          error={errors.verify_files}
        />
        <Field
          name="verify_mib"
          label="Together at most"
          inputMode="decimal"
          unit="MiB"
          value={values.verify_mib}
          error={errors.verify_mib}
        />
      </div>
      <p class="hint">
        Files drawn at random from the newest snapshot of each group come back into a private folder of the
        agent, are compared with the snapshot and with their source, and are deleted again.
      </p>
    </>
  );
}

/** The zone of all expressions, and which host prunes and checks when several share the repository. */
export function WherePanel({
  values,
  errors = {},
  sharers,
}: PanelProps & { sharers: readonly Sharer[] }): JSX.Element {
  return (
    <Panel title="Where and when">
      <div class="panel-body stack">
        <Field
          name="time_zone"
          label="Time zone"
          mono
          list="time-zones"
          value={values.time_zone}
          error={errors.time_zone}
          hint={
            <>
              An IANA name, such as <code>Europe/Berlin</code>. A run begins up to 15 minutes later than
              planned, so that not every repository starts at once.
            </>
          }
        />
        <datalist id="time-zones">
          {listTimeZones().map((zone) => (
            <option key={zone} value={zone} />
          ))}
        </datalist>
        {sharers.length > 1 ? (
          <OwnerChoice value={values.owner_host_id} error={errors.owner_host_id} sharers={sharers} />
        ) : null}
      </div>
    </Panel>
  );
}

function OwnerChoice(props: {
  value: string;
  error: string | undefined;
  sharers: readonly Sharer[];
}): JSX.Element {
  const [first] = props.sharers;
  return (
    <div class={props.error ? "field invalid" : "field"}>
      <label for="field-owner_host_id">Prunes and checks for all</label>
      <select
        class="input"
        id="field-owner_host_id"
        name="owner_host_id"
        aria-describedby={props.error ? "field-owner_host_id-error" : "field-owner_host_id-hint"}
      >
        <option value="" selected={props.value === ""}>
          The host that was added first ({first?.name})
        </option>
        {props.sharers.map(({ id, name }) => (
          <option key={id} value={id} selected={props.value === id}>
            {name}
          </option>
        ))}
      </select>
      {props.error ? (
        <p class="field-error" id="field-owner_host_id-error">
          <Icon name="alert" />
          {props.error}
        </p>
      ) : null}
      <p class="hint" id="field-owner_host_id-hint">
        One of them does it, with its admin credentials. Each host forgets its own snapshots.
      </p>
    </div>
  );
}
