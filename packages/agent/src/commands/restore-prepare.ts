/**
 * Everything that is decided before a restore writes: what the selections are, where they go, and that they may go there.
 * The decision is kept with the job: an agent that restarts goes on with the same, though the target is no longer empty.
 */
import { dirname, join, relative, sep } from "node:path";
import type { JobError, RepositoryAccess, RestoreSpec } from "@restic-manager/protocol";
import { z } from "zod";
import { readTextIfExists, writeFileAtomic } from "../platform/files.ts";
import { readUser } from "../platform/ownership.ts";
import { findPatternProblem } from "../restic/patterns.ts";
import { joinRaw, rawOfSnapshotPath, shownRaw, toRaw } from "../restic/raw-path.ts";
import {
  type ActiveJob,
  type CommandDeps,
  type CommandOutcome,
  cancelledResult,
  failedResult,
  visible,
} from "./job-context.ts";
import { findUnopened, isJobError, openForJob } from "./restic-access.ts";
import { type Destination, planRestore } from "./restore-plan.ts";
import { findSelected, type Selected, type TreeSource } from "./restore-selection.ts";
import {
  checkNew,
  checkWritable,
  findForbidden,
  forbidden,
  isFolder,
  isInside,
  localFolder,
  type Protected,
  realPlace,
  resolveTarget,
} from "./restore-target.ts";

const kind = z.enum(["folder", "file", "link", "device", "fifo", "other", "unknown"]);

const decided = z.object({
  version: z.literal(1),
  /** The folder that everything goes to; null in place. */
  root: z.string().nullable(),
  runs: z.array(
    z.object({ folder: z.string(), target: z.string(), names: z.array(z.string()), byPattern: z.boolean() }),
  ),
  destinations: z.array(
    z.object({
      path: z.string(),
      kind,
      sizeBytes: z.number().nullable(),
      owner: z.object({ uid: z.number(), gid: z.number() }).nullable(),
      to: z.string(),
      byPattern: z.boolean(),
    }),
  ),
});
export type Decided = z.infer<typeof decided>;

/** As many names as a sentence bears. */
const NAMED = 10;

export type Prepared = { kind: "ready"; decided: Decided } | { kind: "over"; outcome: CommandOutcome };

/** What an earlier agent decided, or a decision of this moment, which is written down before anything else is. */
export async function prepareRestore(
  deps: CommandDeps,
  job: ActiveJob,
  spec: RestoreSpec,
): Promise<Prepared> {
  const path = join(job.dir, "restore-plan.json");
  const text = await readTextIfExists(path);
  if (text !== undefined) return { kind: "ready", decided: decided.parse(JSON.parse(text)) };
  const made = await decide(deps, job, spec);
  if (made.kind === "ready") await writeFileAtomic(path, JSON.stringify(made.decided));
  return made;
}

async function decide(deps: CommandDeps, job: ActiveJob, spec: RestoreSpec): Promise<Prepared> {
  if (job.cancelled.aborted) return over(cancelledResult());
  const problem = findSpecProblem(spec);
  if (problem !== undefined) return refused(problem);
  const access = await openForJob(deps, job);
  if (isJobError(access)) return refused(access);
  const root = await findRoot(deps, job, spec);
  if (typeof root !== "string" && root !== null) return refused(root);
  const unopened = await findUnopened(deps, job, access);
  if (unopened !== undefined) return over(unopened);
  const signal = AbortSignal.any([job.cancelled, job.detached]);
  const source = { snapshotId: spec.snapshot_id, access, signal };
  const found = await findSelected(deps, source, spec.paths.map(rawOfSnapshotPath));
  if (found.kind === "aborted") return over(job.detached.aborted ? "detached" : cancelledResult());
  if (found.kind === "failed") return refused(found.error);
  if (found.missing.length > 0) return refused(notInSnapshot(found.missing.map(shownRaw)));
  return settle(deps, job, spec, { root, selected: found.selected, source });
}

type Found = { root: string | null; selected: Selected[]; source: TreeSource };

async function settle(
  deps: CommandDeps,
  job: ActiveJob,
  spec: RestoreSpec,
  { root, selected, source }: Found,
): Promise<Prepared> {
  const plan = await planRestore({ spec, selected, root, platform: deps.platform, isFolder });
  if ("problem" in plan)
    return refused({ code: "restore.invalid_path", message: plan.problem, last_lines: [] });
  const barred =
    root === null
      ? await findBarred(deps, source, plan.destinations, guardedOf(deps, job.access?.repository))
      : undefined;
  if (barred !== undefined) return refused(barred);
  for (const { target } of plan.runs) {
    const writable = await checkWritable(target);
    if (writable.kind === "refused") return refused(writable.error);
  }
  return { kind: "ready", decided: { version: 1, root, ...plan } };
}

function findSpecProblem({ includes, excludes }: RestoreSpec): JobError | undefined {
  const both =
    includes.length > 0 && excludes.length > 0
      ? "A restore takes patterns of what to restore, or of what to leave out, not both."
      : undefined;
  const message = both ?? findPatternProblem([...includes, ...excludes]);
  return message === undefined ? undefined : { code: "restore.invalid_pattern", message, last_lines: [] };
}

/** The folder that everything goes to, null in place, or why there is none. */
async function findRoot(
  deps: CommandDeps,
  job: ActiveJob,
  { target }: RestoreSpec,
): Promise<string | null | JobError> {
  if (target.kind === "in_place") return null;
  const { home } = readUser(deps.inherited);
  const programData = deps.inherited.ProgramData || "C:\\ProgramData";
  const places = { platform: deps.platform, home, programData };
  const wanted = resolveTarget(target.path ?? null, places, job.entry.job_id);
  if (wanted.kind === "refused") return wanted.error;
  const inside = await findForbidden(wanted.path, guardedOf(deps, job.access?.repository), deps.platform);
  if (inside !== undefined) return inside;
  const checked = await checkNew(wanted.path);
  return checked.kind === "refused" ? checked.error : checked.path;
}

/** What no restore may write to: the agent's own files, and repositories on this host. */
function guardedOf(deps: CommandDeps, own: RepositoryAccess | undefined): Protected[] {
  const locations = [own?.location, deps.findRepository()?.location];
  const repositories = locations.flatMap((location) => {
    const path = location === undefined ? undefined : localFolder(location);
    return path === undefined ? [] : [{ path, what: "a repository" }];
  });
  return [{ path: dirname(deps.workDir), what: "the agent's data" }, ...repositories];
}

/** In place: a selection that lies in what is guarded, or brings it along. */
async function findBarred(
  deps: CommandDeps,
  source: TreeSource,
  destinations: readonly Destination[],
  guarded: readonly Protected[],
): Promise<JobError | undefined> {
  for (const destination of destinations) {
    const place = shownRaw(destination.to);
    const inside = await findForbidden(place, guarded, deps.platform);
    if (inside !== undefined) return inside;
    const real = await realPlace(place);
    for (const { path, what } of guarded) {
      const folder = await realPlace(path);
      if (folder === real || !isInside(folder, real, deps.platform)) continue;
      const inSnapshot = joinRaw(destination.path, toRaw(relative(real, folder).replaceAll(sep, "/")));
      const found = await findSelected(deps, source, [inSnapshot]);
      if (found.kind === "ok" && found.selected.length > 0)
        return forbidden(place, `has ${what} in it (${visible(path)}) in this snapshot`);
    }
  }
  return undefined;
}

function notInSnapshot(missing: readonly string[]): JobError {
  const named = missing.slice(0, NAMED).map((path) => visible(path.slice(0, 300)));
  const more = missing.length > NAMED ? ` and ${missing.length - NAMED} more` : "";
  const message = `The snapshot does not have ${named.join(", ")}${more}. Nothing was restored; choose the paths again.`;
  return { code: "restore.path_not_in_snapshot", message, last_lines: [] };
}

function refused(error: JobError): Prepared {
  return over(failedResult(error));
}

function over(outcome: CommandOutcome): Prepared {
  return { kind: "over", outcome };
}
