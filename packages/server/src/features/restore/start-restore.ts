/**
 * From a wish to a job: who may be restored to whom, and the trail that it leaves. Invariants: nothing is queued for a host
 * that is away; what writes over a host's files, or puts a host's files on another, has that host's name typed; the audit
 * entry stands on every host that it concerns, in the transaction of the job.
 */
import type { RestoreSpec } from "@restic-manager/protocol";
import { type Db, inTransaction } from "../../platform/db/db.ts";
import { AppError, type FieldProblem } from "../../platform/errors.ts";
import { type AuditTarget, recordAudit } from "../audit/audit.ts";
import { getHost, type Host } from "../hosts/hosts.ts";
import { announce, insertNewJob, type Job, type JobsDeps } from "../jobs/jobs.ts";
import {
  credentialsChangedAt,
  findRepository,
  noCredentials,
  refuseSwapped,
} from "../repositories/repositories.ts";
import { getSnapshot } from "../snapshots/snapshots.ts";
import { findProblems, type RestoreRequest, refuseProblems, toSpec } from "./restore-request.ts";

export interface RestoreDeps extends JobsDeps {
  /** Whether a host's agent is connected right now. */
  isConnected(hostId: string): boolean;
}

/** Selections that are written into the trail; a restore of a thousand says how many there were. */
const auditedPaths = 100;

/**
 * Makes the job, which comes before everything else that waits for its host.
 * @throws AppError `hosts.not_found`, `hosts.offline`, `hosts.name_mismatch`, `snapshots.not_found`, `restore.invalid`,
 *   `restore.same_host`, `repositories.no_credentials`, `repositories.swapped`
 */
export async function startRestore(
  deps: RestoreDeps,
  input: { hostId: string; request: RestoreRequest; actor: Job["actor"] },
): Promise<Job> {
  const { request, actor } = input;
  const source = await getHost(deps.db, input.hostId);
  const host = request.to === undefined ? source : await findOther(deps.db, source, request.to.host_id);
  refuseProblems([...findProblems(request, host.os === "windows"), ...findNameProblems(request, host)]);
  await getSnapshot(deps.db, source.id, request.snapshot_id);
  refuseOffline(deps, host);
  if (source.repositoryId === null || (await credentialsChangedAt(deps.db, source.id, "everyday")) === null)
    throw noCredentials();
  refuseSwapped(await findRepository(deps.db, source.repositoryId));
  const isOther = host.id !== source.id;
  const spec = toSpec(request, isOther ? { host_id: source.id, host_name: source.name } : null);
  const at = deps.clock.now();
  const job = await inTransaction(deps.db, async (tx) => {
    const made = await insertNewJob(
      tx,
      host,
      { hostId: host.id, spec, actor, repositoryId: source.repositoryId },
      at,
    );
    const payload = { ...describe(spec), job_id: made.id, from_host: source.name, to_host: host.name };
    for (const { id, name } of isOther ? [source, host] : [host]) {
      const target: AuditTarget = { kind: "host", id, name };
      await recordAudit(tx, { at, actor, action: "host.restore", target, payload });
    }
    return made;
  });
  announce(deps.bus, job);
  return job;
}

async function findOther(db: Db, source: Host, hostId: string): Promise<Host> {
  if (hostId !== source.id) return getHost(db, hostId);
  const message = `${source.name} is the snapshot's own host. Leave “to” out to restore there.`;
  throw new AppError("unprocessable", "restore.same_host", message, {
    details: [{ path: "to.host_id", message }],
  });
}

/** In place and on another host the name of the host that is written to must be typed. */
function findNameProblems({ target, to }: RestoreRequest, host: Host): FieldProblem[] {
  const message = `That is not the host's name. Type exactly ${host.name}.`;
  return [
    ...(target.kind === "in_place" && target.confirm_name !== host.name
      ? [{ path: "target.confirm_name", message }]
      : []),
    ...(to !== undefined && to.confirm_name !== host.name ? [{ path: "to.confirm_name", message }] : []),
  ];
}

function refuseOffline({ isConnected }: RestoreDeps, host: Host): void {
  if (isConnected(host.id)) return;
  const message = `${host.name} is offline, so nothing can be restored there now, and nothing was queued. Start its agent, or restore to another host.`;
  throw new AppError("conflict", "hosts.offline", message);
}

/** Target, selections and mode, as the trail keeps them. */
function describe(spec: RestoreSpec): Record<string, unknown> {
  const { target, paths, path_map } = spec;
  return {
    snapshot_id: spec.snapshot_id,
    mode: target.kind,
    target: target.kind === "directory" ? (target.path ?? null) : null,
    overwrite: target.kind === "in_place" ? target.overwrite : null,
    paths: paths.slice(0, auditedPaths),
    path_count: paths.length,
    includes: spec.includes.slice(0, auditedPaths),
    excludes: spec.excludes.slice(0, auditedPaths),
    path_map,
    keep_ownership: spec.keep_ownership,
    dry_run: spec.dry_run,
    verify: spec.verify,
  };
}
