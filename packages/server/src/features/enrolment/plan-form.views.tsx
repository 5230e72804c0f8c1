/**
 * The form of a new host and what came of it: its name, tags and paths, its repository, and the password that was made.
 * Shared by "Add host" and by the page that accepts a machine.
 */
import type { JSX } from "preact";
import { Field, type FieldProps, type FormState } from "../../platform/html/forms.tsx";
import { CopyBlock, Notice, Panel, Tags } from "../../platform/html/parts.tsx";
import {
  BackendFields,
  type BackendFieldsProps,
  chosenKind,
  firstProblem,
} from "../repositories/repositories.ts";

/** The fields of `planForm`, in two panels; the cursor is in the first wrong one. */
export function PlanFields({ form }: { form: FormState<string> | undefined }): JSX.Element {
  const { values = {}, errors = {} } = form ?? {};
  const kind = chosenKind(values);
  const focused =
    ["hostname", "tags", "initial_paths"].find((name) => errors[name] !== undefined) ??
    firstProblem(kind, errors) ??
    (errors.repo_password === undefined ? "hostname" : "repo_password");
  const field: FieldOf = (name) => ({
    name,
    value: values[name],
    error: errors[name],
    autofocus: name === focused,
  });
  return (
    <>
      <HostFields field={field} />
      <RepositoryFields field={field} backend={{ values, errors, focused }} />
    </>
  );
}

/** What a field shows of a form that came back. */
type FieldOf = (name: string) => Pick<FieldProps, "name" | "value" | "error" | "autofocus">;

function HostFields({ field }: { field: FieldOf }): JSX.Element {
  return (
    <Panel title="Host">
      <div class="panel-body stack">
        <Field
          {...field("hostname")}
          label="Host name"
          mono
          placeholder="web-01"
          hint="As it calls itself; snapshots carry this name."
        />
        <Field
          {...field("tags")}
          label="Tags"
          optional
          placeholder="prod, web"
          hint="Separated by commas; for finding and filtering."
        />
        <Field
          {...field("initial_paths")}
          label="Paths to back up"
          optional
          mono
          rows={4}
          placeholder={"/etc\n/home\n/var/lib"}
          hint="One absolute path per line. They become the first source group. Left empty: the whole machine but temporary files."
        />
      </div>
    </Panel>
  );
}

function RepositoryFields(props: {
  field: FieldOf;
  backend: Pick<BackendFieldsProps, "values" | "errors" | "focused">;
}): JSX.Element {
  return (
    <Panel title="Repository">
      <div class="panel-body stack">
        <BackendFields
          {...props.backend}
          secretsSet={[]}
          emptyRestPassword="Empty: the same as the encryption password."
        />
        <Field
          {...props.field("repo_password")}
          label="Encryption password"
          type="password"
          optional
          autocomplete="new-password"
          hint="Encrypts the repository. Leave it empty and a strong one is made and shown once."
        />
      </div>
    </Panel>
  );
}

/** What becomes of a new host. */
export function PlanSummary(props: {
  /** Without user info or password. */
  repositoryUrl: string;
  tags: readonly string[];
  initialPaths: readonly string[];
}): JSX.Element {
  return (
    <Panel title="What it will do">
      <dl class="facts">
        <div>
          <dt>Repository</dt>
          <dd class="mono break">{props.repositoryUrl}</dd>
        </div>
        <div>
          <dt>Paths</dt>
          <dd class="mono break">
            {props.initialPaths.length === 0
              ? "the whole machine but temporary files"
              : props.initialPaths.join("\n")}
          </dd>
        </div>
        {props.tags.length === 0 ? null : (
          <div>
            <dt>Tags</dt>
            <dd>
              <Tags tags={props.tags} />
            </dd>
          </div>
        )}
      </dl>
    </Panel>
  );
}

/** Shown once, in an answer that MUST be sent with `Cache-Control: no-store`. */
export function MintedPassword(props: { password: string; htpasswdCommand: string | null }): JSX.Element {
  return (
    <Panel title="Repository password" note="shown only now" class="warn">
      <div class="panel-body stack">
        <Notice tone="warn" title="Keep it where this server is not.">
          Without it no snapshot of this repository can ever be read. We store it encrypted and never show it
          again.
        </Notice>
        <CopyBlock id="minted-password" text={props.password} label="repository password" />
        {props.htpasswdCommand === null ? null : (
          <>
            <p class="hint">
              On the rest-server, so that it accepts this user (asks for the password above):
            </p>
            <CopyBlock id="htpasswd-command" text={props.htpasswdCommand} label="htpasswd command" />
          </>
        )}
      </div>
    </Panel>
  );
}
