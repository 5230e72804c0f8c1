/** A job's error as a page shows it: the first sentence is the headline, the rest says why and what to do. */
import type { JobError } from "@restic-manager/protocol";
import type { JobFailure } from "./jobs.views.tsx";

/** Splits at the first sentence's end; a message of one sentence is all headline. restic's "Fatal:" is none. */
export function explainError(error: JobError, exitCode: number | null): JobFailure {
  const message = error.message.replace(/^Fatal:\s+(\S)/, (_, initial: string) => initial.toUpperCase());
  const [, first = message, rest = ""] = /^(.+?[.!?:])\s+(.*)$/s.exec(message) ?? [];
  return { what: first.replace(/:$/, "."), why: rest, advice: "", exitCode, stderrTail: error.last_lines };
}
