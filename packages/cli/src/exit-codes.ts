/** What rmctl ends with, the one table of it: scripts rely on every number. Docs and --help print it from here. */

export const exitCodes = {
  done: { code: 0, about: "Done; a job that was followed succeeded." },
  failed: { code: 1, about: "The job that was followed failed." },
  usage: { code: 2, about: "The command line is wrong; nothing was asked of the server." },
  warning: { code: 3, about: "The job ended with warnings: not everything was covered." },
  cancelled: { code: 4, about: "The job was cancelled." },
  lost: { code: 5, about: "The job was lost: its agent came back without knowing it." },
  expired: { code: 6, about: "The job expired: its host did not come back in time." },
  invalid: { code: 10, about: "The server refused the input." },
  unauthenticated: { code: 11, about: "Not signed in, or the token is revoked or expired." },
  forbidden: { code: 12, about: "The token's role does not reach so far." },
  not_found: { code: 13, about: "There is no such host, job, snapshot or other thing." },
  conflict: { code: 14, about: "It can't be done in this state, or somebody was faster." },
  unprocessable: { code: 15, about: "The input is well formed and still can't be done." },
  rate_limited: { code: 16, about: "Too many requests; try again later." },
  unavailable: { code: 17, about: "The server, or the host's agent, can't be reached." },
  timeout: { code: 18, about: "No answer in time." },
  internal: { code: 19, about: "A mistake of the server's or of rmctl's." },
  interrupted: { code: 130, about: "Interrupted by a signal; a job that was followed goes on." },
} as const satisfies Record<string, { code: number; about: string }>;

export type Outcome = keyof typeof exitCodes;

/** The server's kinds of errors; each has its own number, and so has each HTTP status. */
const outcomeOfStatus: Readonly<Record<number, Outcome>> = {
  400: "invalid",
  401: "unauthenticated",
  403: "forbidden",
  404: "not_found",
  409: "conflict",
  422: "unprocessable",
  429: "rate_limited",
  502: "unavailable",
  503: "unavailable",
  504: "timeout",
};

/** The outcome of an HTTP answer that is an error. */
export const outcomeOf = (status: number): Outcome =>
  outcomeOfStatus[status] ?? (status >= 400 && status < 500 ? "invalid" : "internal");

const outcomeOfJob: Readonly<Record<string, Outcome>> = {
  succeeded: "done",
  warning: "warning",
  failed: "failed",
  cancelled: "cancelled",
  lost: "lost",
  expired: "expired",
};

/** The outcome of a job's last status; undefined while it is not over. */
export const jobOutcome = (status: string): Outcome | undefined => outcomeOfJob[status];
