/**
 * Pages of snapshots that were looked at in the last half hour, in memory only: names of files touch neither disk nor log of
 * the server. A snapshot never changes, so a page stays true. Invariant: together they stay within a bound; the one that was
 * used longest ago goes first.
 */
import type { Clock } from "../../platform/clock.ts";

/** As long as a person takes to choose what to restore. */
const keepMs = 30 * 60_000;
/** Some 150 pages of 500 long names. */
const maxPagesBytes = 16 * 1024 * 1024;

export interface PageKey {
  hostId: string;
  snapshotId: string;
  path: string;
  after: string | null;
}

interface Kept<Page> {
  page: Page;
  sizeBytes: number;
  until: number;
}

export class TreePages<Page extends object> {
  private readonly clock: Clock;
  private readonly maxBytes: number;
  /** In the order of their last use. */
  private readonly kept = new Map<string, Kept<Page>>();
  private bytes = 0;

  constructor(clock: Clock, maxBytes = maxPagesBytes) {
    this.clock = clock;
    this.maxBytes = maxBytes;
  }

  find(key: PageKey): Page | null {
    const name = nameOf(key);
    const kept = this.kept.get(name);
    if (!kept) return null;
    this.drop(name, kept);
    if (kept.until <= this.clock.now()) return null;
    this.add(name, kept);
    return kept.page;
  }

  keep(key: PageKey, page: Page): void {
    const name = nameOf(key);
    const before = this.kept.get(name);
    if (before) this.drop(name, before);
    // Two bytes for each character, as long as none of them is beyond.
    const sizeBytes = 2 * (name.length + JSON.stringify(page).length);
    if (sizeBytes > this.maxBytes) return;
    this.add(name, { page, sizeBytes, until: this.clock.now() + keepMs });
    for (const [oldest, kept] of this.kept) {
      if (this.bytes <= this.maxBytes) return;
      this.drop(oldest, kept);
    }
  }

  private add(name: string, kept: Kept<Page>): void {
    this.kept.set(name, kept);
    this.bytes += kept.sizeBytes;
  }

  private drop(name: string, kept: Kept<Page>): void {
    this.kept.delete(name);
    this.bytes -= kept.sizeBytes;
  }
}

const nameOf = ({ hostId, snapshotId, path, after }: PageKey): string =>
  JSON.stringify([hostId, snapshotId, path, after]);
