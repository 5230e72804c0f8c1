/** The wizard's second step: which files. The tree is drawn by the browser module; without it paths are typed. */
import type { JSX } from "preact";
import { Field } from "../../platform/html/forms.tsx";
import { Icon } from "../../platform/html/icons.tsx";
import { HostField } from "../hosts/hosts.ts";
import { NextStep, Step, type WizardProps } from "./wizard.views.tsx";

export function FilesStep(props: WizardProps): JSX.Element {
  const { values, errors = {} } = props;
  return (
    <Step number={2} name="files" title="Files">
      <div class="stack">
        <Reader {...props} />
        <div class="scripted tree-frame">
          <search class="tree-search">
            <Icon name="search" />
            <input
              type="search"
              class="input"
              id="tree-pattern"
              data-search=""
              aria-label="Search in this snapshot"
              placeholder="Search this snapshot: a part of a name, *.conf, /etc/*.d"
              autocomplete="off"
              spellcheck={false}
              maxLength={1000}
            />
            <button type="button" class="btn small" data-tree-search-end="" hidden>
              Back to the folders
            </button>
          </search>
          <p class="tree-word" data-tree-word="" role="status" />
          <div class="tree" data-tree="" />
          <div class="tree-foot">
            <p class="muted" id="tree-chosen" data-tree-chosen="" aria-live="polite" />
            <a class="btn small" href="#tree-chosen" data-tree-download="" download="" hidden>
              <Icon name="download" />
              Download
            </a>
            <a class="btn small" href="#tree-chosen" data-tree-download="zip" download="" hidden>
              <Icon name="download" />
              Download as zip
            </a>
            <button type="button" class="btn small" data-tree-clear="" hidden>
              Clear
            </button>
          </div>
        </div>
        <div data-paths="" hidden>
          {values.paths.map((path) => (
            <input type="hidden" name="path" value={path} key={path} />
          ))}
        </div>
        <div data-lines="">
          <Field
            name="lines"
            label="Paths in the snapshot"
            rows={5}
            mono
            value={values.lines}
            error={errors.lines}
            hint="One a line, from the snapshot’s root: /etc/nginx, or /C/Users on Windows. A folder comes with everything in it."
          />
        </div>
        <NextStep />
      </div>
      <dialog class="versions" data-versions="" aria-labelledby="versions-title">
        <header>
          <h2 id="versions-title">Versions</h2>
          <button type="button" class="btn small" data-versions-close="">
            Close
          </button>
        </header>
        <p class="mono break" data-versions-path="" />
        <p class="muted" data-versions-word="" role="status" />
        <ol class="versions-list" data-versions-list="" />
      </dialog>
    </Step>
  );
}

/** While the host is away another one's agent looks into its snapshots. */
function Reader({ host, readers }: WizardProps): JSX.Element | null {
  if (host.online || readers.length === 0) return null;
  return (
    <div class="scripted">
      <HostField
        name="via"
        label="Look into the snapshot with"
        placeholder="name of a host that is online"
        hosts={readers}
        onlineOnly
        hint="That host’s agent gets the access to this repository for each look, keeps it in memory only and forgets it."
      />
    </div>
  );
}
