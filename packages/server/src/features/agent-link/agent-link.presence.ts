/**
 * When each agent was last heard: kept by its session, and written for the whole fleet at once, every few seconds.
 * Sessions count by a clock that nobody sets (`Clock.monotonic`); rows have the time of day that it is by now. A machine
 * that was suspended can't be told from one whose clock was set on: its sessions then have as long as ever to be heard.
 */
import type { Logger } from "pino";
import type { Clock } from "../../platform/clock.ts";
import type { Db } from "../../platform/db/db.ts";
import { touchHosts } from "../hosts/hosts.ts";

/** A clock that goes apart from the other by more between two times was set: rows of before are by another time of day. */
const clockSetMs = 1000;

export class Presence {
  private readonly deps: { db: Db; clock: Clock; log: Logger };
  /** When those were last heard whose session is over, until it is written. */
  private readonly left = new Map<string, number>();
  /** Whoever was last heard before is written. */
  private writtenAt = Number.NEGATIVE_INFINITY;
  /** What the time of day was ahead of the other clock when it was last looked at. */
  private aheadMs = 0;

  constructor(deps: { db: Db; clock: Clock; log: Logger }) {
    this.deps = deps;
  }

  /** The host's session is over. */
  leave(hostId: string, lastHeardAt: number): void {
    if (lastHeardAt >= this.writtenAt) this.left.set(hostId, lastHeardAt);
  }

  /**
   * @param sessions those that go on, by host
   * Never rejects: the next time writes the same times again, and a database that stays away is reported by /readyz.
   */
  async write(sessions: ReadonlyMap<string, { readonly lastHeardAt: number }>): Promise<void> {
    const moment = this.deps.clock.monotonic();
    const nowMs = this.deps.clock.now();
    const aheadMs = nowMs - moment;
    if (Math.abs(aheadMs - this.aheadMs) > clockSetMs) this.writtenAt = Number.NEGATIVE_INFINITY;
    this.aheadMs = aheadMs;
    for (const hostId of this.left.keys()) if (sessions.has(hostId)) this.left.delete(hostId);
    const left = [...this.left];
    const heard = left.map(([hostId, at]): [string, number] => [hostId, Math.round(aheadMs + at)]);
    for (const [hostId, { lastHeardAt }] of sessions)
      if (lastHeardAt >= this.writtenAt) heard.push([hostId, Math.round(aheadMs + lastHeardAt)]);
    if (heard.length === 0) return;
    try {
      await touchHosts(this.deps.db, heard, nowMs);
    } catch (error) {
      this.deps.log.error({ err: error }, "heartbeats could not be written");
      return;
    }
    this.writtenAt = moment;
    for (const [hostId, at] of left) if (this.left.get(hostId) === at) this.left.delete(hostId);
  }
}
