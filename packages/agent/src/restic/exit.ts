/**
 * What the end of a restic means. Exit codes first, then what restic wrote on stderr, because several versions
 * say 1 for everything (restic.md has the table). Codes here are stable: the server, the pages and alerts rest
 * on them. restic's summary is not consulted: it claims success where there was none.
 */
import type { RunExit } from "./follow.ts";
import { parseBackupLine, stripEscapes } from "./output.ts";

export type ResticCode =
  | "restic.wrong_password"
  | "restic.repository_missing"
  | "restic.repository_locked"
  | "restic.repository_full"
  | "restic.unauthorised"
  | "restic.no_rights"
  | "restic.unreachable"
  | "restic.host_unknown"
  | "restic.certificate_untrusted"
  | "restic.backend_unsupported"
  | "restic.helper_missing"
  | "restic.helper_failed"
  | "restic.source_missing"
  | "restic.partial"
  | "restic.repository_damaged"
  | "restic.stop_forced"
  | "restic.failed"
  | "restic.killed"
  | "restic.timeout"
  | "restic.output_too_large"
  | "restic.bad_output"
  | "restic.vanished"
  | "restic.spawn_failed";

export type ResticProblem = {
  code: ResticCode;
  /** For the operator: what happened, why, what to do. */
  message: string;
  /** restic's last words, redacted and bounded; empty when it said nothing. */
  stderrTail: string[];
  /** restic's exit code; null when a signal ended it or none is known. */
  exitCode: number | null;
};

export type ResticOutcome =
  | { kind: "ok" }
  /** Done, but not everything was covered. */
  | { kind: "warning"; problem: ResticProblem }
  | { kind: "failed"; problem: ResticProblem }
  /** Ended because we asked it to. */
  | { kind: "cancelled" }
  /** Still running; we only stopped looking. */
  | { kind: "detached" };

const SENTENCES: Record<ResticCode, string> = {
  "restic.wrong_password":
    "The repository's password is wrong. Correct it in the host's repository settings and run again.",
  "restic.repository_missing":
    "There is no repository at this location: it was never created, was deleted, or its disk is not mounted. Check the location, or create the repository.",
  "restic.repository_locked":
    "Another restic holds the repository's lock and did not release it in time. Wait until it has finished; remove the lock only when you know that it is dead.",
  "restic.repository_full":
    "The storage is full. Free space where the repository lies (or in the host's cache directory), then run again; nothing that was saved before is lost.",
  "restic.unauthorised":
    "The storage refused the credentials, or was given none. Check user and password, or key and secret, in the host's repository settings.",
  "restic.no_rights":
    "The storage knows these credentials and does not allow them this. Give them the right to list, read, write and delete at this place, or check bucket and folder.",
  "restic.host_unknown":
    "The storage's host name is not known: no address was found for it. Check its spelling, and name resolution on this host.",
  "restic.certificate_untrusted":
    "The storage's certificate is not trusted by this host. If it is of an authority of your own, paste that one's certificate into the field CA certificate; else check the host name, its end date and this host's clock.",
  "restic.backend_unsupported":
    "The restic on this host was built without this kind of storage, as Debian and Ubuntu do for Azure. Install restic's own release on the host.",
  "restic.helper_missing":
    "restic reaches this kind of storage by another program that is not on this host: rclone for rclone, ssh for SFTP. Install it.",
  "restic.helper_failed":
    "The program by which restic reaches this storage ended at once: ssh for SFTP, rclone for rclone. The last lines say why; for SFTP let the agent's user sign in with its key once by hand.",
  "restic.unreachable":
    "The storage cannot be reached. Check address, port, name resolution, certificate and firewall, and that the storage runs.",
  "restic.source_missing":
    "None of the paths to back up exists on this host. Check the paths and whether their disks are mounted.",
  "restic.partial":
    "The snapshot was made, but some files could not be read and are missing from it. The log names them.",
  "restic.repository_damaged":
    "The repository is damaged: restic found errors in it. Do not remove any snapshot; the log says what is broken and which repair restic advises.",
  "restic.stop_forced":
    "restic did not end in time and was killed. It may have left its lock in the repository: backups go on, but maintenance waits until the lock is removed or 30 minutes old.",
  "restic.failed": "restic failed. Its last words are in the log.",
  "restic.killed":
    "restic was killed by somebody else, often by the system because memory ran out. Look at the system's log.",
  "restic.timeout":
    "restic gave no answer in time and was stopped. The storage is probably unreachable or very slow.",
  "restic.output_too_large": "restic printed more than the agent accepts. Reduce the number of snapshots.",
  "restic.bad_output": "restic's answer could not be understood. Check the version of restic on this host.",
  "restic.vanished":
    "It is not known how restic ended: it was killed together with its runner, or the machine went down. Run again.",
  "restic.spawn_failed": "restic could not be started. Check that it is installed and may be executed.",
};

const BY_EXIT_CODE = new Map<number, ResticCode>([
  [10, "restic.repository_missing"],
  [11, "restic.repository_locked"],
  [12, "restic.wrong_password"],
]);

/** First match wins; `all source` stands before the network phrases since it is the more exact one. */
const BY_TEXT: readonly (readonly [RegExp, ResticCode])[] = [
  [/wrong password or no key found/i, "restic.wrong_password"],
  [
    /no space left on device|disk quota exceeded|not enough space on the disk|\(507\)/i,
    "restic.repository_full",
  ],
  [
    /\(401\)|unauthorized|invalidaccesskeyid|access key id you provided does not exist|signaturedoesnotmatch|signature we calculated does not match|no credentials found|bad_auth_token|invalid_grant|authenticationfailed/i,
    "restic.unauthorised",
  ],
  [/\(403\)|access ?denied|403 forbidden|insufficientaccountpermissions/i, "restic.no_rights"],
  [/x509:/i, "restic.certificate_untrusted"],
  [/no such host|could not resolve hostname/i, "restic.host_unknown"],
  [/parsing repository location failed: invalid backend/i, "restic.backend_unsupported"],
  [/executable file not found/i, "restic.helper_missing"],
  [/repository contains errors/i, "restic.repository_damaged"],
  [/all source directories\/files do not exist/i, "restic.source_missing"],
  [/repository is already locked/i, "restic.repository_locked"],
  [
    /repository does not exist|is there a repository at the following|specified bucket does not exist/i,
    "restic.repository_missing",
  ],
  [
    /connection (refused|reset)|network is unreachable|no route to host|i\/o timeout|handshake timeout|server misbehaving|connection timed out|server gave http response to https client|unexpected http response \(400\)|context deadline exceeded/i,
    "restic.unreachable",
  ],
  [
    /permission denied \(publickey|host key verification failed|error talking http to rclone|didn't find section in config/i,
    "restic.helper_failed",
  ],
];

/** The problem behind a code, with its sentence; for callers that found it out by themselves. */
export function describeProblem(
  code: ResticCode,
  stderrTail: readonly string[] = [],
  exitCode: number | null = null,
  detail?: string,
): ResticProblem {
  const message = detail === undefined ? SENTENCES[code] : `${SENTENCES[code]} (${detail})`;
  return { code, message, stderrTail: stderrTail.map(readable), exitCode };
}

/** A line of stderr for people: JSON unwrapped, escape bytes gone. */
function readable(line: string): string {
  const parsed = parseBackupLine(line);
  if (parsed.kind === "exit_error") return parsed.message;
  if (parsed.kind === "error") return `${stripEscapes(parsed.item)}: ${parsed.message}`;
  return stripEscapes(line);
}

/** What a run's end means. `stderrTail`: the last redacted lines of stderr (see `StderrTail`). */
export function interpretExit(exit: RunExit, stderrTail: readonly string[]): ResticOutcome {
  switch (exit.kind) {
    case "detached":
      return { kind: "detached" };
    case "not_started":
      return { kind: "cancelled" };
    case "vanished":
      if (exit.stopRequested) return { kind: "cancelled" };
      return { kind: "failed", problem: describeProblem("restic.vanished", stderrTail) };
    case "spawn_failed":
      return {
        kind: "failed",
        problem: describeProblem("restic.spawn_failed", stderrTail, null, exit.message),
      };
    case "exited":
      return interpretCode(exit.code, exit.signal, exit.stopRequested, stderrTail);
  }
}

/** What is wrong with a command that ended by itself; undefined when nothing is. */
export function problemOf(
  end: { code: number | null; signal: string | null },
  stderrTail: readonly string[],
): ResticProblem | undefined {
  const meaning = interpretCode(end.code, end.signal, false, stderrTail);
  return meaning.kind === "failed" || meaning.kind === "warning" ? meaning.problem : undefined;
}

function interpretCode(
  code: number | null,
  signal: string | null,
  stopRequested: boolean,
  stderrTail: readonly string[],
): ResticOutcome {
  if (code === 0) return { kind: "ok" };
  if (code === 3) return { kind: "warning", problem: describeProblem("restic.partial", stderrTail, code) };
  // restic exits 1 or 130 after our signal, depending on version and command: only we know that we sent it.
  if (stopRequested) return { kind: "cancelled" };
  if (signal !== null || code === 130 || code === 143) {
    const detail = signal === null ? undefined : `signal ${signal}`;
    return { kind: "failed", problem: describeProblem("restic.killed", stderrTail, code, detail) };
  }
  const known = code === null ? undefined : BY_EXIT_CODE.get(code);
  const found = known ?? recognise(stderrTail);
  if (found !== undefined) return { kind: "failed", problem: describeProblem(found, stderrTail, code) };
  const detail = lastWords(stderrTail) ?? `exit code ${code}`;
  return { kind: "failed", problem: describeProblem("restic.failed", stderrTail, code, detail) };
}

/**
 * The code that restic's own words point to. restic's final words weigh more than what it said on the way (a
 * retry that worked later), and lines about single files do not count: their names may say anything.
 */
export function recognise(stderrTail: readonly string[]): ResticCode | undefined {
  const lines = stderrTail.map(parseBackupLine);
  const final = lines.filter((line) => line.kind === "exit_error").map((line) => line.message);
  const texts = lines
    .filter((line) => line.kind === "text" && !line.text.endsWith("does not exist, skipping"))
    .map((line) => (line.kind === "text" ? line.text : ""))
    .reverse();
  const fatal = texts.filter((text) => text.startsWith("Fatal:"));
  for (const text of [...final, ...fatal, ...texts]) {
    const match = BY_TEXT.find(([pattern]) => pattern.test(text));
    if (match !== undefined) return match[1];
  }
  return undefined;
}

/** restic's own reason in one line, if it gave one. */
function lastWords(stderrTail: readonly string[]): string | undefined {
  for (const line of stderrTail.map(parseBackupLine).reverse()) {
    if (line.kind === "exit_error" && line.message !== "") return line.message;
    if (line.kind === "text" && line.text.startsWith("Fatal:")) return line.text;
  }
  return undefined;
}

/** init on an existing repository: success for us, since the wish was that there be one. */
export function isAlreadyInitialised(stderrTail: readonly string[]): boolean {
  return stderrTail.some((line) => {
    const parsed = parseBackupLine(line);
    const text = parsed.kind === "exit_error" ? parsed.message : parsed.kind === "text" ? parsed.text : "";
    return (
      text.includes("config file already exists") || text.includes("repository master key and config already")
    );
  });
}

const TAIL_LINES = 20;
const TAIL_LINE_CHARS = 2_000;

/** Keeps the last lines of stderr, bounded in number and length. Give it redacted lines only. */
export class StderrTail {
  readonly #lines: string[] = [];

  add(line: string): void {
    if (line.trim() === "") return;
    this.#lines.push(line.length > TAIL_LINE_CHARS ? shorten(line) : line);
    if (this.#lines.length > TAIL_LINES) this.#lines.shift();
  }

  lines(): string[] {
    return [...this.#lines];
  }
}

/** A stack trace makes the final message long; cut as text it would no longer be recognised as final. */
function shorten(line: string): string {
  const parsed = parseBackupLine(line);
  if (parsed.kind !== "exit_error") return `${line.slice(0, TAIL_LINE_CHARS)}…`;
  const message = parsed.message.slice(0, TAIL_LINE_CHARS);
  return JSON.stringify({ message_type: "exit_error", code: parsed.code, message });
}

/** What restic says when a snapshot is not there (any more). */
export function isSnapshotGone(lines: readonly string[]): boolean {
  return lines.some((line) =>
    /(could not find|failed to find|failed to load) snapshot|no matching ID found/i.test(line),
  );
}

/** What restic says of a path that a snapshot does not have. */
export function isPathMissing(lines: readonly string[]): boolean {
  return lines.some((line) => /\bpath .*: (not found|not a directory)/is.test(line));
}
