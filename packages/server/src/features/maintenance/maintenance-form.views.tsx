/**
 * The form of a repository's maintenance: when it forgets, prunes, checks and drills, and for which of its hosts. A form that comes
 * back shows what was typed, never what is stored.
 */
import type { JSX } from "preact";
import {
  ChangesList,
  EditConflict,
  Field,
  FormMessage,
  PostForm,
  SaveActions,
} from "../../platform/html/forms.tsx";
import { renderPage } from "../../platform/html/page.tsx";
import { type PageContext, useMayOperate } from "../../platform/html/scope.ts";
import type { Operation } from "./cadences.ts";
import type { MaintenanceField, MaintenanceValues } from "./maintenance-form.ts";
import { CadencePanel, DepthChoice, DrillBounds, WherePanel } from "./maintenance-panels.views.tsx";

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
        {changes.length > 0 ? (
          <EditConflict headline="Somebody else changed the maintenance while you were editing.">
            <ChangesList changes={changes} />
          </EditConflict>
        ) : null}
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
            <CadencePanel
              operation="verify"
              title="Restore drill"
              note="proves that files come back"
              {...props}
            >
              <DrillBounds values={values} errors={errors} />
            </CadencePanel>
          </div>
        </fieldset>
        {mayOperate ? (
          <SaveActions
            save="Save"
            isConflict={changes.length > 0}
            formUrl={formUrl(host)}
            cancelUrl={tabUrl(host)}
          />
        ) : null}
      </PostForm>
    </div>
  );
}
