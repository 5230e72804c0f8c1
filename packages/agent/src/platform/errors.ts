/** The one error type of the agent for everything that a person must be told: a stable code and one sentence. */

export class AgentError extends Error {
  readonly code: string;

  /** `code` is stable (`slice.reason`); `message` says what happened and what to do, without any secret. */
  constructor(code: string, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = "AgentError";
    this.code = code;
  }
}

/** The text of anything that was thrown. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
