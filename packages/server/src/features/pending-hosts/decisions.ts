/**
 * What a person decides about a machine that announced itself. Accepting makes the host in one transaction, as a token
 * does; it needs the fingerprint that was compared, and says nothing about the other machines that wait.
 */
import { inTransaction } from "../../platform/db/db.ts";
import { AppError, invalidFields } from "../../platform/errors.ts";
import type { Actor } from "../../platform/http/identity.ts";
import { newId, newToken } from "../../platform/random.ts";
import { type AuditTarget, recordAudit } from "../audit/audit.ts";
import {
  type EnrolmentDeps,
  htpasswdHint,
  makeHost,
  type PlanInput,
  readPlan,
} from "../enrolment/enrolment.ts";
import { hostChanged } from "../hosts/hosts.ts";
import { decide, linkHost, type PendingHost, selectPendingHost } from "./pending-hosts.store.ts";
import {
  expired,
  getPendingHost,
  isExpired,
  type PendingHostsDeps,
  pendingHostChanged,
  rejected,
} from "./pending-hosts.ts";

/** One line beside the machine's prompt. */
export const maxReasonLength = 200;

export interface AcceptInput extends PlanInput {
  id: string;
  /** The one that was compared with what the machine printed. */
  fingerprint: string;
  /** The name that the machine dialled; needed where it is not the one that the person uses. */
  serverName?: string | undefined;
  /** The name of this server by which the person reaches it. */
  ownName: string;
  actor: Actor;
}

export interface Accepted {
  hostId: string;
  hostName: string;
  /** Only when we made it; shown once. */
  repoPassword: string | null;
  /** The line that lets the user into a rest-server with that password; it asks for the password. */
  restHtpasswdHint: string | null;
  /** Without user info. */
  location: string;
  tags: string[];
  initialPaths: string[];
}

/**
 * Makes a host of the machine. Its agent collects the bearer itself, at once or when it comes back.
 * @throws AppError `pending.not_found`, `pending.expired`, `pending.rejected`, `pending.already_accepted`,
 *   `pending.fingerprint_differs`, `pending.unproved`, `pending.server_name_unconfirmed`, those of
 *   `createEnrolmentToken` for wrong fields, or `hosts.name_taken`, after which the machine still waits
 */
export function acceptPendingHost(deps: EnrolmentDeps, input: AcceptInput): Promise<Accepted> {
  return recordingRefusal(deps, input, "pending_host.accept_refused", () => accept(deps, input));
}

async function accept(deps: EnrolmentDeps, input: AcceptInput): Promise<Accepted> {
  const pending = await getPendingHost(deps, input.id);
  const at = deps.clock.now();
  const decided = decisionAbout(pending, at);
  if (decided) throw decided;
  checkIdentity(pending, input);
  const plan = readPlan(input);
  const { hostName, actor } = input;
  const { access, tags, initialPaths } = plan;
  const { id: pendingId, os, arch, agentVersion, resticVersion, fingerprint, address } = pending;
  const hostId = newId(at);
  await inTransaction(deps.db, async (tx) => {
    const { serverName } = pending;
    if (!(await decide(tx, { id: pendingId, at, state: "accepted", serverName })))
      throw await decidedMeanwhile({ ...deps, db: tx }, pendingId);
    // Nobody knows this bearer: the agent's own is made when it collects it.
    const bearer = newToken();
    const machine = { os, arch, agentVersion, resticVersion };
    const wanted = { name: hostName, tags, initialPaths, access };
    await makeHost(deps, tx, { id: hostId, ...wanted, ...machine, bearer, at });
    await linkHost(tx, pendingId, hostId);
    const ownName = pending.hostname === hostName ? {} : { reported_hostname: pending.hostname };
    await recordAudit(tx, {
      at,
      actor,
      action: "pending_host.accept",
      target: { kind: "host", id: hostId, name: hostName },
      payload: {
        ...{ pending_id: pendingId, fingerprint, address, os, arch, server_name: pending.serverName },
        ...{ repository: access.location, tags, path_count: initialPaths.length, ...ownName },
      },
    });
  });
  deps.events.emit(hostChanged, { hostId });
  deps.events.emit(pendingHostChanged, { pendingId });
  const made = { repoPassword: plan.mintedPassword, restHtpasswdHint: htpasswdHint(plan) };
  return { hostId, hostName, location: access.location, tags, initialPaths, ...made };
}

/** Whether the person decides about the machine that they looked at. */
function checkIdentity(pending: PendingHost, input: AcceptInput): void {
  const { fingerprint, serverName } = pending;
  if (input.fingerprint !== fingerprint) {
    const message =
      "This is not the fingerprint of the machine that waits here. Compare it with what the machine printed, and accept none that differs.";
    throw new AppError("conflict", "pending.fingerprint_differs", message);
  }
  if (serverName === null) {
    const message =
      "This machine has not proved its key yet. It does when its WebSocket gets through; is a proxy in between that passes no upgrades?";
    throw new AppError("conflict", "pending.unproved", message);
  }
  if (serverName !== input.ownName && serverName !== input.serverName) {
    const message = `The machine dialled ${serverName}, which is not the address that you use. Confirm that it is this server's, or set RM_BASE_URL.`;
    throw new AppError("conflict", "pending.server_name_unconfirmed", message, {
      details: [{ path: "server_name", message }],
    });
  }
}

export interface RejectInput {
  id: string;
  /** Empty for none. */
  reason: string;
  actor: Actor;
}

/**
 * Tells a machine to go away. It may announce itself again.
 * @throws AppError `pending.not_found`, `pending.expired`, `pending.rejected`, `pending.already_accepted`, or
 *   `pending.reason_invalid`
 */
export function rejectPendingHost(deps: PendingHostsDeps, input: RejectInput): Promise<void> {
  return recordingRefusal(deps, input, "pending_host.reject_refused", () => reject(deps, input));
}

async function reject(deps: PendingHostsDeps, input: RejectInput): Promise<void> {
  const { id, actor } = input;
  const reason = readReason(input.reason);
  const at = deps.clock.now();
  await inTransaction(deps.db, async (tx) => {
    const pending = await getPendingHost({ ...deps, db: tx }, id);
    if (!(await decide(tx, { id, state: "rejected", reason, at })))
      throw await decidedMeanwhile({ ...deps, db: tx }, id);
    const target: AuditTarget = { kind: "pending_host", id, name: pending.hostname };
    const { fingerprint, address } = pending;
    const payload = { fingerprint, address, ...(reason === null ? {} : { reason }) };
    await recordAudit(tx, { at, actor, action: "pending_host.reject", target, payload });
  });
  deps.events.emit(pendingHostChanged, { pendingId: id });
}

function readReason(written: string): string | null {
  const reason = written.trim();
  if (reason.length <= maxReasonLength && !/\p{C}/u.test(reason)) return reason === "" ? null : reason;
  const message = `The reason is one line of at most ${maxReasonLength} characters.`;
  throw invalidFields("pending.reason_invalid", [{ path: "reason", message }]);
}

/** What was decided about the machine before, as the refusal of another decision. */
function decisionAbout(pending: PendingHost, at: number): AppError | null {
  if (pending.state === "rejected") return rejected(pending.reason);
  if (pending.state === "accepted") {
    const message = "This machine was accepted already; it is a host now.";
    return new AppError("conflict", "pending.already_accepted", message);
  }
  return isExpired(pending, at) ? expired() : null;
}

async function decidedMeanwhile(deps: Pick<EnrolmentDeps, "db" | "clock">, id: string): Promise<AppError> {
  const message = "The machine proved itself anew while you decided. Look at it again.";
  const changed = new AppError("conflict", "pending.changed", message);
  return decisionAbout(await getPendingHost(deps, id), deps.clock.now()) ?? changed;
}

/**
 * A decision that comes too late, or is about another machine than the one that was compared, changes nothing and is
 * worth knowing of afterwards. What a person only mistyped is not.
 */
async function recordingRefusal<T>(
  deps: Pick<PendingHostsDeps, "db" | "clock">,
  { id, actor }: { id: string; actor: Actor },
  action: string,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const pending =
      error instanceof AppError && error.kind === "conflict" && (await selectPendingHost(deps.db, id));
    if (pending) {
      const target: AuditTarget = { kind: "pending_host", id, name: pending.hostname };
      const payload = { code: error.code, fingerprint: pending.fingerprint };
      await recordAudit(deps.db, { at: deps.clock.now(), actor, action, target, payload });
    }
    throw error;
  }
}
