/**
 * What a database that can't work now means to whoever asked for something. Not for the agents' events: an AppError
 * refuses an event for good, and these are to be sent again.
 */
import { AppError } from "../errors.ts";

/** https://www.sqlite.org/rescode.html; extended codes have more in the higher bits. */
const sqliteCodes = { busy: 5, full: 13 } as const;
/** https://www.postgresql.org/docs/current/errcodes-appendix.html */
const postgresDiskFull = "53100";

/** A sentence for a failure that passes when an operator acts or time goes by; null for any other error. */
export function explainDatabaseFailure(error: unknown): AppError | null {
  if (!(error instanceof Error)) return null;
  const { code, errcode } = error as { code?: unknown; errcode?: unknown };
  const sqlite = typeof errcode === "number" ? errcode & 0xff : null;
  if (sqlite === sqliteCodes.full || code === postgresDiskFull) {
    const message =
      "The disk of the server's database is full, so nothing can be saved. Free space there; what agents report waits with them meanwhile.";
    return new AppError("unavailable", "database.full", message, { cause: error });
  }
  if (sqlite === sqliteCodes.busy) {
    const message =
      "Another program has locked the server's database for long. Try again once it has finished.";
    return new AppError("unavailable", "database.busy", message, { cause: error });
  }
  return null;
}
