/**
 * Answers the server's questions about what is in a snapshot: from the index where it knows, else from restic. Invariants:
 * every question is answered once, also one that is cancelled; at most two resting on restic at a time; nothing takes a
 * lock; an answer fits into a frame.
 */
import { dirname, join } from "node:path";
import {
  maxFrameBytes,
  type RepositoryAccess,
  type TreeAnswer,
  type TreeCount,
  type TreeCounts,
  type TreeIndex,
  type TreeList,
  type TreeMatches,
  type TreePage,
  type TreeQuestion,
  type TreeSearch,
  type TreeVersionList,
  type TreeVersions,
} from "@restic-manager/protocol";
import type { CommandDeps, ResticAccess } from "../commands/job-context.ts";
import { isJobError, openRestic } from "../commands/restic-access.ts";
import { slept } from "../platform/clock.ts";
import { AgentError, reasonOf } from "../platform/errors.ts";
import { removeTree } from "../platform/files.ts";
import type { Log } from "../platform/log.ts";
import { needsFiles } from "../restic/access-files.ts";
import { findVersions } from "./find-versions.ts";
import { IndexBuilder } from "./index-builder.ts";
import { type IndexKey, type IndexLimits, IndexStore, isSqliteError } from "./index-store.ts";
import { compilePattern } from "./pattern.ts";
import { notFound, readFolder } from "./read-folder.ts";
import { SnapshotIndex } from "./snapshot-index.ts";
import { Turns } from "./turns.ts";

export type TreeDeps = CommandDeps & {
  log: Log /** For the indexes. */;
  treeDir: string;
  indexLimits?: IndexLimits;
};

/** The access of another host whose snapshot it is; absent for this host's own. */
type GivenByQuestion = RepositoryAccess | null | undefined;

const AT_ONCE = 2;
const WAITING = 16;
/** Without an index on the disk a folder is kept in memory while it is answered: some 50 MB. */
const MAX_IN_MEMORY = 200_000;
/** Beside the entries a frame has little. */
const MAX_ENTRIES_BYTES = maxFrameBytes - 64 * 1024;
const LOOK_AFTER_MS = 5 * 60_000;
/** A search holds up nothing else for longer. */
const SEARCH_STEP_MS = 20;

const NO_INDEX: TreeIndex = { state: "none", entries: 0, problem: null };

export class Tree {
  readonly #deps: TreeDeps;
  readonly #store: IndexStore;
  readonly #builder: IndexBuilder;
  readonly #turns = new Turns(AT_ONCE, WAITING);
  readonly #stopping = new AbortController();
  readonly #asked = new Map<string, AbortController>();
  readonly #answering = new Set<Promise<unknown>>();
  /** Questions that rest on restic now; `quiet` resolves when there are none any more. */
  #reading = 0;
  #quiet: PromiseWithResolvers<void> | undefined;

  constructor(deps: TreeDeps) {
    this.#deps = deps;
    const limits = deps.indexLimits === undefined ? {} : { limits: deps.indexLimits };
    this.#store = new IndexStore({ dir: deps.treeDir, clock: deps.clock, log: deps.log, ...limits });
    const untilQuiet = async () => this.#quiet?.promise;
    this.#builder = new IndexBuilder({ ...deps, store: this.#store, untilQuiet });
  }

  /** Never rejects. */
  async start(): Promise<void> {
    await this.#store.start();
    this.#answering.add(this.#lookAfter());
  }

  /** Ends every restic of this. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    for (const asked of this.#asked.values()) asked.abort();
    await this.#builder.stop();
    await Promise.all(this.#answering);
    this.#store.stop();
  }

  /** A job begins. */
  giveWay(): void {
    this.#builder.giveWay();
  }

  /** No job runs any more. */
  resume(): void {
    this.#builder.resume();
  }

  /** Nobody waits for this answer any more. Idempotent. */
  cancel(requestId: string): void {
    this.#asked.get(requestId)?.abort();
  }

  /** Never rejects. */
  async answer(question: TreeQuestion): Promise<TreeAnswer> {
    const cancelled = new AbortController();
    if (this.#stopping.signal.aborted) cancelled.abort();
    this.#asked.set(question.request_id, cancelled);
    const answer = this.#answer(question, cancelled.signal);
    this.#answering.add(answer);
    try {
      return await answer;
    } finally {
      this.#answering.delete(answer);
      this.#asked.delete(question.request_id);
    }
  }

  #answer(question: TreeQuestion, signal: AbortSignal): Promise<TreeAnswer> {
    switch (question.type) {
      case "tree.list":
        return this.#list(question, signal);
      case "tree.search":
        return this.#search(question, signal);
      case "tree.versions":
        return this.#versions(question, signal);
      case "tree.count":
        return this.#count(question, signal);
    }
  }

  async #list(question: TreeList, signal: AbortSignal): Promise<TreePage> {
    const { request_id } = question;
    const key = keyOf(question);
    try {
      const page = (await this.#knownPage(question)) ?? (await this.#readPage(question, signal));
      const fitting = cut(page.entries);
      const more = page.more || fitting.length < page.entries.length;
      return {
        type: "tree.page",
        request_id,
        entries: fitting,
        more,
        index: await this.#indexOf(key),
        error: null,
      };
    } catch (error) {
      const refused = { entries: [], more: false, index: NO_INDEX, error: toProblem(error) };
      return { type: "tree.page", request_id, ...refused };
    }
  }

  /** From a finished index, which asks neither restic nor for the access to a repository. */
  async #knownPage(question: TreeList) {
    const { path, after, limit } = question;
    const key = keyOf(question);
    try {
      if (!(await this.#store.has(key))) return undefined;
      return await this.#store.use(key, async (index) => index.page(path, after, limit));
    } catch (error) {
      if (isNoIndex(error)) return undefined;
      throw error;
    }
  }

  async #readPage(question: TreeList, signal: AbortSignal) {
    const key = keyOf(question);
    return this.#opened(question.access, async (access) => {
      const page = await this.#withIndex(key, (index, maxEntries) =>
        this.#page(question, { index, maxEntries, access, signal }),
      );
      this.#wish(key, access, question.access);
      return page;
    });
  }

  async #page(
    { snapshot_id, path, after, limit }: TreeList,
    from: { index: SnapshotIndex; maxEntries: number; access: ResticAccess; signal: AbortSignal },
  ) {
    const known = from.index.page(path, after, limit);
    if (known !== undefined) return known;
    await this.#inTurn(() => readFolder(this.#deps, { ...from, snapshotId: snapshot_id }, path));
    const page = from.index.page(path, after, limit);
    if (page === undefined)
      throw new AgentError("tree.failed", "The folder was read and can't be found again.");
    return page;
  }

  async #search(question: TreeSearch, signal: AbortSignal): Promise<TreeMatches> {
    const { request_id, pattern, after, limit } = question;
    const key = keyOf(question);
    try {
      const index = await this.#wishedIndex(question);
      const answer = { type: "tree.matches" as const, request_id, index, error: null };
      if (index.state !== "ready") return { ...answer, matches: [], more: false };
      const rest = this.#resting(signal);
      const found = await this.#store.use(key, (whole) =>
        whole.search(compilePattern(pattern), after, limit, rest),
      );
      const matches = cut(found.matches);
      return { ...answer, matches, more: found.more || matches.length < found.matches.length };
    } catch (error) {
      return {
        type: "tree.matches",
        request_id,
        matches: [],
        more: false,
        index: NO_INDEX,
        error: toProblem(error),
      };
    }
  }

  async #count(question: TreeCount, signal: AbortSignal): Promise<TreeCounts> {
    const { request_id, paths } = question;
    const answer = { type: "tree.counts" as const, request_id };
    const uncounted = { files: null, folders: null, size_bytes: null };
    try {
      const index = await this.#wishedIndex(question);
      if (index.state !== "ready") return { ...answer, ...uncounted, index, error: null };
      const rest = this.#resting(signal);
      const counted = await this.#store.use(keyOf(question), (whole) => whole.count(paths, rest));
      if ("missing" in counted) throw notFound(counted.missing);
      const { files, folders, sizeBytes } = counted;
      return { ...answer, files, folders, size_bytes: sizeBytes, index, error: null };
    } catch (error) {
      return { ...answer, ...uncounted, index: NO_INDEX, error: toProblem(error) };
    }
  }

  /** How far the index is that a question needs; one that is not there is begun. */
  async #wishedIndex(question: TreeSearch | TreeCount): Promise<TreeIndex> {
    const key = keyOf(question);
    if (!(await this.#store.has(key)))
      await this.#opened(question.access, async (access) => this.#wish(key, access, question.access));
    return this.#indexOf(key);
  }

  async #versions(question: TreeVersions, signal: AbortSignal): Promise<TreeVersionList> {
    const { request_id, snapshot_ids: snapshotIds, path } = question;
    try {
      const found = await this.#opened(question.access, (access) =>
        this.#inTurn(() => findVersions(this.#deps, { access, snapshotIds, path, signal })),
      );
      return { type: "tree.version_list", request_id, ...found, error: null };
    } catch (error) {
      return {
        type: "tree.version_list",
        request_id,
        versions: [],
        truncated: false,
        error: toProblem(error),
      };
    }
  }

  /** On the disk; in memory, for this question only, where the disk has no room. */
  async #withIndex<T>(
    key: IndexKey,
    work: (index: SnapshotIndex, maxEntries: number) => Promise<T>,
  ): Promise<T> {
    try {
      return await this.#store.use(key, (index) => work(index, Number.POSITIVE_INFINITY));
    } catch (error) {
      if (!isNoIndex(error)) throw error;
      if (error instanceof AgentError) this.#builder.noteProblem(key, error);
    }
    const index = new SnapshotIndex(":memory:");
    try {
      return await work(index, MAX_IN_MEMORY);
    } finally {
      index.close();
    }
  }

  async #indexOf(key: IndexKey): Promise<TreeIndex> {
    const problem = this.#builder.problemOf(key);
    if (problem !== null) return { state: "none", entries: 0, problem };
    return this.#store.use(key, async ({ walk, entries }) => {
      if (walk === undefined) return { state: this.#builder.stateOf(key), entries, problem: null };
      return {
        state: "ready",
        entries: walk.entries,
        problem: walk.skipped === 0 ? null : leftOut(walk.skipped),
      };
    });
  }

  /** What another host's access needs in files goes with the question that brought it, so no index is built with them. */
  #wish(key: IndexKey, access: ResticAccess, given: GivenByQuestion): void {
    if (!given || !needsFiles(given)) this.#builder.wish({ key, access });
  }

  /** Works with the access that a question brought, or else the everyday one. */
  async #opened<T>(given: GivenByQuestion, work: (access: ResticAccess) => Promise<T>): Promise<T> {
    const { accessDir, random } = this.#deps;
    const filesDir = join(dirname(accessDir), `tree-${random.hex(8)}`);
    try {
      const opened = await openRestic(this.#deps, given ? { repository: given, filesDir } : undefined);
      if (isJobError(opened)) throw new AgentError(opened.code, opened.message);
      return await work(opened);
    } finally {
      if (given) await removeTree(filesDir);
    }
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    this.#reading += 1;
    this.#quiet ??= Promise.withResolvers();
    try {
      const done = await this.#turns.take(async () => ({ result: await work() }));
      if (done !== undefined) return done.result;
      throw new AgentError("tree.busy", "This host is looking into other folders. Try again in a moment.");
    } finally {
      this.#reading -= 1;
      if (this.#reading === 0) {
        this.#quiet.resolve();
        this.#quiet = undefined;
      }
    }
  }

  #resting(signal: AbortSignal): () => Promise<void> {
    const { clock } = this.#deps;
    let since = clock.monotonicMs();
    return async () => {
      if (signal.aborted) throw new AgentError("tree.cancelled", "Nobody waits for this any more.");
      if (clock.monotonicMs() - since < SEARCH_STEP_MS) return;
      await slept(clock, 0, signal);
      since = clock.monotonicMs();
    };
  }

  async #lookAfter(): Promise<void> {
    while (await slept(this.#deps.clock, LOOK_AFTER_MS, this.#stopping.signal))
      await this.#store.dropIdleForeign().catch(() => undefined);
  }
}

function keyOf({ snapshot_id, access }: TreeList | TreeSearch | TreeCount): IndexKey {
  return { snapshotId: snapshot_id, foreign: access != null };
}

/** As many as fit into a frame; names and paths may be long. */
function cut<T>(entries: T[]): T[] {
  if (Buffer.byteLength(JSON.stringify(entries)) <= MAX_ENTRIES_BYTES) return entries;
  let bytes = 0;
  const end = entries.findIndex((entry) => {
    bytes += Buffer.byteLength(JSON.stringify(entry)) + 1;
    return bytes > MAX_ENTRIES_BYTES;
  });
  return end < 0 ? entries : entries.slice(0, Math.max(1, end));
}

function isNoIndex(error: unknown): boolean {
  const codes = ["tree.no_room", "tree.index_unusable", "tree.index_too_large"];
  return isSqliteError(error) || (error instanceof AgentError && codes.includes(error.code));
}

function leftOut(folders: number) {
  const message = `${folders} folders with names that are not UTF-8 are not searched. They can be opened.`;
  return { code: "tree.names_left_out", message };
}

function toProblem(error: unknown): { code: string; message: string } {
  if (error instanceof AgentError) return { code: error.code, message: error.message.slice(0, 2000) };
  return {
    code: "tree.failed",
    message: `The snapshot can't be looked into: ${reasonOf(error)}.`.slice(0, 2000),
  };
}
