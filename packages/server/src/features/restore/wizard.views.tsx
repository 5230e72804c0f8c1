/**
 * The wizard that gets files back: one page, four steps. Without scripts all steps are open and paths are typed; with
 * them a step opens when the one before is complete, and what was chosen stays in its head.
 */
import type { ComponentChildren, JSX } from "preact";
import { formatBytes, formatNoun, formatUtc } from "../../platform/html/format.ts";
import { Field, FormMessage, PostForm } from "../../platform/html/forms.tsx";
import { renderPage } from "../../platform/html/page.tsx";
import { Empty, Notice } from "../../platform/html/parts.tsx";
import type { PageContext } from "../../platform/html/scope.ts";
import { Time } from "../../platform/html/values.tsx";
import type { HostOption } from "../hosts/hosts.ts";
import { FilesStep } from "./wizard-files.views.tsx";
import type { WizardField, WizardValues } from "./wizard-form.ts";
import { TargetStep } from "./wizard-target.views.tsx";

/** One snapshot to choose from. */
export interface WizardSnapshot {
  id: string;
  time: number;
  paths: readonly string[];
  tags: readonly string[];
  sizeBytes: number | null;
  fileCount: number | null;
}

export interface WizardHost extends HostOption {
  windows: boolean;
}

export interface WizardProps {
  host: WizardHost;
  /** Newest first. */
  snapshots: readonly WizardSnapshot[];
  /** How many there are, when not all are listed. */
  snapshotCount: number;
  /** The first of those that the files could go to. */
  otherHosts: readonly HostOption[];
  /** The first of those whose agent can look into the snapshots while the host is away. */
  readers: readonly HostOption[];
  /** Whether files can be downloaded; the setting RM_DOWNLOADS. */
  downloads: boolean;
  values: WizardValues;
  errors?: Partial<Record<WizardField, string>>;
  message?: string | undefined;
}

/** The page /hosts/{id}/restore. */
export function renderWizardPage(page: PageContext, props: WizardProps): string {
  const { host } = props;
  return renderPage(page, {
    title: `${host.name} · Restore files`,
    nav: "dashboard",
    crumbs: [
      { label: "Hosts", href: "/" },
      { label: host.name, href: `/hosts/${encodeURIComponent(host.id)}`, mono: true },
      { label: "Restore" },
    ],
    modules: ["restore.js"],
    content: <Wizard {...props} />,
  });
}

function Wizard(props: WizardProps): JSX.Element {
  const { host, snapshots } = props;
  return (
    <div class="editing">
      <div class="head">
        <div class="head-main">
          <h1>Restore files</h1>
          <p class="head-line">
            <span>
              of <span class="mono break">{host.name}</span>
            </span>
            <span>nothing is deleted by a restore</span>
          </p>
        </div>
      </div>
      <OfflineNotice {...props} />
      {snapshots.length === 0 ? <NoSnapshots host={host} /> : <WizardForm {...props} />}
    </div>
  );
}

function OfflineNotice({ host, readers }: WizardProps): JSX.Element | null {
  if (host.online) return null;
  const elsewhere =
    readers.length > 0
      ? "Its files can be read and restored by another host: choose one where they shall go."
      : "Start its agent, then reload this page.";
  return (
    <Notice tone="warn" title={`${host.name} is offline.`}>
      <span>Nothing can be restored onto it now, and nothing waits for it. {elsewhere}</span>
    </Notice>
  );
}

function NoSnapshots({ host }: { host: WizardHost }): JSX.Element {
  return (
    <section class="panel" aria-label="Snapshots">
      <Empty
        title="There is no snapshot yet"
        action={
          <a class="btn" href={`/hosts/${encodeURIComponent(host.id)}?tab=sources`}>
            Look at its source groups
          </a>
        }
      >
        <p>After the first backup of this host its files can be restored here.</p>
      </Empty>
    </section>
  );
}

function WizardForm(props: WizardProps): JSX.Element {
  const { host, errors = {}, message, downloads } = props;
  const isRefused = message !== undefined || Object.keys(errors).length > 0;
  return (
    <div
      data-restore={host.id}
      data-host-name={host.name}
      data-host-online={host.online ? "" : undefined}
      data-downloads={downloads ? "" : undefined}
      data-open-all={isRefused ? "" : undefined}
    >
      <PostForm
        action={`/hosts/${encodeURIComponent(host.id)}/restore`}
        id="restore-form"
        label="Restore files"
        class="wizard"
      >
        {/* Enter presses a form's first button: no key in a field must start a restore. */}
        <button type="submit" disabled hidden tabIndex={-1} aria-hidden="true" />
        <FormMessage message={message} />
        <SnapshotStep {...props} />
        <FilesStep {...props} />
        <TargetStep {...props} />
        <ConfirmStep {...props} />
      </PostForm>
    </div>
  );
}

/** One step: its number, its name, and what was chosen in it. */
export function Step(props: {
  number: number;
  name: string;
  title: string;
  children: ComponentChildren;
}): JSX.Element {
  return (
    <section class="panel step" data-step={props.name} aria-labelledby={`step-${props.name}-title`}>
      <header>
        <h2 id={`step-${props.name}-title`}>
          <span class="step-number" aria-hidden="true">
            {props.number}
          </span>
          {props.title}
        </h2>
        <p class="step-chosen" data-step-chosen="" />
        <button type="button" class="btn small" data-step-change="" hidden>
          Change<span class="sr-only"> {props.title.toLowerCase()}</span>
        </button>
      </header>
      <div class="panel-body step-body" data-step-body="">
        {props.children}
      </div>
    </section>
  );
}

/** Leads on to the next step, where scripts run. */
export function NextStep(): JSX.Element {
  return (
    <div class="actions scripted">
      <button type="button" class="btn" data-step-next="">
        Continue
      </button>
      <p class="hint" data-step-problem="" role="status" />
    </div>
  );
}

function SnapshotStep(props: WizardProps): JSX.Element {
  const { snapshots, snapshotCount, values, errors = {} } = props;
  return (
    <Step number={1} name="snapshot" title="Snapshot">
      <fieldset class={errors.snapshot ? "field invalid" : "field"}>
        <legend class="sr-only">Snapshot</legend>
        <FormMessage message={errors.snapshot} />
        <div class="choices snapshot-choices">
          {snapshots.map((snapshot) => (
            <SnapshotChoice key={snapshot.id} snapshot={snapshot} checked={values.snapshot === snapshot.id} />
          ))}
        </div>
      </fieldset>
      {snapshotCount > snapshots.length ? (
        <p class="hint">
          The newest {snapshots.length} of {formatNoun(snapshotCount, "snapshot")}. An older one is restored
          from its row in the host’s list.
        </p>
      ) : null}
    </Step>
  );
}

function SnapshotChoice({ snapshot, checked }: { snapshot: WizardSnapshot; checked: boolean }): JSX.Element {
  const { id, time, tags, sizeBytes, fileCount, paths } = snapshot;
  const facts = [
    fileCount === null ? "" : formatNoun(fileCount, "file"),
    sizeBytes === null ? "" : formatBytes(sizeBytes),
  ].filter(Boolean);
  return (
    <label class="choice boxed snapshot-choice">
      <input
        type="radio"
        name="snapshot"
        value={id}
        checked={checked}
        data-words={`${formatUtc(time)}${tags.length > 0 ? ` · ${tags.join(", ")}` : ""}`}
        data-files={fileCount ?? undefined}
        data-bytes={sizeBytes ?? undefined}
      />
      <span class="snapshot-when">
        <span class="choice-name">{formatUtc(time)}</span>
        <small>
          <Time at={time} /> · <span class="mono">{id.slice(0, 8)}</span>
        </small>
      </span>
      <span class="snapshot-what">
        <span class="tags">
          {tags.map((tag) => (
            <span class="tag" key={tag}>
              {tag}
            </span>
          ))}
        </span>
        <small class="mono clip" title={paths.join("\n")}>
          {paths.join(" ")}
        </small>
      </span>
      <small class="snapshot-size">{facts.join(" · ")}</small>
    </label>
  );
}

function ConfirmStep({ host, values, errors = {} }: WizardProps): JSX.Element {
  return (
    <Step number={4} name="confirm" title="Confirm">
      <div class="stack">
        <div class="restore-words" data-restore-words="" aria-live="polite">
          <p>What is chosen above is restored from the snapshot.</p>
        </div>
        <div data-confirm-name="">
          <Field
            name="confirm_name"
            label="Name of the host that is written to"
            value={values.confirm_name}
            error={errors.confirm_name}
            mono
            hint={
              <>
                Type <code data-written-host="">{host.name}</code>{" "}
                <span data-confirm-why="">
                  to restore in place, or the other host’s name to restore there
                </span>
                .
              </>
            }
          />
        </div>
        <div class="actions">
          <button type="submit" class="btn primary" data-restore-now="">
            Restore
          </button>
          <button type="submit" class="btn" name="dry_run" value="1" data-restore-now="">
            Try it first
          </button>
          <a class="btn quiet" href={`/hosts/${encodeURIComponent(host.id)}`}>
            Cancel
          </a>
        </div>
        <p class="hint">
          “Try it first” makes a dry run: it says file by file what would change, and changes nothing.
        </p>
      </div>
    </Step>
  );
}
