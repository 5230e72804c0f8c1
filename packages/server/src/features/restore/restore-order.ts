/**
 * What is added to a restore when it is sent: the host's caps, and for another host's snapshot that host's access, for this
 * job alone. Its agent keeps it in memory and forgets it with the job. It is stored with no job.
 */
import type { Db } from "../../platform/db/db.ts";
import { AppError } from "../../platform/errors.ts";
import type { SecretBox } from "../../platform/secrets.ts";
import { findHost } from "../hosts/hosts.ts";
import type { Job, JobOrder } from "../jobs/jobs.ts";
import { findEverydayAccess, findRepository, refuseSwapped } from "../repositories/repositories.ts";
import { completeSpec } from "../sources/sources.ts";

/**
 * A restore as its agent gets it. Secret as a whole.
 * @throws AppError `repositories.swapped`, `restore.repository_changed`, `restore.source_gone`, `secrets.unreadable`: the
 *   job then ends as failed
 */
export async function completeRestoreOrder(deps: { db: Db; box: SecretBox }, job: Job): Promise<JobOrder> {
  const { db, box } = deps;
  const spec = await completeSpec(db, box, job);
  if (spec.kind !== "restore") return { spec };
  const source = await findHost(db, spec.from?.host_id ?? job.hostId);
  if (source === null) throw sourceGone(spec.from?.host_name ?? "The host");
  if (source.repositoryId !== job.repositoryId) {
    const message = `${source.name} backs up to another repository since this was asked for. Choose the snapshot again.`;
    throw new AppError("conflict", "restore.repository_changed", message);
  }
  if (job.repositoryId !== null) refuseSwapped(await findRepository(db, job.repositoryId));
  if (spec.from == null) return { spec };
  const found = await findEverydayAccess(db, box, source.id);
  if (found === null) throw sourceGone(source.name);
  return { spec, access: found.access };
}

function sourceGone(name: string): AppError {
  const message = `${name} was removed, or has no repository credentials any more, so its snapshots can't be reached.`;
  return new AppError("conflict", "restore.source_gone", message);
}
