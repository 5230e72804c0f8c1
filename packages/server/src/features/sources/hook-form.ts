/** The hooks of a form as text: an empty script is none. The problems of an operation come back by the form's fields. */
import { type AppError, fieldProblems } from "../../platform/errors.ts";
import { defaultHookSeconds, type HookDraft, type HookDrafts, type OpenHooks } from "./hooks.ts";
import type { HookField } from "./hooks.views.tsx";

type HookValues = Readonly<Record<HookField, string>>;

/** What was typed as drafts. A browser sends line ends as CRLF; a shell would take the CR as a part of the word. */
export function readHookForm(values: HookValues): Required<HookDrafts> {
  const read = (script: string, seconds: string): HookDraft | null => {
    if (script.trim() === "") return null;
    const timeoutSeconds = seconds.trim() === "" ? defaultHookSeconds : Number(seconds);
    return { script: script.replaceAll("\r\n", "\n"), timeoutSeconds };
  };
  return {
    preHook: read(values.pre_hook, values.pre_hook_timeout_seconds),
    postHook: read(values.post_hook, values.post_hook_timeout_seconds),
  };
}

/** What is stored as the form has it; empty scripts for a reader who may not edit them. */
export function hookValues(hooks: OpenHooks | null): Record<HookField, string> {
  return {
    pre_hook: hooks?.preHook?.script ?? "",
    pre_hook_timeout_seconds: String(hooks?.preHook?.timeoutSeconds ?? defaultHookSeconds),
    post_hook: hooks?.postHook?.script ?? "",
    post_hook_timeout_seconds: String(hooks?.postHook?.timeoutSeconds ?? defaultHookSeconds),
  };
}

/** The problems of an operation on hooks, by the fields of the form. */
export function hookProblems(error: AppError): Record<string, string> {
  const named = Object.entries(fieldProblems(error)).map(([path, message]) => [fieldOf(path), message]);
  return Object.fromEntries(named);
}

/** `pre_hook.script` on the wire is `pre_hook` in the form, `pre_hook.timeout_seconds` has an underscore. */
export const fieldOf = (path: string): string =>
  path.replace(/\.script$/, "").replace(".timeout", "_timeout");
