/**
 * The form of a repository's maintenance: when it forgets, prunes and checks, and for which of its hosts. A form that comes
 * back shows what was typed, never what is stored.
 */
import type { JSX } from "preact";
import { Field, FormMessage, PostForm } from "../../platform/html/forms.tsx";
import { Icon } from "../../platform/html/icons.tsx";
import { renderPage } from "../../platform/html/page.tsx";
import { type PageContext, useMayOperate } from "../../platform/html/scope.ts";
import type { Operation } from "./cadences.ts";
import type { MaintenanceField, MaintenanceValues } from "./maintenance-form.ts";
import { CadencePanel, DepthChoice, WherePanel } from "./maintenance-panels.views.tsx";

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
            <CadencePanel operation="forget" title="Forget" note="drops what no retention keeps" {...props}>
              <Field
                name="max_removed_percent"
                label="Ask before more goes than"
                inputMode="decimal"
                unit="% of a group"
                value={values.max_removed_percent}
                error={errors.max_removed_percent}
                hint="A group that would lose more, and more than ten snapshots, loses none until somebody confirms it."
              />
            </CadencePanel>
            <CadencePanel
              operation="prune"
              title="Prune"
              note="frees the space; needs admin credentials"
              {...props}
            />
            <WherePanel {...props} />
          </div>
          <div class="form-column">
            <CadencePanel operation="check" title="Check" note="looks for damage" {...props}>
              <DepthChoice values={values} errors={errors} />
            </CadencePanel>
          </div>
        </fieldset>
        {mayOperate ? <Save {...props} /> : null}
      </PostForm>
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
