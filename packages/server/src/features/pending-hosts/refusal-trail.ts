/**
 * Machines that were refused before anybody could look at them: the list is full, or too many came from one address. What a
 * stranger can do as often as it likes is one entry in the audit trail for each burst: another follows only after a minute
 * without any. What is remembered is one moment for each reason, whoever comes.
 */
import type { Logger } from "pino";
import type { Clock } from "../../platform/clock.ts";
import { type Db, inTransaction } from "../../platform/db/db.ts";
import { recordAudit } from "../audit/audit.ts";

/** A quiet time of this length ends a burst. */
export const burstEndsMs = 60_000;

export type RefusalReason = "pending.list_full" | "request.rate_exceeded" | "pending.too_many_connections";

export class RefusalTrail {
  private readonly deps: { db: Db; clock: Clock; log: Logger };
  private readonly lastAt = new Map<RefusalReason, number>();

  constructor(deps: { db: Db; clock: Clock; log: Logger }) {
    this.deps = deps;
  }

  /** @param address of the machine that began the burst. Never rejects: a refusal stays one, written down or not */
  async record(code: RefusalReason, address: string): Promise<void> {
    const { db, clock, log } = this.deps;
    const at = clock.now();
    const before = this.lastAt.get(code);
    this.lastAt.set(code, at);
    if (before !== undefined && at - before < burstEndsMs) return;
    await inTransaction(db, (tx) =>
      recordAudit(tx, {
        ...{ at, action: "pending_host.refuse", payload: { code, address } },
        actor: { kind: "agent", id: null, name: "a machine" },
      }),
    ).catch((error: unknown) => log.error({ err: error, code }, "a refusal could not be written down"));
  }
}
