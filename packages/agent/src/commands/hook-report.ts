/** Hooks in words: pure functions from how a script ended to what an operator reads. */
import type { Hook, JobError } from "@restic-manager/protocol";

export type HookPhase = "pre" | "post";

/** How a hook ended, when it did not end well. */
export type HookEnd =
  | { kind: "exited"; code: number | null; signal: string | null }
  | { kind: "timeout" }
  /** It printed more than the agent keeps. */
  | { kind: "output" }
  | { kind: "vanished" }
  | { kind: "not_run"; reason: string };

export const HOOKS_NOT_ALLOWED: JobError = {
  code: "hook.not_allowed",
  message:
    "This host refuses hooks: allow_hooks is false in its agent.yaml. Set it to true and restart the agent, or remove the hooks from the source group.",
  last_lines: [],
};

const AFTERMATH: Record<HookPhase, string> = {
  pre: "Nothing was backed up. Correct the script, or what it needs, and run again.",
  post: "The backup itself is not affected. See to what the script should have done, such as starting a service again.",
};

/** @param lastWords the hook's last lines, redacted */
export function hookError(
  phase: HookPhase,
  hook: Hook,
  end: HookEnd,
  lastWords: readonly string[],
): JobError {
  const reason = end.kind === "timeout" ? "timeout" : "failed";
  return {
    code: `hook.${phase}_${reason}`,
    message: `The ${phase} hook ${describeEnd(end, hook.timeout_seconds)}. ${AFTERMATH[phase]}`.slice(
      0,
      4000,
    ),
    last_lines: lastWords.slice(-20).map((line) => line.slice(0, 4096)),
  };
}

function describeEnd(end: HookEnd, timeoutSeconds: number): string {
  switch (end.kind) {
    case "exited":
      return end.signal === null ? `failed with exit code ${end.code}` : `was ended by ${end.signal}`;
    case "timeout":
      return `did not end within its ${timeoutSeconds} s and was stopped with everything it had started`;
    case "output":
      return "printed more than 16 MiB and was stopped";
    case "vanished":
      return "ended in a way that is not known: it was killed together with its runner, or the machine went down";
    case "not_run":
      return `could not be run (${end.reason})`;
  }
}
