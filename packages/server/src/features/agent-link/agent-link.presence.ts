/** When each agent was last heard: kept here, and written for the whole fleet at once, every few seconds. */
import type { Logger } from "pino";
import type { Db } from "../../platform/db/db.ts";
import { touchHosts } from "../hosts/hosts.ts";

export class Presence {
  private readonly deps: { db: Db; log: Logger };
  /** What is not written yet. */
  private heard = new Map<string, number>();

  constructor(deps: { db: Db; log: Logger }) {
    this.deps = deps;
  }

  note = (hostId: string, atMs: number): void => {
    this.heard.set(hostId, atMs);
  };

  /** Never rejects: the next time writes the same times again, and a database that stays away is reported by /readyz. */
  async write(): Promise<void> {
    if (this.heard.size === 0) return;
    const written = this.heard;
    this.heard = new Map();
    try {
      await touchHosts(this.deps.db, written);
    } catch (error) {
      this.deps.log.error({ err: error }, "heartbeats could not be written");
      this.heard = new Map([...written, ...this.heard]);
    }
  }
}
