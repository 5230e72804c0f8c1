/** The fields of hooks, for a group and for a host's default alike. What they hold is secret: only editors get it. */
import type { ComponentChildren, JSX } from "preact";
import { Field } from "../../platform/html/forms.tsx";
import { Notice, Panel } from "../../platform/html/parts.tsx";
import { useMayOperate } from "../../platform/html/scope.ts";

/** By their names in the post. */
export type HookField = "pre_hook" | "pre_hook_timeout_seconds" | "post_hook" | "post_hook_timeout_seconds";

export interface HookFieldsProps {
  /** What the host's agent.yaml says; null before its agent told. */
  allowed: boolean | null;
  windows: boolean;
  values: Readonly<Record<HookField, string>>;
  errors: Partial<Record<HookField, string>>;
  /** What an empty script means. */
  empty: string;
}

/** The fields as a panel. */
export function HooksPanel(props: HookFieldsProps & { note: string }): JSX.Element {
  return (
    <Panel title="Hooks" note={props.note} class="wide">
      <div class="panel-body stack">
        <HookFields {...props} />
      </div>
    </Panel>
  );
}

/** Warning, two scripts and their time limits. */
export function HookFields(props: HookFieldsProps): JSX.Element {
  const shell = props.windows ? "cmd.exe /C" : "/bin/sh";
  if (!useMayOperate()) return <HookFacts {...props} />;
  return (
    <>
      {props.allowed === false ? (
        <Notice tone="idle" title="This host refuses hooks.">
          <span>
            Its agent.yaml says <code>allow_hooks: false</code>. What is saved here is kept and not run.
          </span>
        </Notice>
      ) : null}
      <Notice tone="warn">
        <span>
          Hooks run as {props.windows ? "SYSTEM" : "root"} by <code>{shell}</code>: whoever may edit them owns
          the host. Each edit is audited.
        </span>
      </Notice>
      <div class="scripts">
        <Script
          {...props}
          name="pre_hook"
          label="Before the backup"
          hint={<>A script that fails stops the backup. {props.empty}</>}
        />
        <Script
          {...props}
          name="post_hook"
          label="After the backup"
          hint={
            <>
              Runs whatever happened; <code>RM_JOB_STATUS</code> says how it went. {props.empty}
            </>
          }
        />
      </div>
      <p class="hint">
        Also set: <code>RM_JOB_ID</code>, <code>RM_HOST</code>, <code>RM_SOURCE_GROUP</code>,{" "}
        <code>RM_SNAPSHOT_ID</code>. Output is in the job’s log.
      </p>
    </>
  );
}

function Script(
  props: HookFieldsProps & { name: "pre_hook" | "post_hook"; label: string; hint: ComponentChildren },
): JSX.Element {
  const limit = `${props.name}_timeout_seconds` as const;
  return (
    <div class="script">
      <Field
        name={props.name}
        label={props.label}
        mono
        optional
        rows={4}
        value={props.values[props.name]}
        error={props.errors[props.name]}
        hint={props.hint}
      />
      <Field
        name={limit}
        label="Time limit"
        inputMode="numeric"
        unit="s"
        value={props.values[limit]}
        error={props.errors[limit]}
      />
    </div>
  );
}

/** For those who may not edit: whether there is a script, not what it says. */
function HookFacts({ values }: HookFieldsProps): JSX.Element {
  return (
    <dl class="pairs">
      <div>
        <dt>Before</dt>
        <dd>{values.pre_hook === "" ? <span class="faint">none</span> : "set"}</dd>
      </div>
      <div>
        <dt>After</dt>
        <dd>{values.post_hook === "" ? <span class="faint">none</span> : "set"}</dd>
      </div>
    </dl>
  );
}
