/**
 * The indexes of snapshots on this host's disk, one file for each. Invariants: together they stay within a bound, the one
 * that was used longest ago goes first; room on the disk is left for others; what was read with another host's access
 * does not outlive the agent, nor half an hour without use; a file that can't be used is thrown away, never repaired.
 */
import { readdir, statfs, utimes } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../platform/clock.ts";
import { AgentError, reasonOf } from "../platform/errors.ts";
import {
  ensurePrivateDir,
  fileSizeBytes,
  fileTimeMs,
  removeTree,
  touchPrivateFile,
} from "../platform/files.ts";
import type { Log } from "../platform/log.ts";
import { SnapshotIndex } from "./snapshot-index.ts";

export type IndexLimits = {
  /** Of all indexes together. A million files take about 150 MB. */
  maxBytes: number;
  /** Left free on the disk, whatever the other bound. */
  minFreeBytes: number;
  /** Of the disk that holds `dir`. */
  freeBytes: (dir: string) => Promise<number>;
};

export const INDEX_LIMITS: IndexLimits = {
  maxBytes: 1024 ** 3,
  minFreeBytes: 512 * 1024 ** 2,
  freeBytes: async (dir) => {
    const { bavail, bsize } = await statfs(dir);
    return bavail * bsize;
  },
};

/** One snapshot, and whether it was read with another host's access. */
export type IndexKey = { snapshotId: string; foreign: boolean };

/** Each open file holds some MB of memory. */
const MAX_OPEN = 4;
const FOREIGN_IDLE_MS = 30 * 60_000;
const SUFFIX = ".sqlite";
const FOREIGN_SUFFIX = `.foreign${SUFFIX}`;

type OpenIndex = { index: SnapshotIndex; users: number; usedAtMs: number };

export class IndexStore {
  readonly #dir: string;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #limits: IndexLimits;
  /** By file name, in the order of their last use. */
  readonly #open = new Map<string, OpenIndex>();

  constructor(deps: { dir: string; clock: Clock; log: Log; limits?: IndexLimits }) {
    this.#dir = deps.dir;
    this.#clock = deps.clock;
    this.#log = deps.log;
    this.#limits = deps.limits ?? INDEX_LIMITS;
  }

  /** Removes what an earlier agent has left unfinished, and what is not this host's. Never rejects. */
  async start(): Promise<void> {
    try {
      await ensurePrivateDir(this.#dir);
      for (const name of await readdir(this.#dir)) {
        if (!name.endsWith(SUFFIX) || name.endsWith(FOREIGN_SUFFIX) || !isWhole(join(this.#dir, name)))
          await removeTree(join(this.#dir, name));
      }
      await this.makeRoom();
    } catch (error) {
      this.#log.warn({ reason: reasonOf(error) }, "the indexes of snapshots could not be looked through");
    }
  }

  stop(): void {
    for (const { index } of this.#open.values()) index.close();
    this.#open.clear();
  }

  /**
   * Works with an index, which stays open meanwhile. Rejects as `work` does.
   * @throws AgentError `tree.no_room`, `tree.index_unusable`
   */
  async use<T>(key: IndexKey, work: (index: SnapshotIndex) => Promise<T>): Promise<T> {
    const name = fileOf(key);
    const open = this.#open.get(name) ?? (await this.#openFile(name));
    this.#open.delete(name);
    this.#open.set(name, open);
    open.users += 1;
    try {
      return await work(open.index);
    } catch (error) {
      if (isSqliteError(error)) this.#abandon(name, open, error);
      throw error;
    } finally {
      open.users -= 1;
      open.usedAtMs = this.#clock.monotonicMs();
      if (open.users === 0 && this.#open.get(name) !== open) open.index.close();
      this.#closeSpare();
    }
  }

  /** True when the snapshot's whole tree is there. */
  async has(key: IndexKey): Promise<boolean> {
    if (!this.#open.has(fileOf(key)) && (await fileSizeBytes(join(this.#dir, fileOf(key)))) === 0)
      return false;
    return this.use(key, async (index) => index.walk !== undefined);
  }

  /** Drops the indexes that were used longest ago until all are within the bound. */
  async makeRoom(): Promise<void> {
    const files = await this.#listFiles();
    let bytes = files.reduce((sum, file) => sum + file.bytes, 0);
    for (const { name, bytes: freed } of files) {
      if (bytes <= this.#limits.maxBytes) return;
      if ((this.#open.get(name)?.users ?? 0) > 0) continue;
      await this.#remove(name);
      bytes -= freed;
    }
  }

  /** @throws AgentError when this index must not grow any further */
  async checkRoom(key: IndexKey): Promise<void> {
    if ((await this.#limits.freeBytes(this.#dir)) < this.#limits.minFreeBytes) throw noRoom();
    if ((await fileSizeBytes(join(this.#dir, fileOf(key)))) <= this.#limits.maxBytes) return;
    throw new AgentError(
      "tree.index_too_large",
      "This snapshot has too many files for an index on its host.",
    );
  }

  /** Removes one, such as one that can't be finished. */
  async drop(key: IndexKey): Promise<void> {
    await this.#remove(fileOf(key));
  }

  /** Removes what is not this host's once nobody has used it for a while. */
  async dropIdleForeign(): Promise<void> {
    const now = this.#clock.monotonicMs();
    for (const name of await readdir(this.#dir).catch(() => [])) {
      const open = this.#open.get(name);
      const used = open !== undefined && (open.users > 0 || now - open.usedAtMs < FOREIGN_IDLE_MS);
      if (name.endsWith(FOREIGN_SUFFIX) && !used) await this.#remove(name);
    }
  }

  async #openFile(name: string): Promise<OpenIndex> {
    const path = join(this.#dir, name);
    await ensurePrivateDir(this.#dir).catch((error: unknown) => {
      throw unusable(error);
    });
    if (
      (await this.#limits.freeBytes(this.#dir)) < this.#limits.minFreeBytes &&
      (await fileSizeBytes(path)) === 0
    )
      throw noRoom();
    try {
      return await this.#openAt(name);
    } catch (error) {
      this.#log.warn({ reason: reasonOf(error) }, "an index of a snapshot can't be opened and is begun anew");
      await this.#remove(name);
    }
    try {
      return await this.#openAt(name);
    } catch (error) {
      await this.#remove(name);
      throw unusable(error);
    }
  }

  async #openAt(name: string): Promise<OpenIndex> {
    const path = join(this.#dir, name);
    await touchPrivateFile(path);
    const now = new Date(this.#clock.nowMs());
    await utimes(path, now, now);
    // Another question may have opened it meanwhile.
    return this.#open.get(name) ?? this.#keep(name, new SnapshotIndex(path));
  }

  #keep(name: string, index: SnapshotIndex): OpenIndex {
    const open = { index, users: 0, usedAtMs: this.#clock.monotonicMs() };
    this.#open.set(name, open);
    return open;
  }

  #closeSpare(): void {
    for (const [name, { index, users }] of this.#open) {
      if (this.#open.size <= MAX_OPEN) return;
      // One that is not this host's is remembered by being open.
      if (users > 0 || name.endsWith(FOREIGN_SUFFIX)) continue;
      this.#open.delete(name);
      index.close();
    }
  }

  /** Its last user closes it. */
  #abandon(name: string, open: OpenIndex, error: unknown): void {
    if (this.#open.get(name) !== open) return;
    this.#log.warn({ reason: reasonOf(error) }, "an index of a snapshot could not be used and is dropped");
    this.#open.delete(name);
    void removeTree(join(this.#dir, name)).catch(() => undefined);
  }

  async #remove(name: string): Promise<void> {
    const open = this.#open.get(name);
    this.#open.delete(name);
    if (open?.users === 0) open.index.close();
    await removeTree(join(this.#dir, name));
  }

  /** The one that was used longest ago first. */
  async #listFiles(): Promise<{ name: string; bytes: number }[]> {
    const files = [];
    for (const name of await readdir(this.#dir).catch(() => [])) {
      const path = join(this.#dir, name);
      const atMs = await fileTimeMs(path).catch(() => 0);
      files.push({ name, atMs, bytes: await fileSizeBytes(path) });
    }
    return files.sort((a, b) => a.atMs - b.atMs);
  }
}

function fileOf({ snapshotId, foreign }: IndexKey): string {
  return `${snapshotId}${foreign ? FOREIGN_SUFFIX : SUFFIX}`;
}

function isWhole(path: string): boolean {
  try {
    const index = new SnapshotIndex(path);
    const whole = index.walk !== undefined;
    index.close();
    return whole;
  } catch {
    return false;
  }
}

export function isSqliteError(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ERR_SQLITE_ERROR";
}

const noRoom = (): AgentError =>
  new AgentError(
    "tree.no_room",
    "There is too little room on the host's disk for an index. Folders still open, each more slowly; free some space in the agent's data folder to search.",
  );

const unusable = (error: unknown): AgentError =>
  new AgentError("tree.index_unusable", `The host can't keep an index: ${reasonOf(error)}.`);
