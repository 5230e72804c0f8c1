/**
 * The one error type of the server, and the tables that turn its kind into an HTTP status.
 * Everything that is not an AppError is a mistake of ours: it is logged whole and shown as "Internal error".
 */
export type ErrorKind =
  | "invalid"
  | "unauthenticated"
  | "forbidden"
  | "not_found"
  | "conflict"
  | "unprocessable"
  | "rate_limited"
  | "unavailable"
  | "timeout"
  | "internal";

/** HTTP status of each kind (RFC 9110). */
export const httpStatusOf: Record<ErrorKind, number> = {
  invalid: 400,
  unauthenticated: 401,
  forbidden: 403,
  not_found: 404,
  conflict: 409,
  unprocessable: 422,
  rate_limited: 429,
  unavailable: 503,
  timeout: 504,
  internal: 500,
};

/** What was wrong with one field of the input; `path` is the field's name on the wire, dots between levels. */
export interface FieldProblem {
  path: string;
  message: string;
}

export class AppError extends Error {
  override readonly name = "AppError";
  readonly kind: ErrorKind;
  /** Stable and documented, `slice.reason`. */
  readonly code: string;
  readonly details: unknown;

  /**
   * @param message a sentence for the person who sees it: what happened and what to do. Never a secret.
   * @param options.details JSON that a program may act on, such as `FieldProblem[]`
   */
  constructor(
    kind: ErrorKind,
    code: string,
    message: string,
    options: { details?: unknown; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.kind = kind;
    this.code = code;
    this.details = options.details;
  }
}

/** Input that a person can correct: one problem for each field. */
export function invalidFields(code: string, problems: FieldProblem[]): AppError {
  const first = problems[0];
  return new AppError("invalid", code, first ? first.message : "The input is not valid.", {
    details: problems,
  });
}

/** The problems by field, when the error carries any: forms show them beside their inputs. */
export function fieldProblems(error: AppError): Record<string, string> {
  if (!Array.isArray(error.details)) return {};
  const byPath: Record<string, string> = {};
  for (const problem of error.details as FieldProblem[]) byPath[problem.path] ??= problem.message;
  return byPath;
}
