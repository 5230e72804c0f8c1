/**
 * What a machine does before anybody knows it: it announces itself, proves its key, and collects its bearer once it is
 * accepted. A proof uses up its nonce, whether it is good or not. A bearer is made when it is collected, so none ever
 * waits here; until the host has connected once, its key may collect another, which voids the one before: an answer
 * that got lost costs nothing.
 */
import { type Db, inTransaction, isUniqueViolation } from "../../platform/db/db.ts";
import { AppError } from "../../platform/errors.ts";
import type { Actor } from "../../platform/http/identity.ts";
import { newId, newToken } from "../../platform/random.ts";
import { recordAudit, recordAuditSparsely } from "../audit/audit.ts";
import { findHost, getHost, replaceBearer } from "../hosts/hosts.ts";
import { fingerprintOf, isProof } from "./announced-key.ts";
import { endExpired } from "./expiry.ts";
import {
  type AnnouncedFacts,
  countWaiting,
  endAnnouncement,
  insertPendingHost,
  type PendingHost,
  saveProof,
  selectLive,
  selectPendingHost,
  takeNonce,
  updateAnnouncement,
} from "./pending-hosts.store.ts";
import {
  announcementLifetimeMs,
  expired,
  isExpired,
  maxPendingHosts,
  notFound,
  type PendingHostsDeps,
  pendingHostChanged,
  rejected,
} from "./pending-hosts.ts";

export interface AnnounceInput extends AnnouncedFacts {
  /** SubjectPublicKeyInfo, base64. */
  publicKey: string;
  /** The announcement that is repeated, if one is. */
  pendingId: string | null;
}

export interface Announced {
  pendingId: string;
  nonce: string;
  expiresAt: number;
}

/**
 * Puts a machine on the list, or makes the place that its key has there young again.
 * @throws AppError `pending.key_invalid`, `pending.list_full`, and `pending.rejected` or `pending.expired` when that
 *   became of the announcement that is repeated
 */
export async function announce(deps: PendingHostsDeps, input: AnnounceInput): Promise<Announced> {
  const announced = await takePlace(deps, input).catch((error: unknown) => {
    // The same key in the same moment: the other one has the place now.
    if (isUniqueViolation(error)) return takePlace(deps, input);
    throw error;
  });
  deps.events.emit(pendingHostChanged, { pendingId: announced.pendingId });
  return announced;
}

async function takePlace(deps: PendingHostsDeps, input: AnnounceInput): Promise<Announced> {
  const { publicKey, pendingId: repeated, ...facts } = input;
  const fingerprint = fingerprintOf(publicKey);
  const at = deps.clock.now();
  const fresh = { id: newId(at), nonce: newToken(), expiresAt: at + announcementLifetimeMs };
  const { nonce, expiresAt } = fresh;
  return inTransaction(deps.db, async (tx) => {
    await endExpired(tx, at);
    if (repeated !== null) await refuseOver(tx, repeated, fingerprint, at);
    const live = await findLive(tx, fingerprint);
    if (live) {
      await refresh(tx, live, { ...fresh, facts, at });
      return { pendingId: live.id, nonce, expiresAt };
    }
    if ((await countWaiting(tx, at)) >= maxPendingHosts) throw listFull();
    await insertPendingHost(tx, { ...facts, ...fresh, fingerprint, publicKey, announcedAt: at });
    await recordAnnouncement(tx, { ...facts, id: fresh.id, fingerprint, at });
    return { pendingId: fresh.id, nonce, expiresAt };
  });
}

/** Who repeats an announcement that is over is told so, instead of beginning anew. */
async function refuseOver(tx: Db, id: string, fingerprint: string, at: number): Promise<void> {
  const before = await selectPendingHost(tx, id);
  if (before?.fingerprint !== fingerprint) return;
  if (before.state === "rejected") throw rejected(before.reason);
  if (isExpired(before, at)) throw expired();
}

/** The key's announcement, unless it led to a host that has its bearer. */
async function findLive(tx: Db, fingerprint: string): Promise<PendingHost | null> {
  const live = await selectLive(tx, fingerprint);
  if (live?.state !== "accepted") return live;
  const host = live.hostId === null ? null : await findHost(tx, live.hostId);
  if (host?.firstConnectedAt === null) return live;
  await endAnnouncement(tx, live.id);
  return null;
}

async function refresh(
  tx: Db,
  live: PendingHost,
  input: { nonce: string; expiresAt: number; facts: AnnouncedFacts; at: number },
): Promise<void> {
  const { id, fingerprint } = live;
  const { nonce, expiresAt, facts, at } = input;
  const pending = live.state === "pending";
  await updateAnnouncement(tx, { id, nonce, expiresAt, facts: pending ? facts : null });
  const said = (of: AnnouncedFacts) => JSON.stringify(auditOf(of));
  if (pending && said(live) !== said(facts)) await recordAnnouncement(tx, { ...facts, id, fingerprint, at });
}

const auditOf = (facts: AnnouncedFacts) => ({
  hostname: facts.hostname,
  address: facts.address,
  os: facts.os,
  arch: facts.arch,
  agent_version: facts.agentVersion,
  ...(facts.note === null ? {} : { note: facts.note }),
});

async function recordAnnouncement(
  tx: Db,
  entry: AnnouncedFacts & { id: string; fingerprint: string; at: number },
): Promise<void> {
  const { id, fingerprint, hostname: name, at } = entry;
  await recordAuditSparsely(tx, {
    at,
    actor: machineActor(name),
    action: "pending_host.announce",
    target: { kind: "pending_host", id, name },
    payload: { fingerprint, ...auditOf(entry) },
  });
}

const machineActor = (name: string): Actor => ({ kind: "agent", id: null, name });

export interface ProofInput {
  pendingId: string;
  /** The name that the machine dialled, by its own word; the signature covers it. */
  serverName: string;
  signature: string;
  /** The name of this server. */
  ownName: string;
  /** Where the proof came from, for the audit trail. */
  address: string;
}

/** What a good proof leads to. */
export type Proved =
  /** `proof` names this proof when it is asked again what was decided. */
  | { state: "waiting"; expiresAt: number; proof: string }
  | { state: "accepted"; hostId: string; hostName: string; bearer: string }
  | { state: "refused"; error: AppError };

/** Checks a proof and says what was decided about the machine. A refused proof is in the audit trail, sparsely. */
export async function prove(deps: PendingHostsDeps, input: ProofInput): Promise<Proved> {
  const { pendingId, serverName } = input;
  const at = deps.clock.now();
  const proved = await inTransaction(deps.db, async (tx): Promise<Proved> => {
    const pending = await selectPendingHost(tx, pendingId);
    if (!pending) return { state: "refused", error: notFound() };
    // No nonce is empty: a proof without one is refused as any that comes late.
    const nonce = pending.nonce ?? "";
    const error = await checkProof(tx, pending, { ...input, nonce });
    if (error) {
      await recordRefusal(tx, { pending, code: error.code, address: input.address, at });
      return { state: "refused", error };
    }
    await saveProof(tx, { id: pendingId, nonce, serverName });
    return outcomeOf(tx, { ...pending, provedNonce: nonce, serverName }, at);
  });
  deps.events.emit(pendingHostChanged, { pendingId });
  return proved;
}

/**
 * What was decided about a machine that waits since it proved its key.
 * @param proof of the good proof; of several, only the last is told, so that no bearer voids the one that is used
 */
export async function collect(
  deps: PendingHostsDeps,
  { pendingId, proof }: { pendingId: string; proof: string },
): Promise<Proved> {
  const at = deps.clock.now();
  return inTransaction(deps.db, async (tx): Promise<Proved> => {
    const pending = await selectPendingHost(tx, pendingId);
    if (!pending) return { state: "refused", error: notFound() };
    if (pending.provedNonce !== proof) return { state: "refused", error: replaced() };
    return outcomeOf(tx, pending, at);
  });
}

async function checkProof(
  tx: Db,
  pending: PendingHost,
  input: ProofInput & { nonce: string },
): Promise<AppError | null> {
  const { id: pendingId, publicKey } = pending;
  const { nonce, serverName, signature, ownName } = input;
  if (!(await takeNonce(tx, pendingId, nonce))) return nonceUsed();
  if (!isProof(publicKey, { nonce, serverName, pendingId, signature })) return signatureInvalid();
  if (serverName !== ownName) return serverNameWrong(serverName, ownName);
  // What was accepted is a machine that dialled this name.
  if (pending.state === "accepted" && pending.serverName !== serverName)
    return serverNameWrong(serverName, pending.serverName ?? ownName);
  return null;
}

async function outcomeOf(tx: Db, pending: PendingHost, at: number): Promise<Proved> {
  if (pending.state === "rejected") return { state: "refused", error: rejected(pending.reason) };
  if (isExpired(pending, at)) return { state: "refused", error: expired() };
  if (pending.state === "pending")
    return { state: "waiting", expiresAt: pending.expiresAt, proof: pending.provedNonce ?? "" };
  const hostId = pending.hostId ?? "";
  const bearer = newToken();
  if (!(await replaceBearer(tx, hostId, bearer))) return { state: "refused", error: collectedAlready() };
  const { name } = await getHost(tx, hostId);
  await recordAudit(tx, {
    at,
    actor: { kind: "agent", id: hostId, name },
    action: "host.collect",
    target: { kind: "host", id: hostId, name },
    payload: { pending_id: pending.id, fingerprint: pending.fingerprint },
  });
  return { state: "accepted", hostId, hostName: name, bearer };
}

async function recordRefusal(
  tx: Db,
  refusal: { pending: PendingHost; code: string; address: string; at: number },
): Promise<void> {
  const { pending, code, address, at } = refusal;
  await recordAuditSparsely(tx, {
    at,
    actor: machineActor(pending.hostname),
    action: "pending_host.proof_refused",
    target: { kind: "pending_host", id: pending.id, name: pending.hostname },
    payload: { code, address, fingerprint: pending.fingerprint },
  });
}

const listFull = (): AppError =>
  new AppError(
    "conflict",
    "pending.list_full",
    `${maxPendingHosts} machines wait to be accepted already, which is as many as may. Accept or reject some on the dashboard, or enrol this machine with a token.`,
  );

const nonceUsed = (): AppError =>
  new AppError(
    "conflict",
    "pending.nonce_used",
    "This nonce was already used: each is good for one proof. Announce the machine again to get another.",
  );

const signatureInvalid = (): AppError =>
  new AppError(
    "unauthenticated",
    "pending.signature_invalid",
    "The signature is not one of the announced key over this nonce, server and announcement. Announce the machine again.",
  );

const serverNameWrong = (dialled: string, own: string): AppError =>
  new AppError(
    "forbidden",
    "pending.server_name_wrong",
    `The machine dialled ${dialled}, but this server goes by ${own}. Announce it with --server and that name; if the machine's address is right, set RM_BASE_URL on the server.`,
  );

/** The refusal of the older of two that proved one key. */
export const replaced = (): AppError =>
  new AppError(
    "conflict",
    "pending.replaced",
    "Another program announced itself with this machine's key. If that was a copy of this machine, remove its announce.key.",
  );

const collectedAlready = (): AppError =>
  new AppError(
    "conflict",
    "pending.collected_already",
    "This machine was accepted and has connected since. Announce it again to make another host of it.",
  );
