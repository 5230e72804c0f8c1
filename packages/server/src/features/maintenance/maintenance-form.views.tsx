/**
 * The form of a repository's maintenance: when it forgets, prunes and checks, and for which of its hosts. A form that comes
 * back shows what was typed, never what is stored.
 */
import type { ComponentChildren, JSX } from "preact";
import { cronWords } from "../../platform/html/cron-words.ts";
import { Choice, ChoiceSet, Field, FormMessage, PostForm } from "../../platform/html/forms.tsx";
import { Icon } from "../../platform/html/icons.tsx";
import { renderPage } from "../../platform/html/page.tsx";
import { Panel } from "../../platform/html/parts.tsx";
import { type PageContext, useMayOperate } from "../../platform/html/scope.ts";
import { Time } from "../../platform/html/values.tsx";
import { listTimeZones } from "../../platform/html/zoned.ts";
import type { Operation } from "./cadences.ts";
import type { MaintenanceField, MaintenanceValues } from "./maintenance-form.ts";

export interface MaintenancePageProps {
  host: { id: string; name: string };
  /** Without user info. */
  location: string;
  version: number;
  values: MaintenanceValues;
  /** What the form showed first, see seen-fields.ts. */
  seen: string;
  /** When each begins next as it is stored; null when it is off. */
  nextAt: Readonly<Record<Operation, number | null>>;
  /** The hosts that share the repository, the first that was added first. */
  sharers: readonly { id: string; name: string }[];
  errors?: Partial<Record<MaintenanceField, string>>;
  message?: string | undefined;
  /** Set when somebody else saved meanwhile: how it is now, a sentence each. The form's version is then theirs. */
  changes?: readonly string[];
}

const tabUrl = (host: { id: string }): string => `/hosts/${encodeURIComponent(host.id)}?tab=repository`;
const formUrl = (host: { id: string }): string => `/hosts/${encodeURIComponent(host.id)}/maintenance`;

/** The page /hosts/{id}/maintenance. */
export function renderMaintenancePage(page: PageContext, props: MaintenancePageProps): string {
  const { host } = props;
  return renderPage(page, {
    title: `${host.name} · Maintenance`,
    nav: "dashboard",
    crumbs: [
      { label: "Hosts", href: "/" },
      { label: host.name, href: `/hosts/${encodeURIComponent(host.id)}`, mono: true },
      { label: "Repository", href: tabUrl(host) },
      { label: "Maintenance" },
    ],
    content: <MaintenancePage {...props} />,
  });
}

function MaintenancePage(props: MaintenancePageProps): JSX.Element {
  const { host, values, errors = {}, changes = [] } = props;
  const mayOperate = useMayOperate();
  return (
    <div class="editing">
      <div class="head">
        <div class="head-main">
          <h1>Maintenance</h1>
          <p class="head-line">
            <span class="mono break">{props.location}</span>
            {props.sharers.length > 1 ? (
              <span>for all {props.sharers.length} hosts that share it</span>
            ) : null}
          </p>
        </div>
      </div>
      <PostForm action={formUrl(host)} label="Maintenance">
        <input type="hidden" name="version" value={String(props.version)} />
        <input type="hidden" name="seen" value={props.seen} />
        {changes.length > 0 ? <Changed changes={changes} /> : null}
        <FormMessage message={props.message} />
        <fieldset class="plain form-columns" disabled={!mayOperate}>
          <legend class="sr-only">Maintenance</legend>
          <div class="form-column">
            <Cadence operation="forget" title="Forget" note="drops what no retention keeps" {...props}>
              <Field
                name="max_removed_percent"
                label="Ask before more goes than"
                inputMode="decimal"
                unit="% of a group"
                value={values.max_removed_percent}
                error={errors.max_removed_percent}
                hint="A group that would lose more, and more than ten snapshots, loses none until somebody confirms it."
              />
            </Cadence>
            <Cadence
              operation="prune"
              title="Prune"
              note="frees the space; needs admin credentials"
              {...props}
            />
            <WherePanel {...props} />
          </div>
          <div class="form-column">
            <Cadence operation="check" title="Check" note="looks for damage" {...props}>
              <DepthChoice values={values} errors={errors} />
            </Cadence>
          </div>
        </fieldset>
        {mayOperate ? <Save {...props} /> : null}
      </PostForm>
    </div>
  );
}

type CadenceProps = Pick<MaintenancePageProps, "values" | "errors" | "nextAt"> & {
  operation: Operation;
  title: string;
  note: string;
  children?: ComponentChildren;
};

function Cadence({ operation, values, errors = {}, ...props }: CadenceProps): JSX.Element {
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

function DepthChoice({
  values,
  errors,
}: {
  values: MaintenanceValues;
  errors: Partial<Record<MaintenanceField, string>>;
}): JSX.Element {
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

function WherePanel({ values, errors = {}, sharers }: MaintenancePageProps): JSX.Element {
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
  sharers: MaintenancePageProps["sharers"];
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

function Save({ host, changes = [] }: MaintenancePageProps): JSX.Element {
  const isConflict = changes.length > 0;
  return (
    <div class="actions form-actions">
      <button type="submit" class="btn primary">
        {isConflict ? "Save anyway" : "Save"}
      </button>
      {isConflict ? (
        <a class="btn" href={formUrl(host)}>
          Drop mine, load theirs
        </a>
      ) : (
        <a class="btn quiet" href={tabUrl(host)}>
          Cancel
        </a>
      )}
    </div>
  );
}

/** Two people at one form: what the other changed, beside everything that this one typed. */
function Changed({ changes }: { changes: readonly string[] }): JSX.Element {
  return (
    <div class="notice warn" role="alert" id="edit-conflict">
      <Icon name="alert" />
      <div>
        <strong>Somebody else changed the maintenance while you were editing.</strong>
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
