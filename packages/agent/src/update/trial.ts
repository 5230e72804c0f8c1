/**
 * The first minutes of a new version, as it sees them itself: it has its time to be welcomed by the server, and puts the
 * previous version back when it is not. Set up before anything else of the agent, so that whatever fails or hangs
 * afterwards does not keep the host without an agent. A version that does not run at all is the guard's business.
 */
import { type Clock, slept } from "../platform/clock.ts";
import { reasonOf } from "../platform/errors.ts";
import type { Log } from "../platform/log.ts";
import {
  identifyProgram,
  readRecord,
  removeRecord,
  TRIAL_MS,
  type UpdatePaths,
  type UpdateRecord,
} from "./record.ts";
import { rollBack } from "./swap.ts";

export type TrialDeps = {
  clock: Clock;
  paths: UpdatePaths;
  platform: NodeJS.Platform;
  /** The version that runs. */
  version: string;
  /** Ends this program; what started it starts the program anew. */
  restart: () => void;
};

/** What is known of the update that a job is. */
export type Standing =
  /** No update of this job is under way, or it is over and went well. */
  | { kind: "none" }
  /** This is the new version, and nobody has welcomed it yet. */
  | { kind: "on_trial" }
  /** This is the version from before. */
  | { kind: "rolled_back"; reason: string };

export class Trial {
  readonly #deps: TrialDeps;
  readonly #over = new AbortController();
  readonly #passed = Promise.withResolvers<void>();
  #record: UpdateRecord | undefined;
  /** The job of an update that is over, while its record still lies there. */
  #leftOver: string | undefined;

  /** `record` is what lies beside the program. */
  constructor(deps: TrialDeps, record: UpdateRecord | undefined) {
    this.#deps = deps;
    this.#record = record;
  }

  /** Looks whether this version is on trial, and if so, its time begins. Never rejects. */
  static async begin(deps: TrialDeps): Promise<Trial> {
    const trial = new Trial(deps, await readOwnRecord(deps).catch(() => undefined));
    if (trial.#isOnTrial()) void trial.#waitForWelcome();
    return trial;
  }

  /** Resolves when this version was welcomed, and with it the update is over. */
  get passed(): Promise<void> {
    return this.#passed.promise;
  }

  standingOf(jobId: string): Standing {
    const record = this.#record;
    if (record?.job !== jobId) return { kind: "none" };
    if (record.rolled_back !== null) return { kind: "rolled_back", reason: record.rolled_back };
    return this.#isOnTrial() ? { kind: "on_trial" } : { kind: "none" };
  }

  /** The server has welcomed this version. MUST not reject: it happens in the middle of a connection's beginning. */
  async welcomed(log: Log): Promise<void> {
    if (this.#isOnTrial()) {
      this.#over.abort();
      this.#leftOver = this.#record?.job;
      this.#record = undefined;
    }
    if (this.#leftOver === undefined) return;
    await this.#removeLeftOver(this.#leftOver).catch((error: unknown) => {
      log.error(
        { reason: reasonOf(error) },
        "the record of the update can't be removed; the next welcome tries again",
      );
    });
    this.#passed.resolve();
  }

  async #removeLeftOver(job: string): Promise<void> {
    const { record } = this.#deps.paths;
    // Another update may have begun meanwhile, and the record is then that one's.
    if ((await readRecord(record))?.job === job) await removeRecord(record);
    this.#leftOver = undefined;
  }

  /** Removes what is left of an update whose job this host does not know any more. */
  async forgetUnless(isKnown: (jobId: string) => boolean): Promise<void> {
    const record = this.#record;
    if (record === undefined || this.#isOnTrial() || isKnown(record.job)) return;
    await removeRecord(this.#deps.paths.record).catch(() => undefined);
    this.#record = undefined;
  }

  /** Ends the wait without any judgement: the agent stops. */
  stop(): void {
    this.#over.abort();
  }

  #isOnTrial(): boolean {
    return this.#record?.rolled_back === null && this.#record.to === this.#deps.version;
  }

  async #waitForWelcome(): Promise<void> {
    const { clock, paths, platform, version, restart } = this.#deps;
    if (!(await slept(clock, TRIAL_MS, this.#over.signal))) return;
    const reason = `${version} ran, but got no welcome of the server in ${TRIAL_MS / 1000} seconds.`;
    // Where that fails, the guard sees to it at the next start.
    await rollBack(paths, reason, platform).catch(() => undefined);
    restart();
  }
}

/** The record, unless somebody has installed the same version by hand since: then nobody waits for a verdict. */
async function readOwnRecord({ paths, version }: TrialDeps): Promise<UpdateRecord | undefined> {
  const record = await readRecord(paths.record);
  if (record?.to !== version || record.program === (await identifyProgram(paths.program))) return record;
  await removeRecord(paths.record);
  return undefined;
}
