/**
 * The agent's own log: JSON lines on one stream. Secrets are kept out twice: by field name, and by value on
 * the finished line, so that a secret inside a message or a stack trace is masked as well.
 */
import { type DestinationStream, type Logger, pino } from "pino";

export type Log = Logger;

export type LogOptions = {
  level: "debug" | "info" | "warn" | "error" | "silent";
  /** Masks a finished line; asked on every line, so the set of known secrets may grow while running. */
  redact: (text: string) => string;
  /** Where lines go; default standard output. */
  destination?: DestinationStream;
};

const SECRET_FIELDS = ["password", "passphrase", "token", "bearer", "secret", "authorization", "cookie"];

/** A logger at `level`; every line passes `redact` before it is written. */
export function createLog(options: LogOptions): Log {
  const destination = options.destination ?? pino.destination({ dest: 1, sync: true });
  return pino(
    {
      level: options.level,
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: { paths: SECRET_FIELDS.flatMap((name) => [name, `*.${name}`]), censor: "***" },
      hooks: { streamWrite: (line) => options.redact(line) },
    },
    destination,
  );
}
