/**
 * Builds the indexes of snapshots that are looked into, one after the other, in the background. Invariants: jobs go first: a
 * walk gives way to them and goes on after the last, and stands still while somebody waits for a folder; an index that can't be made is not tried again for a while; an access
 * that came with a question is forgotten with its index's end.
 */
import type { TreeIndex } from "@restic-manager/protocol";
import type { ResticAccess } from "../commands/job-context.ts";
import { slept } from "../platform/clock.ts";
import { AgentError, reasonOf } from "../platform/errors.ts";
import type { Log } from "../platform/log.ts";
import { listAllArgs } from "../restic/args.ts";
import { LineCutter } from "../restic/lines.ts";
import { runPiped } from "../restic/piped.ts";
import type { ShortDeps } from "../restic/short.ts";
import type { IndexKey, IndexStore } from "./index-store.ts";
import { explain, openUntold, problemOf } from "./read-folder.ts";
import type { SnapshotIndex } from "./snapshot-index.ts";
import { MAX_TO_OPEN, Walk } from "./walk.ts";

export type Wish = { key: IndexKey; access: ResticAccess };

/** Older wishes are dropped: whoever still looks wishes again with the next question. */
const MAX_WISHES = 4;
/** An hour for a hundred million files; a storage that stands still is noticed all the same. */
const WALK_WITHIN_MS = 3_600_000;
/** restic's longest line: a path and its figures. */
const MAX_LINE_BYTES = 256 * 1024;
/** Bytes of `ls` between two looks at the room on the disk. */
const CHECK_ROOM_BYTES = 8 * 1024 * 1024;
const TRY_AGAIN_AFTER_MS = 5 * 60_000;

type Problem = NonNullable<TreeIndex["problem"]>;

export type BuilderDeps = ShortDeps & {
  log: Log;
  store: IndexStore;
  /** MUST resolve when nobody waits for a folder. */
  untilQuiet: () => Promise<void>;
};

export class IndexBuilder {
  readonly #deps: BuilderDeps;
  readonly #stopping = new AbortController();
  #wishes: Wish[] = [];
  #working: Promise<void> | undefined;
  /** Aborts when a job begins. */
  #idle = new AbortController();
  #jobsEnded: PromiseWithResolvers<void> | undefined;
  readonly #problems = new Map<string, { problem: Problem; atMs: number }>();

  constructor(deps: BuilderDeps) {
    this.#deps = deps;
  }

  /** Wishes for the index of a snapshot, unless it is being made or can't be. */
  wish(wish: Wish): void {
    const id = idOf(wish.key);
    if (this.#stopping.signal.aborted || this.problemOf(wish.key) !== null) return;
    if (this.#wishes.some(({ key }) => idOf(key) === id)) return;
    this.#wishes.push(wish);
    // The first one is being made.
    if (this.#wishes.length > MAX_WISHES) this.#wishes.splice(1, 1);
    this.#working ??= this.#work();
  }

  /** `ready` is not for this to say. */
  stateOf(key: IndexKey): "building" | "waiting" | "none" {
    if (this.problemOf(key) !== null) return "none";
    return this.#idle.signal.aborted ? "waiting" : "building";
  }

  /** Why there is no index; null when one can be made. */
  problemOf(key: IndexKey): Problem | null {
    const known = this.#problems.get(idOf(key));
    if (known === undefined) return null;
    if (this.#deps.clock.monotonicMs() - known.atMs < TRY_AGAIN_AFTER_MS) return known.problem;
    this.#problems.delete(idOf(key));
    return null;
  }

  noteProblem(key: IndexKey, error: AgentError): void {
    const [oldest] = this.#problems.keys();
    if (oldest !== undefined && this.#problems.size >= 100) this.#problems.delete(oldest);
    const problem = { code: error.code, message: error.message.slice(0, 2000) };
    this.#problems.set(idOf(key), { problem, atMs: this.#deps.clock.monotonicMs() });
  }

  /** A job begins: it shall have the machine and the storage to itself. */
  giveWay(): void {
    this.#jobsEnded ??= Promise.withResolvers();
    this.#idle.abort();
  }

  /** No job runs any more. */
  resume(): void {
    this.#idle = new AbortController();
    this.#jobsEnded?.resolve();
    this.#jobsEnded = undefined;
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#jobsEnded?.resolve();
    await this.#working;
  }

  /** MUST not reject: nobody awaits it but `stop`. */
  async #work(): Promise<void> {
    for (let wish = this.#wishes[0]; wish !== undefined; wish = this.#wishes[0]) {
      await this.#jobsEnded?.promise;
      if (this.#stopping.signal.aborted) break;
      const idle = this.#idle.signal;
      try {
        await this.#build(wish, AbortSignal.any([this.#stopping.signal, idle]));
      } catch (error) {
        if (idle.aborted && !this.#stopping.signal.aborted) continue;
        await this.#giveUp(wish.key, error);
      }
      this.#wishes.shift();
    }
    this.#wishes = [];
    this.#working = undefined;
  }

  async #giveUp(key: IndexKey, error: unknown): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    const reason = reasonOf(error);
    this.#deps.log.warn({ snapshot_id: key.snapshotId, reason }, "a snapshot's index could not be made");
    const known = error instanceof AgentError ? error : new AgentError("tree.index_unusable", reason);
    this.noteProblem(key, known);
    await this.#deps.store.drop(key).catch(() => undefined);
  }

  async #build(wish: Wish, signal: AbortSignal): Promise<void> {
    const { store } = this.#deps;
    await store.makeRoom();
    await store.use(wish.key, async (index) => {
      if (index.walk !== undefined) return;
      const walk = await this.#walk(wish, index, signal);
      const { access, key } = wish;
      const read = {
        access,
        snapshotId: key.snapshotId,
        index,
        signal,
        maxEntries: Number.POSITIVE_INFINITY,
      };
      const left = await openUntold(this.#deps, read, walk.toOpen, MAX_TO_OPEN);
      index.finishWalk(left + walk.left);
    });
    await store.makeRoom();
  }

  async #walk({ key, access }: Wish, index: SnapshotIndex, signal: AbortSignal): Promise<Walk> {
    const { store, clock, untilQuiet } = this.#deps;
    const walk = new Walk(index);
    const lines = new LineCutter(0, MAX_LINE_BYTES);
    let bytes = 0;
    const outcome = await runPiped(this.#deps, {
      argv: [access.resticPath, ...access.optionArgs, ...listAllArgs(key.snapshotId)],
      // Nobody waits for this: one core is enough.
      env: { ...access.env, GOMAXPROCS: "1" },
      ...{ redact: access.redact, timeoutMs: WALK_WITHIN_MS, signal },
      onChunk: async (chunk) => {
        if (bytes % CHECK_ROOM_BYTES < chunk.length) await store.checkRoom(key);
        bytes += chunk.length;
        index.batch(() => {
          for (const line of lines.push(chunk)) if (!line.truncated) walk.take(line.text);
        });
        await slept(clock, 0, signal);
        // restic waits as well, since nobody reads what it writes.
        await untilQuiet();
      },
    });
    const problem = problemOf(outcome);
    if (problem !== undefined) throw explain(problem, "/");
    return walk;
  }
}

const idOf = ({ snapshotId, foreign }: IndexKey): string => `${snapshotId}${foreign}`;
