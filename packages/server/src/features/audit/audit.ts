/**
 * The audit trail: who changed what, and when. An entry is written in the transaction of its change, so neither
 * exists without the other. Nothing here changes or removes an entry, and no entry holds a secret.
 */
import type { Db } from "../../platform/db/db.ts";
import { AppError } from "../../platform/errors.ts";
import type { Actor } from "../../platform/http/identity.ts";
import { newId } from "../../platform/random.ts";
import { findChoices, hasEntry, insertEntry, selectEntries } from "./audit.store.ts";

/** What was changed, with the name that it had then. */
export interface AuditTarget {
  kind: string;
  id: string;
  name: string;
}

export interface NewAuditEntry {
  /** Epoch milliseconds. */
  at: number;
  actor: Actor;
  /** `noun.verb`, such as `host.delete`. */
  action: string;
  target?: AuditTarget;
  /** JSON for a reader who asks what exactly changed. Never a secret; see `withoutSecrets`. */
  payload?: Record<string, unknown>;
}

export interface AuditEntry {
  id: string;
  at: number;
  actor: Actor;
  action: string;
  target: AuditTarget | null;
  payload: Record<string, unknown>;
}

export interface AuditFilter {
  /** The actor's name, exactly. */
  user?: string | undefined;
  action?: string | undefined;
  /** The target's id, or a part of its name in any case. */
  target?: string | undefined;
  /** Epoch milliseconds, inclusive. */
  from?: number | undefined;
  /** Epoch milliseconds, exclusive. */
  to?: number | undefined;
  /** `next` of the page before. */
  before?: string | undefined;
  /** Entries on one page; 50 when absent. */
  limit?: number | undefined;
}

/** Newest first. `next` asks for the following, older page and is null on the last one. */
export interface AuditPage {
  entries: AuditEntry[];
  next: string | null;
}

/** Where a page of entries begins: the last entry of the page before. */
export interface AuditCursor {
  at: number;
  id: string;
}

export interface AuditDeps {
  db: Db;
}

/** One screen of rows; the browser asks for more. */
const defaultLimit = 50;
/** Between two entries of what is recorded sparsely. */
const sparseMs = 60_000;

/**
 * Writes an entry.
 * @param tx the transaction of the change itself
 */
export async function recordAudit(tx: Db, entry: NewAuditEntry): Promise<void> {
  await insertEntry(tx, {
    id: newId(entry.at),
    at: entry.at,
    actor: entry.actor,
    action: entry.action,
    target: entry.target ?? null,
    payload: withoutSecrets(entry.payload ?? {}),
  });
}

/**
 * Writes an entry of what a stranger can do as often as it likes, unless the same was done to the same target less than
 * a minute ago: nobody fills the trail.
 * @param tx the transaction of the change itself
 */
export async function recordAuditSparsely(
  tx: Db,
  entry: NewAuditEntry & { target: AuditTarget },
): Promise<void> {
  const { action, target, at } = entry;
  const recent = { action, targetId: target.id, after: at - sparseMs };
  if (!(await hasEntry(tx, recent))) await recordAudit(tx, entry);
}

/** @throws AppError `audit.cursor_invalid` when `before` is not a `next` of ours */
export async function listAudit(deps: AuditDeps, filter: AuditFilter): Promise<AuditPage> {
  const limit = filter.limit ?? defaultLimit;
  const cursor = filter.before === undefined ? null : parseCursor(filter.before);
  // One more than is shown tells whether an older page exists, without counting the table.
  const found = await selectEntries(deps.db, { ...filter, cursor, limit: limit + 1 });
  const entries = found.slice(0, limit);
  const last = entries.at(-1);
  return { entries, next: found.length > limit && last ? `${last.at}-${last.id}` : null };
}

/** The names and actions that occur, for the filters of the page. */
export function listAuditChoices(deps: AuditDeps): Promise<{ users: string[]; actions: string[] }> {
  return findChoices(deps.db);
}

function parseCursor(text: string): AuditCursor {
  const [, at, id] = /^(\d{1,15})-([0-9A-Z]{26})$/.exec(text) ?? [];
  if (at === undefined || id === undefined) {
    throw new AppError("invalid", "audit.cursor_invalid", "This page of the audit trail does not exist.");
  }
  return { at: Number(at), id };
}

const secretName =
  /pass(word|phrase)|secret|token|bearer|credential|authorization|cookie|csrf|private|api_?key/i;
// No class holds a slash, so the search stays linear however long and odd a path is.
const passwordInUrl = /(\/\/[^\s/:@]*):[^\s/@]*@/g;

/**
 * A second line of defence, for callers must not hand in secrets: values under a telling name are cut out, and so
 * are passwords in URLs. Flags stay, for `rest_password_changed: true` is worth knowing.
 */
export function withoutSecrets(payload: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(payload).map(([name, value]) => [name, redact(name, value)]));
}

function redact(name: string, value: unknown): unknown {
  if (value === null || typeof value === "boolean") return value;
  if (secretName.test(name)) return "[redacted]";
  if (typeof value === "string") return value.replace(passwordInUrl, "$1:[redacted]@");
  if (Array.isArray(value)) return value.map((item) => redact("", item));
  if (typeof value === "object") return withoutSecrets(value as Record<string, unknown>);
  return value;
}
