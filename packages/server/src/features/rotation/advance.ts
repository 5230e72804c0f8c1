/**
 * One look at a rotation: who shares the repository now, what has ended since, and what comes next. Invariants: it runs in
 * one transaction that holds the repository's row, so several servers claim a step once; a stored password is replaced
 * only after a host opened the repository with the new one over exactly that access; old keys are removed only while
 * every access is verified in the version that is stored.
 */
import type { RepositoryKey } from "@restic-manager/protocol";
import { fromInstant } from "../../platform/clock.ts";
import type { Db } from "../../platform/db/db.ts";
import { type Actor, systemActor } from "../../platform/http/identity.ts";
import { newId } from "../../platform/random.ts";
import type { SecretBox } from "../../platform/secrets.ts";
import { recordAudit } from "../audit/audit.ts";
import { type Host, listHostsOfRepository } from "../hosts/hosts.ts";
import { findJob, insertNewJob, isFinal, type Job } from "../jobs/jobs.ts";
import { accessVersion, lockRepository, replacePassword, type Slot } from "../repositories/repositories.ts";
import * as store from "./rotation.store.ts";
import {
  type AccessRow,
  failedTask,
  findingOf,
  idleTask,
  mayStart,
  type Problem,
  passwordPlace,
  type Rotation,
} from "./rotation-state.ts";

const rotationActor: Actor = { kind: "system", id: null, name: "rotation" };
const slots: readonly Slot[] = ["everyday", "admin"];

export interface AdvanceDeps {
  box: SecretBox;
  now: number;
  isConnected(hostId: string): boolean;
}

/** What the look did; to be told after the commit. */
export interface Advanced {
  jobs: Job[];
  /** Whose everyday password was replaced. */
  switched: string[];
  /** Whether another look at once may find more to do. */
  changed: boolean;
}

/** A look while it is made. */
interface Look extends AdvanceDeps {
  tx: Db;
  rotation: Rotation;
  /** The hosts that share the repository, the first that was added first. */
  sharers: Host[];
  advanced: Advanced;
}

export async function advance(tx: Db, deps: AdvanceDeps, repositoryId: string): Promise<Advanced> {
  await lockRepository(tx, repositoryId);
  const rotation = await store.findActive(tx, repositoryId);
  const advanced: Advanced = { jobs: [], switched: [], changed: false };
  if (!rotation) return advanced;
  const look = { ...deps, tx, rotation, sharers: await listHostsOfRepository(tx, repositoryId), advanced };
  await settleAll(look);
  await meetSharers(look);
  await goOn(look);
  return advanced;
}

/** Writes the rotation as it is from now on. */
async function become(look: Look, change: Partial<Rotation>): Promise<void> {
  const after = { ...look.rotation, ...change, changedAt: look.now };
  if (!(await store.updateRotation(look.tx, look.rotation, after)))
    throw new Error("a rotation changed although its repository is held");
  look.rotation = after;
  look.advanced.changed = true;
}

async function save(look: Look, access: AccessRow): Promise<void> {
  await store.putAccess(look.tx, look.rotation.id, access);
  look.advanced.changed = true;
}

/** In the audit trail; @param host null: the repository's first */
async function note(
  look: Look,
  action: string,
  payload: Record<string, unknown>,
  host: Host | null,
): Promise<void> {
  const about = host ?? look.sharers[0];
  await recordAudit(look.tx, {
    ...{ at: look.now, actor: systemActor, action: `repository.${action}` },
    ...(about ? { target: { kind: "host", id: about.id, name: about.name } } : {}),
    payload: { repository_id: look.rotation.repositoryId, rotation_id: look.rotation.id, ...payload },
  });
}

/** Takes in the jobs that have ended. */
async function settleAll(look: Look): Promise<void> {
  if (look.rotation.jobId !== null) await settleKeys(look, look.rotation.jobId);
  for (const access of await store.listAccesses(look.tx, look.rotation.id)) {
    if (access.jobId === null) continue;
    const job = await findJob(look.tx, access.jobId);
    if (job && !isFinal(job.status)) continue;
    await save(look, job ? await settleAccess(look, access, job) : { ...access, ...idleTask });
  }
}

/** The job that adds or removes keys for all. */
async function settleKeys(look: Look, jobId: string): Promise<void> {
  const { rotation, now } = look;
  const job = await findJob(look.tx, jobId);
  if (job && !isFinal(job.status)) return;
  if (!job) return become(look, idleTask);
  // Also a removal that failed half-way tells what is left.
  if (job.result?.kind === "key") await noteKeys(look, job.result.keys, {});
  const finding = findingOf(job);
  if (!("keys" in finding)) {
    const name = look.sharers.find(({ id }) => id === job.hostId)?.name ?? "a removed host";
    const task = failedTask({ ...finding, message: `On ${name}: ${finding.message}` }, now);
    // What needs a person goes back to where a person decides.
    const back = rotation.state === "removing" && task.retryAt === null ? { state: "ready" as const } : {};
    return become(look, { ...task, ...back });
  }
  const { keys, current_key_id: oldId, new_key_id: newId } = finding;
  if (rotation.state === "adding") {
    if (newId === null) return become(look, failedTask(noAnswer, now));
    await noteKeys(look, keys, { oldId, newId });
  }
  // With `switching` it is looked once more whether every access is verified; then nothing old is left, and it ends.
  await become(look, { ...idleTask, state: "switching" });
}

const noAnswer: Problem = {
  code: "rotation.no_answer",
  message: "restic did not tell the id of the new key. It is looked for again.",
};

async function settleAccess(look: Look, access: AccessRow, job: Job): Promise<AccessRow> {
  const finding = findingOf(job);
  if (!("keys" in finding)) return { ...access, ...failedTask(finding, look.now) };
  const { keys, current_key_id: currentId, new_key_id: newId } = finding;
  if (access.step === "adopt") {
    if (newId === null) return { ...access, ...failedTask(noAnswer, look.now) };
    await noteKeys(look, keys, { oldId: currentId, newId });
    return switchAccess(look, access);
  }
  await noteKeys(look, keys, {});
  const known = await store.listKeys(look.tx, look.rotation.id);
  const isNew = known.some(({ id, role }) => id === currentId && role === "new");
  if (isNew) return { ...access, ...idleTask, step: "verified" };
  const message =
    "The agent still opens the repository with another key than the new one. It is asked again.";
  return { ...access, ...failedTask({ code: "rotation.not_verified", message }, look.now) };
}

/** The host has shown that the new password opens the repository for this access: it is stored in place of the old. */
async function switchAccess(look: Look, access: AccessRow): Promise<AccessRow> {
  const { tx, box, now, rotation } = look;
  const { hostId, slot, version } = access;
  const host = look.sharers.find(({ id }) => id === hostId);
  const password = box.open(rotation.sealedPassword ?? "", passwordPlace(rotation.id));
  const stored = host && (await replacePassword(tx, box, { hostId, slot, version, password, at: now }));
  // Somebody edited it meanwhile: what was found out is about another access.
  if (!host || typeof stored !== "number") return { ...access, ...idleTask };
  if (stored !== version) await note(look, "rotation_host", { slot }, host);
  if (slot === "everyday") look.advanced.switched.push(hostId);
  // The admin access is on no host: what was just tried is all that there is to verify.
  const step = slot === "everyday" ? "verify" : "verified";
  return { ...access, ...idleTask, step, version: stored };
}

/** What a job listed. A key that is the new one never becomes an old one. */
async function noteKeys(
  look: Look,
  listed: readonly RepositoryKey[],
  seen: { oldId?: string | null; newId?: string },
): Promise<void> {
  const { tx, now } = look;
  const rotationId = look.rotation.id;
  const known = new Map((await store.listKeys(tx, rotationId)).map((key) => [key.id, key]));
  for (const { id, username, hostname, created_at } of listed) {
    const before = known.get(id)?.role ?? "other";
    const isOld = id === seen.oldId && before !== "new";
    const role = id === seen.newId ? "new" : isOld ? "old" : before;
    const createdAt = created_at === null ? null : fromInstant(created_at);
    await store.putKey(tx, rotationId, { id, role, username, hostname, createdAt, removedAt: null });
    known.delete(id);
  }
  for (const gone of known.values()) {
    if (gone.role === "other") await store.deleteKey(tx, rotationId, gone.id);
    else if (gone.removedAt === null) await store.putKey(tx, rotationId, { ...gone, removedAt: now });
  }
}

/** Every access of every host that shares the repository now has its row, in the version that is stored now. */
async function meetSharers(look: Look): Promise<void> {
  const { tx, rotation, sharers } = look;
  const rows = new Map((await store.listAccesses(tx, rotation.id)).map((row) => [keyOf(row), row]));
  for (const { id: hostId } of sharers) {
    for (const slot of slots) {
      const version = await accessVersion(tx, hostId, slot);
      if (version === null) continue;
      const row = rows.get(keyOf({ hostId, slot }));
      rows.delete(keyOf({ hostId, slot }));
      const isKnown = row !== undefined && (row.version === version || row.jobId !== null);
      if (!isKnown) await save(look, { hostId, slot, step: "adopt", version, ...idleTask });
    }
  }
  for (const gone of rows.values()) {
    await store.deleteAccess(tx, rotation.id, gone);
    look.advanced.changed = true;
  }
}

const keyOf = ({ hostId, slot }: Pick<AccessRow, "hostId" | "slot">): string => `${hostId} ${slot}`;

/** Gives every task that may start its job, and moves on where all are done. */
async function goOn(look: Look): Promise<void> {
  if (look.sharers.length === 0) return end(look, "stopped", "rotation_stop", { reason: "no_host" });
  if (look.rotation.state === "adding") return startForAll(look, "add");
  const accesses = await store.listAccesses(look.tx, look.rotation.id);
  const isVerified = accesses.every(({ step }) => step === "verified");
  if (look.rotation.state === "removing" && (isVerified || look.rotation.jobId !== null))
    return startForAll(look, "remove");
  if (!isVerified) {
    if (look.rotation.state !== "switching") await become(look, { state: "switching" });
    return startAccesses(look, accesses);
  }
  if (look.rotation.state !== "switching") return;
  const keys = await store.listKeys(look.tx, look.rotation.id);
  const old = keys.filter(({ role, removedAt }) => role === "old" && removedAt === null);
  if (old.length > 0) {
    await become(look, { state: "ready" });
    return note(look, "rotation_ready", { old_keys: old.map(({ id }) => id) }, null);
  }
  const removed = keys.filter(({ role }) => role === "old").map(({ id }) => id);
  await end(look, "done", "rotation_done", { removed_keys: removed });
}

async function end(
  look: Look,
  state: "done" | "stopped",
  action: string,
  payload: Record<string, unknown>,
): Promise<void> {
  await become(look, { state, ...idleTask, sealedPassword: null, endedAt: look.now });
  await note(look, action, payload, null);
}

/** The job that adds or removes keys: on one host for all, one that may delete where there is one. */
async function startForAll(look: Look, step: "add" | "remove"): Promise<void> {
  const { tx, rotation, now } = look;
  if (!mayStart(rotation, now)) return;
  const accesses = await store.listAccesses(tx, rotation.id);
  const has = (host: Host, slot: Slot) =>
    accesses.some((access) => access.hostId === host.id && access.slot === slot);
  const here = look.sharers.filter((host) => look.isConnected(host.id) && has(host, "everyday"));
  const host = step === "remove" ? (here.find((one) => has(one, "admin")) ?? here[0]) : here[0];
  if (!host) return;
  const keys = (await store.listKeys(tx, rotation.id)).filter(
    ({ role, removedAt }) => role === "old" && removedAt === null,
  );
  if (step === "remove" && keys.length === 0) return become(look, { state: "switching", ...idleTask });
  const ids = step === "remove" ? { key_ids: keys.map(({ id }) => id) } : {};
  const job = await insertKeyJob(look, host, { kind: "key", step, ...ids });
  await become(look, { ...idleTask, jobId: job.id });
}

async function startAccesses(look: Look, accesses: readonly AccessRow[]): Promise<void> {
  for (const access of accesses) {
    if (access.step === "verified" || !mayStart(access, look.now)) continue;
    const host = look.sharers.find(({ id }) => id === access.hostId);
    if (!host || !look.isConnected(host.id)) continue;
    const job = await insertKeyJob(look, host, { kind: "key", step: access.step });
    await save(look, { ...access, ...idleTask, jobId: job.id });
  }
}

async function insertKeyJob(look: Look, host: Host, spec: Job["spec"]): Promise<Job> {
  // Ids of one millisecond have no order.
  const at = look.now + look.advanced.jobs.length;
  const job = await insertNewJob(
    look.tx,
    host,
    { hostId: host.id, spec, jobId: newId(at), actor: rotationActor },
    at,
  );
  look.advanced.jobs.push(job);
  return job;
}
