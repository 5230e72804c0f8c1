/**
 * What every form that asks for a repository has in common: the choice of a kind, and the fields of each, of which the style
 * sheet shows those of the chosen one. Works without a script. Secrets are written, never shown.
 */
import { type BackendKind, backendVariables, optionsOf, takesCertificate } from "@restic-manager/protocol";
import type { JSX } from "preact";
import { Choice, ChoiceSet, Field, type FieldProps } from "../../platform/html/forms.tsx";
import { isSecretField } from "./backend-form.ts";
import { type Backend, backendOf, backends, certificateField, optionLabels } from "./backends.ts";

export interface BackendFieldsProps {
  /** Stands before each name, where a page has two of these forms. */
  prefix?: string;
  /** Fixed: no other kind is offered. */
  only?: BackendKind | undefined;
  /** By the form's names without the prefix; `backend` is the kind. */
  values: Readonly<Partial<Record<string, string>>>;
  errors: Readonly<Partial<Record<string, string>>>;
  /** The secret fields of which something is stored. */
  secretsSet: readonly string[];
  /** The field that gets the cursor. */
  focused?: string | undefined;
  /** What an empty password of a rest-server's user means, where nothing is stored. */
  emptyRestPassword?: string;
}

export function BackendFields(props: BackendFieldsProps): JSX.Element {
  const { only, prefix = "", values } = props;
  const name = `${prefix}backend`;
  if (only !== undefined)
    return (
      <div class="stack">
        <input type="hidden" name={name} value={only} />
        <FieldsOf {...props} backend={backendOf(only)} />
      </div>
    );
  const chosen = values.backend || "rest";
  return (
    <div class="backend stack">
      <ChoiceSet name={name} legend="Kind of storage" class="choices kinds">
        {backends.map(({ kind, name: title, summary }) => (
          <Choice
            key={kind}
            type="radio"
            boxed
            name={name}
            value={kind}
            checked={kind === chosen}
            hint={summary}
          >
            {title}
          </Choice>
        ))}
      </ChoiceSet>
      {backends.map((backend) => (
        <fieldset
          key={backend.kind}
          class="backend-fields plain stack"
          data-backend={backend.kind}
          aria-label={backend.name}
        >
          <FieldsOf {...props} backend={backend} />
        </fieldset>
      ))}
    </div>
  );
}

type FieldsProps = BackendFieldsProps & { backend: Backend };
type FieldOf = (name: string) => Pick<FieldProps, "name" | "value" | "error" | "autofocus">;

const fieldOf =
  ({ prefix = "", values, errors, focused }: BackendFieldsProps): FieldOf =>
  (name) => ({
    name: `${prefix}${name}`,
    value: values[name],
    error: errors[name],
    autofocus: name === focused,
  });

function FieldsOf(props: FieldsProps): JSX.Element {
  const { place, variables, kind, note } = props.backend;
  return (
    <>
      <div class={place.length + variables.length > 1 ? "two-up" : "stack"}>
        <Place {...props} />
        <Variables {...props} />
      </div>
      {kind === "rest" ? <RestUser {...props} /> : null}
      {note === undefined ? null : <p class="hint">{note}</p>}
      <MoreSettings {...props} />
    </>
  );
}

function Place(props: FieldsProps): JSX.Element {
  const field = fieldOf(props);
  return (
    <>
      {props.backend.place.map(({ name, label, example, hint, optional = false }) => (
        <Field
          key={name}
          {...field(name)}
          {...{ label, optional, hint }}
          mono
          {...(example === undefined ? {} : { placeholder: example })}
        />
      ))}
    </>
  );
}

const stored = "Set. Leave empty to keep it.";

function RestUser(props: FieldsProps): JSX.Element {
  const field = fieldOf(props);
  return (
    <div class="two-up">
      <Field {...field("repo_username")} label="User" optional mono />
      <Field
        {...field("rest_password")}
        label="User’s password"
        type="password"
        optional
        autocomplete="new-password"
        hint={props.secretsSet.includes("rest_password") ? stored : (props.emptyRestPassword ?? "Not set.")}
      />
    </div>
  );
}

function Variables(props: FieldsProps): JSX.Element {
  const field = fieldOf(props);
  return (
    <>
      {props.backend.variables.map(({ name, label, hint, example, optional = false, rows }) => {
        const secret = backendVariables[name].secret;
        return (
          <Field
            key={name}
            {...field(name)}
            {...{ label, optional }}
            {...(secret ? { type: "password", value: "", autocomplete: "new-password" } : { mono: true })}
            {...(rows === undefined ? {} : { rows })}
            {...(example === undefined ? {} : { placeholder: example })}
            hint={props.secretsSet.includes(name) ? stored : hint}
          />
        );
      })}
    </>
  );
}

/** What few need. Open where something of it is set or wrong. */
function MoreSettings(props: FieldsProps): JSX.Element {
  const { kind } = props.backend;
  const field = fieldOf(props);
  const certificate = takesCertificate(kind) ? certificateField(kind) : undefined;
  const names = [...optionsOf(kind), ...(certificate === undefined ? [] : [certificate])];
  return (
    <details
      class="more-options"
      open={names.some((name) => props.values[name] || props.errors[name] !== undefined)}
    >
      <summary>{certificate === undefined ? "Options" : "Certificate and options"}</summary>
      <div class="stack">
        {certificate === undefined ? null : (
          <Field
            {...field(certificate)}
            label="CA certificate"
            optional
            mono
            rows={5}
            placeholder="-----BEGIN CERTIFICATE-----"
            hint="PEM. For a server whose certificate the host does not know by itself; only what stands here is trusted then."
          />
        )}
        <div class="two-up">
          {optionsOf(kind).map((name) => (
            <Field key={name} {...field(name)} label={name} optional mono hint={optionLabels[name]} />
          ))}
        </div>
      </div>
    </details>
  );
}

/** As on the screen: the first field of the chosen kind with an error gets the cursor. */
export function firstProblem(kind: BackendKind, errors: BackendFieldsProps["errors"]): string | undefined {
  const { place, variables } = backendOf(kind);
  const order = [
    ...place.map(({ name }) => name),
    ...(kind === "rest" ? ["repo_username", "rest_password"] : []),
    ...variables.map(({ name }) => name),
    ...(takesCertificate(kind) ? [certificateField(kind)] : []),
    ...optionsOf(kind),
  ];
  return order.find((name) => errors[name] !== undefined);
}

/** The secret fields of which something is stored, by their names in the form. */
export const secretFieldsSet = (shown: { secretsSet: string[]; restPasswordSet: boolean } | null): string[] =>
  [...(shown?.secretsSet ?? []), ...(shown?.restPasswordSet ? ["rest_password"] : [])].filter(isSecretField);
