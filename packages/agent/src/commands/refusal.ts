/**
 * Append-only storage: it answers every removal with 403, and restic's exit code may be 0, 1 or 3 for it. What restic
 * says of it on the way counts, not how it ended.
 */
import type { JobError } from "@restic-manager/protocol";
import { parseBackupLine } from "../restic/output.ts";
import type { OutputLine } from "../restic/run.ts";

const REFUSED = /\b403\b.*forbidden|forbidden.*\b403\b|access ?denied/i;

/** Whether this line says that the storage refused something. */
export function isRefusal({ stream, text }: Pick<OutputLine, "stream" | "text">): boolean {
  if (stream !== "stderr") return false;
  const line = parseBackupLine(text);
  if (line.kind === "exit_error") return REFUSED.test(line.message);
  return line.kind === "text" && REFUSED.test(line.text);
}

const ADVICE = {
  prune:
    "Nothing was freed. Enter an admin credential that may delete in the repository's settings, then prune again; a check may ask for a repair of the index meanwhile.",
  repair: "Enter an admin credential that may delete in the repository's settings, then repair again.",
  key: "The old password still opens the repository. Enter an admin credential that may delete in the repository's settings, then remove the old keys again.",
};

/** @param job the kind of job, which the code names */
export function refusedError(job: keyof typeof ADVICE, lastLines: readonly string[]): JobError {
  return {
    code: `${job}.refused`,
    message: `This credential may not delete: the storage is append-only for it. ${ADVICE[job]}`,
    last_lines: lastLines.slice(-20).map((line) => line.slice(0, 4096)),
  };
}
