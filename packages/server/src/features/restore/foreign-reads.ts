/**
 * Who lets one host look into another's snapshots. The reader is given the other's access for it, so it stands in the trail
 * of both; one entry for all that a person opens within half an hour, since a folder is a click.
 */
import type { Clock } from "../../platform/clock.ts";
import { type Db, inTransaction } from "../../platform/db/db.ts";
import type { Actor } from "../../platform/http/identity.ts";
import { recordAudit } from "../audit/audit.ts";

const oneEntryMs = 30 * 60_000;

interface Named {
  id: string;
  name: string;
}

export class ForeignReads {
  private readonly db: Db;
  private readonly clock: Clock;
  /** When each was noted. */
  private readonly noted = new Map<string, number>();

  constructor(deps: { db: Db; clock: Clock }) {
    this.db = deps.db;
    this.clock = deps.clock;
  }

  /** Call before the reader is given anything. */
  async note({ owner, reader, actor }: { owner: Named; reader: Named; actor: Actor }): Promise<void> {
    const at = this.clock.now();
    for (const [key, since] of this.noted) if (at - since >= oneEntryMs) this.noted.delete(key);
    const key = [actor.kind, actor.id, owner.id, reader.id].join(" ");
    if (this.noted.has(key)) return;
    const payload = { snapshots_of: owner.name, read_by: reader.name };
    await inTransaction(this.db, async (tx) => {
      for (const { id, name } of [owner, reader])
        await recordAudit(tx, {
          ...{ at, actor, action: "snapshot.read_elsewhere" },
          target: { kind: "host", id, name },
          payload,
        });
    });
    this.noted.set(key, at);
  }
}
