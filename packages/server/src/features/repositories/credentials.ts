/**
 * Editing a host's credentials, everyday and admin. What is not given is kept; the audit trail names fields only.
 * Hosts are plain ids here; what must be known of them is handed in.
 */
import { z } from "zod";
import type { Clock } from "../../platform/clock.ts";
import { type Db, inTransaction } from "../../platform/db/db.ts";
import { AppError } from "../../platform/errors.ts";
import { type EventBus, sharedTopic } from "../../platform/events.ts";
import type { Actor } from "../../platform/http/identity.ts";
import type { SecretBox } from "../../platform/secrets.ts";
import { recordAudit } from "../audit/audit.ts";
import {
  findAdminAccess,
  findEverydayAccess,
  type RedactedCredentials,
  redactedAdminCredentials,
  redactedCredentials,
  saveAccess,
  saveEverydayAccess,
} from "./access.ts";
import { type AccessEdit, applyEdit, differingFields, inheritedByAdmin } from "./edit-access.ts";
import { deleteCredentials, ensureRepository } from "./repositories.store.ts";

/** A host's credentials were edited; its agent should get them at once. */
export const credentialsChanged = sharedTopic("repositories.credentials_changed", {
  payload: z.object({ hostId: z.string() }),
});

/** What this slice needs of hosts, handed in by the composition root: both slices have one rank. */
export interface HostLink {
  /** The host's name. MUST throw `hosts.not_found` for an unknown id. */
  nameOf(db: Db, hostId: string): Promise<string>;
  setRepository(tx: Db, hostId: string, repositoryId: string): Promise<void>;
}

export interface RepositoriesDeps {
  db: Db;
  box: SecretBox;
  clock: Clock;
  events: EventBus;
  hosts: HostLink;
  /**
   * MUST throw while a change of password or address could leave the host with a key that is about to go. Absent:
   * nothing forbids it. `repositoryId` is where the host backs up to afterwards; null for an admin credential.
   */
  refuseEdit?(tx: Db, edited: { hostId: string; repositoryId: string | null }): Promise<void>;
}

export interface CredentialsEdit extends AccessEdit {
  hostId: string;
  actor: Actor;
}

/**
 * Changes the credentials of a host; nothing happens when nothing differs. The audit entry names the fields only.
 * @throws AppError `hosts.not_found`, `repositories.location_invalid`, `repositories.credentials_invalid`, or
 *   `repositories.edit_conflict` when somebody else edited at the same moment
 */
export async function editCredentials(
  deps: RepositoriesDeps,
  edit: CredentialsEdit,
): Promise<RedactedCredentials> {
  const { db, box, clock, events, hosts } = deps;
  const { hostId, actor } = edit;
  const changed = await inTransaction(db, async (tx) => {
    const name = await hosts.nameOf(tx, hostId);
    const stored = await findEverydayAccess(tx, box, hostId);
    const before = stored?.access ?? null;
    const after = applyEdit(before, edit);
    const fields = differingFields(before, after);
    if (fields.length === 0) return false;
    const at = clock.now();
    const repository = await ensureRepository(tx, after.location, at);
    await deps.refuseEdit?.(tx, { hostId, repositoryId: repository.id });
    const replaces = stored ? { replaces: stored.version } : {};
    await saveEverydayAccess(tx, box, { hostId, access: after, at, ...replaces });
    await hosts.setRepository(tx, hostId, repository.id);
    const target = { kind: "host", id: hostId, name };
    const payload = { fields };
    await recordAudit(tx, { at, actor, action: "repository.credentials_edit", target, payload });
    if (before && before.location !== after.location) await dropAdmin(tx, { at, actor, target });
    return true;
  });
  if (changed) events.emit(credentialsChanged, { hostId });
  const shown = await redactedCredentials(db, box, hostId);
  if (!shown) throw noCredentials();
  return shown;
}

/**
 * Sets or changes what may delete in the host's repository. What was never given is as in the everyday credentials,
 * whoever signs in aside; the location may be another address of the same repository.
 * @throws AppError as editCredentials
 */
export async function editAdminCredentials(
  deps: RepositoriesDeps,
  edit: CredentialsEdit,
): Promise<RedactedCredentials> {
  const { db, box, clock, hosts } = deps;
  const { hostId, actor } = edit;
  await inTransaction(db, async (tx) => {
    const name = await hosts.nameOf(tx, hostId);
    const stored = await findAdminAccess(tx, box, hostId);
    const everyday = (await findEverydayAccess(tx, box, hostId))?.access;
    const after = applyEdit(stored?.access ?? (everyday ? inheritedByAdmin(everyday) : null), edit);
    const fields = differingFields(stored?.access ?? null, after);
    if (fields.length === 0) return;
    const at = clock.now();
    await deps.refuseEdit?.(tx, { hostId, repositoryId: null });
    const replaces = stored ? { replaces: stored.version } : {};
    await saveAccess(tx, box, "admin", { hostId, access: after, at, ...replaces });
    const target = { kind: "host", id: hostId, name };
    await recordAudit(tx, {
      ...{ at, actor, action: "repository.admin_credentials_edit", target },
      payload: { fields },
    });
  });
  const shown = await redactedAdminCredentials(db, box, hostId);
  if (!shown) throw noAdminCredentials();
  return shown;
}

/** Forgets what may delete; idempotent. @throws AppError `hosts.not_found` */
export async function removeAdminCredentials(
  deps: RepositoriesDeps,
  input: { hostId: string; actor: Actor },
): Promise<void> {
  const { hostId, actor } = input;
  await inTransaction(deps.db, async (tx) => {
    const target = { kind: "host", id: hostId, name: await deps.hosts.nameOf(tx, hostId) };
    await dropAdmin(tx, { at: deps.clock.now(), actor, target });
  });
}

/** Also when the host moves to another place: what deletes in one repository has no business in the next. */
async function dropAdmin(
  tx: Db,
  input: { at: number; actor: Actor; target: { kind: string; id: string; name: string } },
): Promise<void> {
  if (!(await deleteCredentials(tx, input.target.id, "admin"))) return;
  await recordAudit(tx, { ...input, action: "repository.admin_credentials_remove", payload: {} });
}

/** The refusal for a host that was never given credentials. */
export const noCredentials = (): AppError =>
  new AppError("not_found", "repositories.no_credentials", "This host has no repository credentials yet.");

/** The refusal for a host that was never given admin credentials. */
export const noAdminCredentials = (): AppError =>
  new AppError(
    "not_found",
    "repositories.no_admin_credentials",
    "This host has no admin credentials for its repository.",
  );
