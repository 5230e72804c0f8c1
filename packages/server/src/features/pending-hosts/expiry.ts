/**
 * The end of an announcement's hour. Invariant: each one that nobody decided about leaves one entry in the audit trail,
 * written with the change that lets go of its key.
 */
import { type Db, inTransaction } from "../../platform/db/db.ts";
import { systemActor } from "../../platform/http/identity.ts";
import { recordAudit } from "../audit/audit.ts";
import { expireWaiting, forgetOver } from "./pending-hosts.store.ts";
import type { PendingHostsDeps } from "./pending-hosts.ts";

/** How long an announcement that is over still says what became of it. */
const rememberedMs = 30 * 24 * 60 * 60 * 1000;

/** Lets go of the keys of those whose hour is over by now, and forgets what was over a month ago. */
export async function endExpired(tx: Db, at: number): Promise<void> {
  for (const { id, hostname, fingerprint, address, expiresAt } of await expireWaiting(tx, at))
    await recordAudit(tx, {
      ...{ at, actor: systemActor, action: "pending_host.expire" },
      target: { kind: "pending_host", id, name: hostname },
      payload: { fingerprint, address, expired_at: new Date(expiresAt).toISOString() },
    });
  await forgetOver(tx, at - rememberedMs);
}

/** The same in a transaction of its own, for who looks now and then. */
export function sweepExpired(deps: Pick<PendingHostsDeps, "db" | "clock">): Promise<void> {
  return inTransaction(deps.db, (tx) => endExpired(tx, deps.clock.now()));
}
