/** The wizard's third step: where the files go, and how. */
import type { JSX } from "preact";
import { Choice, ChoiceSet, Field } from "../../platform/html/forms.tsx";
import { HostField } from "../hosts/hosts.ts";
import { NextStep, Step, type WizardProps } from "./wizard.views.tsx";
import { overwritePolicies } from "./wizard-form.ts";

/** What restic does with a file that is there already. */
const policyWords: Readonly<Record<(typeof overwritePolicies)[number], string>> = {
  always: "Replace it, whatever it is",
  "if-changed": "Replace it when size or time differ",
  "if-newer": "Replace it when the snapshot’s is newer",
  never: "Keep it",
};

export function TargetStep(props: WizardProps): JSX.Element {
  const { host, values, errors = {} } = props;
  return (
    <Step number={3} name="target" title="Target">
      <div class="stack">
        <HostChoice {...props} />
        <ChoiceSet name="target" legend="Where" class="choices two-up">
          <Choice
            type="radio"
            name="target"
            value="directory"
            boxed
            checked={values.target !== "in_place"}
            hint="Nothing that exists is touched. Files belong to the agent’s user."
          >
            A new folder
          </Choice>
          <Choice
            type="radio"
            name="target"
            value="in_place"
            boxed
            checked={values.target === "in_place"}
            hint="Back to where they were, with their owners and modes."
          >
            In place
          </Choice>
        </ChoiceSet>
        <div class="stack" data-target="directory">
          <Field
            name="directory"
            label="Folder"
            mono
            optional
            value={values.directory}
            error={errors.directory}
            placeholder={host.windows ? "%ProgramData%\\rm-restore\\<job>" : "$HOME/rm-restore/<job>/"}
            hint={host.windows ? <WindowsFolderHint /> : <FolderHint />}
          />
          <Choice
            type="checkbox"
            name="keep_ownership"
            checked={values.keep_ownership === "on"}
            hint="Needs an agent that runs as root. Without it files belong to the agent’s user."
          >
            Keep owners
          </Choice>
        </div>
        <div data-target="in_place">
          <OverwriteField value={values.overwrite} />
        </div>
        <MoreOptions {...props} />
        <NextStep />
      </div>
    </Step>
  );
}

function HostChoice({ host, otherHosts, values, errors = {} }: WizardProps): JSX.Element | null {
  if (otherHosts.length === 0) return <input type="hidden" name="to" value="" />;
  return (
    <HostField
      name="to"
      label="Onto host"
      optional
      value={values.to}
      error={errors.to}
      placeholder={`${host.name}, where they are from`}
      hosts={otherHosts}
      hint={
        <span data-to-warning="">
          Another host gets the access to this repository for this one job. Owners are restored by number:
          they may be other users there.
        </span>
      }
    />
  );
}

function OverwriteField({ value }: { value: string }): JSX.Element {
  return (
    <div class="field">
      <label for="field-overwrite">When a file is there already</label>
      <select class="input" id="field-overwrite" name="overwrite">
        {overwritePolicies.map((policy) => (
          <option key={policy} value={policy} selected={value === policy}>
            {policyWords[policy]}
          </option>
        ))}
      </select>
    </div>
  );
}

function MoreOptions({ values, errors = {} }: WizardProps): JSX.Element {
  const isUsed = [values.includes, values.excludes, values.path_map, values.verify].some(
    (value) => value !== "",
  );
  return (
    <details class="more-options" open={isUsed}>
      <summary>Patterns, other places, verifying</summary>
      <div class="stack">
        <Field
          name="includes"
          label="Only what matches"
          rows={2}
          mono
          optional
          value={values.includes}
          error={errors.includes}
          hint="Patterns inside the chosen folders, one a line: *.conf, nginx/*.d. Either these or the next."
        />
        <Field
          name="excludes"
          label="Leave out what matches"
          rows={2}
          mono
          optional
          value={values.excludes}
          error={errors.excludes}
        />
        <Field
          name="path_map"
          label="Put elsewhere"
          rows={2}
          mono
          optional
          value={values.path_map}
          error={errors.path_map}
          hint="What lies at the first goes to the second, one pair a line: /srv/www => /srv/www-old"
        />
        <Choice
          type="checkbox"
          name="verify"
          checked={values.verify === "on"}
          hint="Reads every restored file again and compares it. Takes about as long once more."
        >
          Verify
        </Choice>
      </div>
    </details>
  );
}

function FolderHint(): JSX.Element {
  return (
    <>
      New or empty; made for the agent’s user alone. Of <code>$HOME</code>, <code>${"{HOME}"}</code> and{" "}
      <code>~/</code> only the beginning stands for the home folder, nothing else is expanded.
    </>
  );
}

function WindowsFolderHint(): JSX.Element {
  return (
    <>
      New or empty; made for SYSTEM and Administrators alone. <code>%ProgramData%</code> and{" "}
      <code>%USERPROFILE%</code> (SYSTEM’s own) may stand at the beginning, nothing else is expanded.
    </>
  );
}
