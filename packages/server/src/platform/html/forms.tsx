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
      <Control {...props} id={id} describedBy={describedBy} />
      {error ? (
        <p class="field-error" id={`${id}-error`}>
          <Icon name="alert" />
          {error}
        </p>
      ) : null}
      {hint ? (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      ) : null}
    </div>
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
