/**
 * restic's repository strings: which ones we take, and the one spelling that is a repository's identity.
 * User info of a `rest:` URL is taken out, because the location is shown, logged and compared; every other
 * backend that needs a secret reads it elsewhere, so a password in its URL is refused.
 * A location MUST mean the same whatever the agent's working folder is: no relative path passes.
 * Source of the forms: restic's documentation, "Preparing a new repository".
 */
import { posix, win32 } from "node:path";

/** A location without secrets, and the credentials that its URL carried. */
export interface ParsedLocation {
  /** Normalised: scheme and host in lower case, no default port, no trailing slash. */
  location: string;
  username: string | null;
  password: string | null;
}

/** What was read, or the sentence that says what is wrong. Never repeats the input: it may hold a password. */
export type LocationReading = ParsedLocation | { problem: string };

/** The longest that the protocol carries. */
const maxLength = 2048;

const examples =
  "such as rest:https://backup.example.org:8000/web-01, s3:https://s3.example.org/bucket, sftp:user@host:/srv/restic or /srv/restic";

type Reader = (rest: string) => LocationReading;

const plain = (location: string): ParsedLocation => ({ location, username: null, password: null });
const problem = (sentence: string): { problem: string } => ({ problem: sentence });

/** Reads what a person typed. */
export function readLocation(typed: string): LocationReading {
  const text = typed.trim();
  if (text === "") return problem(`A repository location is needed, ${examples}.`);
  if (text.length > maxLength) return problem(`A repository location has at most ${maxLength} characters.`);
  if (/[\p{Cc}\p{Cs}]/u.test(text)) return problem("A repository location can't hold control characters.");
  const local = readLocalPath(text);
  if (local !== null) return plain(local);
  const [, scheme = "", rest = ""] = /^([A-Za-z0-9]+):(.*)$/.exec(text) ?? [];
  const reading = readers.get(scheme.toLowerCase())?.(rest) ?? problem(explain(scheme));
  // Normalising can lengthen a URL, because it escapes what needs it.
  if ("location" in reading && reading.location.length > maxLength) {
    return problem(`A repository location has at most ${maxLength} characters.`);
  }
  // A path of blanks alone would be another one with the next reading.
  if ("location" in reading && reading.location !== reading.location.trim()) return problem(explain(scheme));
  return reading;
}

function explain(scheme: string): string {
  if (/^swift$/i.test(scheme))
    return "OpenStack Swift is not supported by itself. Set it up in the host's rclone and use rclone:remote:path.";
  if (/^https?$/i.test(scheme)) {
    return "For a rest-server write rest: in front of the URL, such as rest:https://backup.example.org:8000/web-01; for S3 write s3: in front.";
  }
  return `Write a restic location with its scheme, ${examples}. A local path must be absolute.`;
}

/** Whether a location is a path: another place on every host, unless both have mounted the same there. */
export const isLocalLocation = (location: string): boolean => readLocalPath(location) !== null;

/** An absolute path of Linux or Windows, normalised; null when it is none. */
function readLocalPath(text: string): string | null {
  const path = normalizeLocalPath(text);
  // Blanks that went may have left a `..` behind.
  return path === null || path === text ? path : readLocalPath(path);
}

function normalizeLocalPath(text: string): string | null {
  if (text.startsWith("/")) return withoutTrailingSlash(posix.normalize(text));
  if (/^[A-Za-z]:[\\/]/.test(text)) {
    const normal = win32.normalize(text);
    const drive = normal.slice(0, 3).toUpperCase();
    return `${drive}${normal.slice(3).replace(/[\\\s]+$/, "")}`;
  }
  if (/^\\\\[^\\/]+[\\/][^\\/]+/.test(text)) return win32.normalize(text).replace(/[\\\s]+$/, "");
  return null;
}

/** Blanks go too, or the next reading would trim them and find another slash. */
const withoutTrailingSlash = (path: string): string => path.replace(/(?<=.)[/\s]+$/, "");

const readers = new Map<string, Reader>([
  ["local", readLocal],
  ["rest", readRest],
  ["sftp", readSftp],
  ["s3", readS3],
  ["b2", readBucket("b2", "b2:bucket:path")],
  ["azure", readBucket("azure", "azure:container:/path")],
  ["gs", readBucket("gs", "gs:bucket:/path")],
  ["rclone", readRclone],
]);

function readLocal(rest: string): LocationReading {
  const path = readLocalPath(rest);
  if (path !== null) return plain(path);
  return problem("A local repository needs an absolute path, such as /srv/restic or C:\\restic.");
}

/** A URL that only names a place: no query, no fragment. */
function readUrl(text: string): URL | null {
  const url = URL.parse(text);
  if (!url || !/^https?:$/.test(url.protocol) || url.hostname === "") return null;
  return url.search === "" && url.hash === "" && !/[?#]$/.test(text) ? url : null;
}

/** Scheme, host and path; the URL class has already lowered the case and dropped a default port. */
const placeOf = (url: URL): string => `${url.protocol}//${url.host}${url.pathname.replace(/\/+$/, "")}`;

function readRest(rest: string): LocationReading {
  const wrong = problem("A rest-server's location looks like rest:https://backup.example.org:8000/web-01.");
  // The URL class would forgive a missing slash and read another host than restic does.
  const url = /^https?:\/\/[^/]/i.test(rest) ? readUrl(rest) : null;
  if (!url) return wrong;
  const username = decode(url.username);
  const password = decode(url.password);
  if (username === null || password === null) return wrong;
  return { location: `rest:${placeOf(url)}`, username: username || null, password: password || null };
}

/** Undoes percent encoding; null when it is broken or hides a control character. */
function decode(text: string): string | null {
  try {
    const decoded = decodeURIComponent(text);
    return /\p{Cc}/u.test(decoded) ? null : decoded;
  } catch {
    return null;
  }
}

/** restic hands user and host to ssh as arguments of their own: none may be read as an option. */
const sshWords = /^(?:[^-\s][^\s]*@)?(?:[A-Za-z0-9][\w.-]*|\[[0-9A-Fa-f:.]+\])$/;

function readSftp(rest: string): LocationReading {
  const wrong = problem(
    "An SFTP location looks like sftp:user@host:/srv/restic or sftp://user@host:2222//srv/restic, without a password: the host signs in with its SSH key.",
  );
  const asUrl = /^\/\/(?:([^@/:]+)@)?([^@/:]+|\[[0-9A-Fa-f:.]+\])(?::(\d{1,5}))?\/(.+)$/.exec(rest);
  const asScp = /^(?:([^@/:]+)@)?([^@/:]+|\[[0-9A-Fa-f:.]+\]):(.+)$/.exec(rest);
  const found = asUrl ?? asScp;
  // `user:password@host:/path` would pass as a host called user.
  if (!found || (!asUrl && /^[^/]*@/.test(found.at(-1) ?? ""))) return wrong;
  const [, user, host = ""] = found;
  if (!sshWords.test(`${user === undefined ? "" : `${user}@`}${host}`)) return wrong;
  const path = withoutTrailingSlash(found.at(-1) ?? "");
  const name = `${user === undefined ? "" : `${user}@`}${host.toLowerCase()}`;
  if (!asUrl) return plain(`sftp:${name}:${path}`);
  const port = found[3] === undefined || found[3] === "22" ? "" : `:${found[3]}`;
  return plain(`sftp://${name}${port}/${path}`);
}

const s3Place = /^(?:\/\/)?((?:[^\s/@:]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?)\/+([^/].*)$/;

function readS3(rest: string): LocationReading {
  const wrong = problem(
    "An S3 location looks like s3:https://s3.example.org/bucket/path or s3:s3.example.org/bucket, without keys: the agent's environment has those.",
  );
  if (/^https?:\/\//i.test(rest)) {
    const url = readUrl(rest);
    if (url?.username !== "" || url.password !== "" || !/^\/+[^/]/.test(url.pathname)) return wrong;
    return plain(`s3:${placeOf(url)}`);
  }
  // Not a URL for restic either: the bucket and path are taken as they are, without percent escapes.
  const [, host, path = ""] = s3Place.exec(rest) ?? [];
  if (host === undefined) return wrong;
  return plain(`s3:${host.toLowerCase().replace(/:443$/, "")}/${withoutTrailingSlash(path)}`);
}

/**
 * A remote of the host's own rclone configuration. Options after its name are refused, for some of them name a
 * program to run (https://rclone.org/docs/#connection-strings).
 */
function readRclone(rest: string): LocationReading {
  const [, name, path = ""] = /^([\p{L}\p{N}_][\p{L}\p{N}_. +@-]*):(.*)$/u.exec(rest) ?? [];
  if (name === undefined) return problem("This location must look like rclone:remote:path.");
  return plain(`rclone:${name}:${withoutTrailingSlash(path)}`);
}

/** `name` or `name:path`, as the object stores spell it. */
function readBucket(scheme: string, form: string): Reader {
  return (rest) => {
    const [, name, path] = /^([^:/\\@]+)(?::(.*))?$/.exec(rest) ?? [];
    if (name === undefined) return problem(`This location must look like ${form}.`);
    return plain(`${scheme}:${name}${path === undefined ? "" : `:${withoutTrailingSlash(path)}`}`);
  };
}
