/** The one error type of rmctl: what went wrong, for a person and for a script. Everything else is a mistake of ours. */
import type { Outcome } from "./exit-codes.ts";

export class Problem extends Error {
  override readonly name = "Problem";
  /** Decides the exit code. */
  readonly outcome: Outcome;
  /** Stable, `part.reason`: the server's own, or `cli.…`. */
  readonly code: string;
  /** Under which the server's log has more; null when the server was not asked. */
  readonly requestId: string | null;
  readonly details: unknown;

  /** @param message a sentence: what happened and what to do. Never a secret. */
  constructor(
    outcome: Outcome,
    code: string,
    message: string,
    more: { requestId?: string | null; details?: unknown } = {},
  ) {
    super(message);
    this.outcome = outcome;
    this.code = code;
    this.requestId = more.requestId ?? null;
    this.details = more.details;
  }
}

/** The command line is wrong. */
export const usageProblem = (message: string): Problem => new Problem("usage", "cli.usage", message);
