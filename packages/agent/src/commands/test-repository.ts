/**
 * Tries an access that nobody has stored yet, or the stored one: opens the repository once, without a lock and within
 * the time that was asked for. Invariants: nothing of the access stays here, neither in memory nor on the disk; a test
 * waits for no job and holds none up.
 */
import { join } from "node:path";
import type { JobError, RepositoryTest, RepositoryTested } from "@restic-manager/protocol";
import { reasonOf } from "../platform/errors.ts";
import { removeTree } from "../platform/files.ts";
import { recognise } from "../restic/exit.ts";
import { probeRepository } from "../restic/probe.ts";
import type { CommandDeps } from "./job-context.ts";
import { isJobError, openRestic, toJobError } from "./restic-access.ts";

type Outcome = Pick<RepositoryTested, "outcome" | "error">;

const BUSY: JobError = {
  code: "agent.busy",
  message: "This host is testing another access at this moment. Wait until that is done, and test again.",
  last_lines: [],
};

const failed = (error: JobError): Outcome => ({ outcome: "failed", error });

/**
 * The agent's answers to `repository.test`. They never reject.
 * @param stopping ends a test that runs
 */
export function createRepositoryTester(
  deps: CommandDeps,
  accessRoot: string,
  stopping: AbortSignal,
): (request: RepositoryTest) => Promise<RepositoryTested> {
  let testing = false;
  return async (request) => {
    const { request_id } = request;
    const startMs = deps.clock.monotonicMs();
    const answer = (outcome: Outcome): RepositoryTested => {
      const duration_ms = Math.round(deps.clock.monotonicMs() - startMs);
      return { type: "repository.tested", request_id, ...outcome, duration_ms };
    };
    // A page that is reloaded again and again must not start restic without end.
    if (testing) return answer(failed(BUSY));
    testing = true;
    const filesDir = join(accessRoot, `test-${request_id}`);
    try {
      return answer(await tryAccess(deps, request, filesDir, stopping));
    } catch (error) {
      return answer(failed(internalError(error)));
    } finally {
      testing = false;
      await removeTree(filesDir).catch(() => undefined);
    }
  };
}

async function tryAccess(
  deps: CommandDeps,
  { access: repository, timeout_seconds }: RepositoryTest,
  filesDir: string,
  signal: AbortSignal,
): Promise<Outcome> {
  const access = await openRestic(deps, { repository, filesDir });
  if (isJobError(access)) return failed(access);
  const timeoutMs = timeout_seconds * 1000;
  // A job would wait and try again; a person wants to know why it does not work now.
  const isHopeless = (stderrTail: readonly string[]) => recognise(stderrTail) !== undefined;
  const probe = await probeRepository(deps, { ...access, signal, timeoutMs, isHopeless });
  switch (probe.kind) {
    case "ok":
      return { outcome: "ok", error: null };
    case "absent":
      return { outcome: "absent", error: null };
    case "failed":
      return failed(toJobError(probe.problem));
    case "aborted":
      return failed({
        code: "agent.stopping",
        message: "The agent is stopping. Test again.",
        last_lines: [],
      });
  }
}

function internalError(error: unknown): JobError {
  const message = `The agent could not run this test: ${reasonOf(error)}`.slice(0, 4000);
  return { code: "agent.internal", message, last_lines: [] };
}
