/** The server's log: JSON lines by pino, with everything that may be a secret cut out. */
import { type Logger, pino } from "pino";

/** Field names that never reach a log, at any depth that we write. */
const secretPaths = ["password", "token", "bearer", "authorization", "cookie", "secret"].flatMap((name) => [
  name,
  `*.${name}`,
  `*.*.${name}`,
]);

/** @param level a pino level, or `silent` */
export function createLog(level: string, destination?: { write(line: string): void }): Logger {
  const options = { level, base: null, redact: { paths: secretPaths, censor: "[redacted]" } };
  return destination ? pino(options, destination) : pino(options);
}
