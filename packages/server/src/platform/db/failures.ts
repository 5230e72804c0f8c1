/**
 * What a database that can't work now, or not with what it was given, means to whoever asked for something. Not for the
 * agents' events: an AppError refuses an event for good, and these are to be sent again.
 */
import { AppError } from "../errors.ts";
import { isDeadlock } from "./db.ts";

/** https://www.sqlite.org/rescode.html; extended codes have more in the higher bits. */
const sqliteCodes = { busy: 5, full: 13 } as const;
/** https://www.postgresql.org/docs/current/errcodes-appendix.html */
const postgresCodes = {
  diskFull: "53100",
  lockTimeout: "55P03",
  cancelled: "57014",
  /** A NUL in a text, and in a JSON. SQLite takes both. */
  textImpossible: "22021",
  jsonImpossible: "22P05",
} as const;
/**
 * Class 08 is about connections, 57P01 to 57P05 a database that stops, starts or ends sessions, 25006 one that became a
 * standby, 25P03 a transaction that was idle for too long, 53300 one that takes no more connections.
 */
const awayState = /^(08...|57P0[1-5]|25006|25P03|53300)$/;
/** What pg says of a connection that is gone or does not answer. */
const awayWords =
  /^(Connection terminated|Query read timeout|timeout exceeded when trying to connect|Client (has encountered a connection error|was closed))/;
const awaySystemCodes: readonly unknown[] = [
  "ECONNREFUSED",
  "ECONNRESET",
  "EPIPE",
  "ETIMEDOUT",
  "EHOSTUNREACH",
];

/** The database is not there, or the connection to it is lost: what was under way may have been committed or not. */
export class DatabaseAway extends Error {
  override readonly name = "DatabaseAway";

  constructor(cause: unknown) {
    super(`the database is away: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

/** An error of a PostgreSQL connection → DatabaseAway when that connection is of no use any more; null otherwise. */
export function asDatabaseAway(error: unknown): DatabaseAway | null {
  if (error instanceof DatabaseAway) return error;
  if (!(error instanceof Error)) return null;
  const { code } = error as { code?: unknown };
  const isAway =
    (typeof code === "string" && awayState.test(code)) ||
    awaySystemCodes.includes(code) ||
    awayWords.test(error.message);
  return isAway ? new DatabaseAway(error) : null;
}

/**
 * A sentence for a failure that passes when an operator acts or time goes by (kind `unavailable`), or when whoever asks
 * leaves out what can't be stored (`invalid`); null for any other error.
 */
export function explainDatabaseFailure(error: unknown): AppError | null {
  if (!(error instanceof Error)) return null;
  if (error instanceof DatabaseAway) {
    const message =
      "The server's database does not answer, or has just come back. Try again in a moment; what agents report waits with them meanwhile.";
    return new AppError("unavailable", "database.away", message, { cause: error });
  }
  const { code, errcode } = error as { code?: unknown; errcode?: unknown };
  const sqlite = typeof errcode === "number" ? errcode & 0xff : null;
  if (sqlite === sqliteCodes.full || code === postgresCodes.diskFull) {
    const message =
      "The disk of the server's database is full, so nothing can be saved. Free space there; what agents report waits with them meanwhile.";
    return new AppError("unavailable", "database.full", message, { cause: error });
  }
  if (sqlite === sqliteCodes.busy || code === postgresCodes.lockTimeout) {
    const message =
      "Another program has locked the server's database for long. Try again once it has finished.";
    return new AppError("unavailable", "database.busy", message, { cause: error });
  }
  if (isDeadlock(error)) {
    const message =
      "Somebody else changed the same things at the same moment, so nothing of this was saved. Try again.";
    return new AppError("unavailable", "database.busy", message, { cause: error });
  }
  if (code === postgresCodes.cancelled) {
    const message = "The server's database took too long. Try again; if it stays so, look at its load.";
    return new AppError("unavailable", "database.slow", message, { cause: error });
  }
  if (code === postgresCodes.textImpossible || code === postgresCodes.jsonImpossible) {
    const message = "A text in this request has a character that can't be stored (NUL). Leave it out.";
    return new AppError("invalid", "request.invalid", message, { cause: error });
  }
  return null;
}
