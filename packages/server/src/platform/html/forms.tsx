/**
 * Forms that work without JavaScript: one field per row with its rule and its error, typed values kept.
 * Passwords are never echoed. Every post carries the form token.
 */
import type { ComponentChildren, JSX } from "preact";
import { Icon } from "./icons.tsx";
import { usePage } from "./scope.ts";

/** What a form shows again after a refused post. Secrets MUST NOT be among the values. */
export interface FormState<Name extends string> {
  values?: Partial<Record<Name, string>>;
  errors?: Partial<Record<Name, string>>;
  /** A sentence about the whole form. */
  message?: string;
}

/** A form that posts, with the token in it. */
export function PostForm(props: {
  action: string;
  class?: string;
  id?: string;
  label?: string;
  /** The answer opens beside this page: for a download whose page can't be made again. */
  newTab?: boolean;
  children?: ComponentChildren;
}): JSX.Element {
  const { csrfToken } = usePage();
  return (
    <form
      method="post"
      action={props.action}
      class={props.class}
      id={props.id}
      aria-label={props.label}
      target={props.newTab ? "_blank" : undefined}
      novalidate
    >
      <input type="hidden" name="csrf_token" value={csrfToken} />
      {props.children}
    </form>
  );
}

/** One labelled control. `hint` is the rule shown before anything is wrong. */
export interface FieldProps {
  name: string;
  label: string;
  type?: "text" | "password";
  value?: string | undefined;
  error?: string | undefined;
  hint?: ComponentChildren;
  optional?: boolean;
  mono?: boolean;
  autofocus?: boolean;
  autocomplete?: string;
  placeholder?: string;
  /** More than one makes a text area of so many lines. */
  rows?: number;
  /** Which keyboard a phone shows; the rule is the schema's. */
  inputMode?: "numeric" | "decimal";
  /** The id of a datalist. */
  list?: string;
  /** A word behind the input, e.g. `KiB/s`. */
  unit?: ComponentChildren;
}

/** A labelled input or text area with hint and error tied to it for assistive technology. */
export function Field(props: FieldProps): JSX.Element {
  const { name, label, error, hint } = props;
  const id = `field-${name}`;
  const describedBy = [hint ? `${id}-hint` : "", error ? `${id}-error` : ""].filter(Boolean).join(" ");
  return (
    <div class={error ? "field invalid" : "field"}>
      <label for={id}>
        {label}
        {props.optional ? <span class="optional"> optional</span> : null}
      </label>
      {props.unit === undefined ? (
        <Control {...props} id={id} describedBy={describedBy} />
      ) : (
        <span class="with-unit">
          <Control {...props} id={id} describedBy={describedBy} />
          <span class="unit">{props.unit}</span>
        </span>
      )}
      <FieldError id={`${id}-error`} error={error} />
      {hint ? (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      ) : null}
    </div>
  );
}

function FieldError({ id, error }: { id: string; error: string | undefined }): JSX.Element | null {
  if (!error) return null;
  return (
    <p class="field-error" id={id}>
      <Icon name="alert" />
      {error}
    </p>
  );
}

/** A set of choices under one heading, with its error. */
export function ChoiceSet(props: {
  name: string;
  legend: string;
  error?: string | undefined;
  hint?: ComponentChildren;
  class?: string;
  children?: ComponentChildren;
}): JSX.Element {
  const errorId = `field-${props.name}-error`;
  return (
    <fieldset
      class={props.error ? "field invalid" : "field"}
      aria-describedby={props.error ? errorId : undefined}
    >
      <legend>{props.legend}</legend>
      <div class={props.class ?? "choices"}>{props.children}</div>
      <FieldError id={errorId} error={props.error} />
      {props.hint ? <p class="hint">{props.hint}</p> : null}
    </fieldset>
  );
}

/**
 * A box to check or a choice of one, its whole label to click; `boxed` draws it as a card. An unchecked box is not
 * posted at all: what a form shows again MUST come from the post, never from what is stored.
 */
export function Choice(props: {
  type: "checkbox" | "radio";
  name: string;
  value?: string;
  checked: boolean;
  boxed?: boolean;
  hint?: ComponentChildren;
  children?: ComponentChildren;
}): JSX.Element {
  return (
    <label class={props.boxed ? "choice boxed" : "choice"}>
      <input type={props.type} name={props.name} value={props.value ?? "on"} checked={props.checked} />
      <span class="choice-text">
        <span class="choice-name">{props.children}</span>
        {props.hint ? <small>{props.hint}</small> : null}
      </span>
    </label>
  );
}

function Control(props: FieldProps & { id: string; describedBy: string }): JSX.Element {
  const shared = {
    id: props.id,
    name: props.name,
    class: props.mono ? "input mono" : "input",
    placeholder: props.placeholder,
    "aria-describedby": props.describedBy || undefined,
    "aria-invalid": props.error ? ("true" as const) : undefined,
    "aria-required": props.optional ? undefined : ("true" as const),
    autofocus: props.autofocus,
    autocomplete: props.autocomplete ?? "off",
    autocapitalize: "none" as const,
    spellcheck: false,
    inputMode: props.inputMode,
    list: props.list,
  };
  if ((props.rows ?? 1) > 1) {
    return (
      <textarea {...shared} rows={props.rows}>
        {props.value ?? ""}
      </textarea>
    );
  }
  if (props.type === "password") return <input {...shared} type="password" value="" />;
  return <input {...shared} type="text" value={props.value ?? ""} />;
}

/** The sentence above a refused form; takes the reader's attention (role alert). */
export function FormMessage({ message }: { message?: string | undefined }): JSX.Element | null {
  if (!message) return null;
  return (
    <p class="form-message" role="alert">
      <Icon name="alert" />
      {message}
    </p>
  );
}

/** Two people at one form: what the other one changed, beside everything that this one typed. */
export function EditConflict(props: { headline: string; children: ComponentChildren }): JSX.Element {
  return (
    <div class="notice warn" role="alert" id="edit-conflict">
      <Icon name="alert" />
      <div>
        <strong>{props.headline}</strong>
        <span>
          Nothing of yours is saved yet, and all of it is still below. “Save anyway” overwrites what they
          changed:
        </span>
        {props.children}
      </div>
    </div>
  );
}

/** One sentence for each thing that the other one changed. */
export function ChangesList({ changes }: { changes: readonly string[] }): JSX.Element {
  return (
    <ul class="changes-list">
      {changes.map((sentence) => (
        <li key={sentence}>{sentence}</li>
      ))}
    </ul>
  );
}

/** The end of an edit form. In a conflict the way out is what is stored now, not the list that one came from. */
export function SaveActions(props: {
  /** The first button's word when there is no conflict. */
  save: string;
  isConflict: boolean;
  formUrl: string;
  cancelUrl: string;
}): JSX.Element {
  return (
    <div class="actions form-actions">
      <button type="submit" class="btn primary">
        {props.isConflict ? "Save anyway" : props.save}
      </button>
      {props.isConflict ? (
        <a class="btn" href={props.formUrl}>
          Drop mine, load theirs
        </a>
      ) : (
        <a class="btn quiet" href={props.cancelUrl}>
          Cancel
        </a>
      )}
    </div>
  );
}
