/** When each agent was last heard: kept by its session, and written for the whole fleet at once, every few seconds. */
import type { Logger } from "pino";
import type { Clock } from "../../platform/clock.ts";
import type { Db } from "../../platform/db/db.ts";
import { touchHosts } from "../hosts/hosts.ts";

export class Presence {
  private readonly deps: { db: Db; clock: Clock; log: Logger };
  /** When those were last heard whose session is over, until it is written. */
  private readonly left = new Map<string, number>();
  /** Whoever was last heard before is written. */
  private writtenAt = 0;

  constructor(deps: { db: Db; clock: Clock; log: Logger }) {
    this.deps = deps;
  }

  /** The host's session is over. */
  leave(hostId: string, lastHeardAt: number): void {
    this.left.set(hostId, lastHeardAt);
  }

  /**
   * @param sessions those that go on, by host
   * Never rejects: the next time writes the same times again, and a database that stays away is reported by /readyz.
   */
  async write(sessions: ReadonlyMap<string, { readonly lastHeardAt: number }>): Promise<void> {
    const now = this.deps.clock.now();
    const left = [...this.left].filter(([hostId]) => !sessions.has(hostId));
    const heard = [...left];
    for (const [hostId, { lastHeardAt }] of sessions)
      if (lastHeardAt >= this.writtenAt) heard.push([hostId, lastHeardAt]);
    if (heard.length === 0) return;
    try {
      await touchHosts(this.deps.db, heard);
    } catch (error) {
      this.deps.log.error({ err: error }, "heartbeats could not be written");
      return;
    }
    this.writtenAt = now;
    for (const [hostId, at] of left) if (this.left.get(hostId) === at) this.left.delete(hostId);
  }
}
