/** What people do to a rotation: start it, confirm what can't be undone, try again, stop it. */
import type { Clock } from "../../platform/clock.ts";
import { type Db, inTransaction } from "../../platform/db/db.ts";
import { AppError, invalidFields } from "../../platform/errors.ts";
import type { EventBus } from "../../platform/events.ts";
import type { Actor } from "../../platform/http/identity.ts";
import { newId, newPassword } from "../../platform/random.ts";
import type { SecretBox } from "../../platform/secrets.ts";
import { recordAudit } from "../audit/audit.ts";
import { getHost, type Host, listHostsOfRepository } from "../hosts/hosts.ts";
import {
  findAccess,
  findRepository,
  lockRepository,
  noCredentials,
  refuseSwapped,
} from "../repositories/repositories.ts";
import * as store from "./rotation.store.ts";
import { idleTask, passwordPlace, type Rotation, type RotationKey } from "./rotation-state.ts";
import { rotationChanged } from "./rotation-watch.ts";

export interface RotationDeps {
  db: Db;
  box: SecretBox;
  clock: Clock;
  bus: EventBus;
}

/** A host and the repository that it backs up to. @throws AppError `hosts.not_found`, `repositories.no_credentials` */
export async function hostAndRepository(
  db: Db,
  hostId: string,
): Promise<{ host: Host; repositoryId: string }> {
  const host = await getHost(db, hostId);
  if (host.repositoryId === null) throw noCredentials();
  return { host, repositoryId: host.repositoryId };
}

const maxPasswordChars = 1024;

/** Why this can't be a new password; null when it can. restic trims the file that it reads a new one from. */
export function passwordProblem(password: string): string | null {
  if (password === "") return "This can't be empty.";
  if (password.length > maxPasswordChars) return `At most ${maxPasswordChars} characters, please.`;
  if (/[\p{Cc}\p{Cs}]/u.test(password)) return "Control characters can't be part of this.";
  return password.trim() === password ? null : "It can't begin or end with a blank: restic would drop that.";
}

/**
 * Starts a rotation of the repository that the host backs up to.
 * @param input.password absent: a strong one is made
 * @returns the password, if we made it; it is told nowhere else
 * @throws AppError as hostAndRepository, `repositories.swapped`, `rotation.invalid`, `rotation.running`
 */
export async function startRotation(
  deps: RotationDeps,
  input: { hostId: string; password?: string | undefined; actor: Actor },
): Promise<{ password: string | null }> {
  const { db, box, clock, bus } = deps;
  const { hostId, actor } = input;
  const problem = input.password === undefined ? null : passwordProblem(input.password);
  if (problem !== null) throw invalidFields("rotation.invalid", [{ path: "password", message: problem }]);
  const password = input.password ?? newPassword();
  const at = clock.now();
  const repositoryId = await inTransaction(db, async (tx) => {
    const { host, repositoryId } = await hostAndRepository(tx, hostId);
    await lockRepository(tx, repositoryId);
    refuseSwapped(await findRepository(tx, repositoryId));
    if (await store.findActive(tx, repositoryId)) throw running();
    if (await isEverywhere(tx, box, repositoryId, password)) {
      const message = "Every host that shares this repository has this password already. Choose another one.";
      throw invalidFields("rotation.invalid", [{ path: "password", message }]);
    }
    const id = newId(at);
    const sealedPassword = box.seal(password, passwordPlace(id));
    const before = await listLeftKeys(tx, repositoryId);
    const shared = { id, repositoryId, sealedPassword, actor, ...idleTask };
    await store.insertRotation(tx, {
      ...shared,
      ...{ state: "adding", startedAt: at, changedAt: at, endedAt: null },
    });
    for (const key of before) await store.putKey(tx, id, { ...key, role: "old" });
    const payload = {
      repository_id: repositoryId,
      rotation_id: id,
      made_by_us: input.password === undefined,
    };
    await recordAudit(tx, {
      at,
      actor,
      action: "repository.rotation_start",
      target: targetOf(host),
      payload,
    });
    return repositoryId;
  });
  bus.emit(rotationChanged, { repositoryId });
  return { password: input.password === undefined ? password : null };
}

/** What an earlier rotation left of ours. One that was stopped may have keys that no host uses any more. */
async function listLeftKeys(tx: Db, repositoryId: string): Promise<RotationKey[]> {
  const last = await store.findRotation(tx, repositoryId);
  const keys = last ? await store.listKeys(tx, last.id) : [];
  return keys.filter(({ role, removedAt }) => role !== "other" && removedAt === null);
}

async function isEverywhere(
  tx: Db,
  box: SecretBox,
  repositoryId: string,
  password: string,
): Promise<boolean> {
  for (const { id } of await listHostsOfRepository(tx, repositoryId)) {
    for (const slot of ["everyday", "admin"] as const) {
      const stored = await findAccess(tx, box, id, slot);
      if (stored && stored.access.password !== password) return false;
    }
  }
  return true;
}

const targetOf = ({ id, name }: Host) => ({ kind: "host", id, name });

/**
 * Removes the old keys, which can't be undone: only with the new password is the repository read from then on.
 * @throws AppError as hostAndRepository, `rotation.not_running`, `rotation.not_ready`, `rotation.not_confirmed`
 */
export function removeOldKeys(
  deps: RotationDeps,
  input: { hostId: string; confirmed: boolean; actor: Actor },
): Promise<void> {
  return decide(deps, input, "rotation_remove", async (_tx, rotation) => {
    if (rotation.state !== "ready") {
      const message = "Old keys are removed once every host uses the new password. Wait until then.";
      throw new AppError("conflict", "rotation.not_ready", message);
    }
    if (!input.confirmed) {
      const message = "Confirm that the new password is stored where you find it without this server.";
      throw invalidFields("rotation.not_confirmed", [{ path: "confirmed", message }]);
    }
    return { ...rotation, state: "removing", ...idleTask };
  });
}

/**
 * Ends a rotation before its time. Hosts that have the new password keep it; both passwords go on opening the repository.
 * @throws AppError as hostAndRepository, `rotation.not_running`, `rotation.removing`
 */
export function stopRotation(deps: RotationDeps, input: { hostId: string; actor: Actor }): Promise<void> {
  return decide(deps, input, "rotation_stop", async (_tx, rotation) => {
    if (rotation.state === "removing" && rotation.jobId !== null) throw removing();
    const endedAt = deps.clock.now();
    return { ...rotation, state: "stopped", ...idleTask, sealedPassword: null, endedAt };
  });
}

/** Tries again what failed, now. @throws AppError as hostAndRepository, `rotation.not_running` */
export function retryRotation(deps: RotationDeps, input: { hostId: string; actor: Actor }): Promise<void> {
  return decide(deps, input, "rotation_retry", async (tx, rotation) => {
    for (const access of await store.listAccesses(tx, rotation.id))
      if (access.problem !== null) await store.putAccess(tx, rotation.id, { ...access, ...idleTask });
    return rotation.problem === null ? rotation : { ...rotation, ...idleTask };
  });
}

async function decide(
  deps: RotationDeps,
  { hostId, actor }: { hostId: string; actor: Actor },
  action: string,
  change: (tx: Db, rotation: Rotation) => Promise<Rotation>,
): Promise<void> {
  const at = deps.clock.now();
  const repositoryId = await inTransaction(deps.db, async (tx) => {
    const { host, repositoryId } = await hostAndRepository(tx, hostId);
    await lockRepository(tx, repositoryId);
    const rotation = await store.findActive(tx, repositoryId);
    if (!rotation) throw notRunning();
    const after = await change(tx, rotation);
    await store.updateRotation(tx, rotation, { ...after, changedAt: at });
    const payload = { repository_id: repositoryId, rotation_id: rotation.id };
    await recordAudit(tx, { at, actor, action: `repository.${action}`, target: targetOf(host), payload });
    return repositoryId;
  });
  deps.bus.emit(rotationChanged, { repositoryId });
}

/**
 * Refuses an edit of a password or an address while old keys are being removed: it could bring one of them back.
 * @param edited.repositoryId where the host backs up to after it; null: unchanged
 * @throws AppError `rotation.removing`
 */
export async function refuseRotationEdit(
  tx: Db,
  edited: { hostId: string; repositoryId: string | null },
): Promise<void> {
  const repositoryId = edited.repositoryId ?? (await getHost(tx, edited.hostId)).repositoryId;
  if (repositoryId === null) return;
  // In turn with the look that would begin to remove.
  await lockRepository(tx, repositoryId);
  const rotation = await store.findActive(tx, repositoryId);
  if (rotation?.state === "removing" && rotation.jobId !== null) throw removing();
}

/**
 * A repository made anew has one key, of the host that made it: not while others are given another password.
 * @throws AppError `rotation.running`
 */
export async function refuseInitWhileRotating(db: Db, host: Pick<Host, "repositoryId">): Promise<void> {
  if (host.repositoryId !== null && (await store.findActive(db, host.repositoryId))) throw running();
}

const removing = (): AppError =>
  new AppError(
    "conflict",
    "rotation.removing",
    "The repository's old keys are being removed at this moment. Wait until that is done, or cancel its job.",
  );

const running = (): AppError =>
  new AppError(
    "conflict",
    "rotation.running",
    "The password of this repository is being replaced already. Go on with that, or stop it first.",
  );

const notRunning = (): AppError =>
  new AppError("conflict", "rotation.not_running", "No rotation of this repository's password is under way.");
