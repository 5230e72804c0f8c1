/** What an update job is sent with, and what its end says about the host. */
import type { JobFinished } from "@restic-manager/protocol";
import type { Db } from "../../platform/db/db.ts";
import { AppError } from "../../platform/errors.ts";
import { type ReleaseShelf, signedSums } from "../artefacts/artefacts.ts";
import { getHost, type HostIdentity, recordRestic } from "../hosts/hosts.ts";
import type { Job, JobOrder } from "../jobs/jobs.ts";
import { obstacleOf } from "./update-run.ts";

/**
 * The job with the signed list as it is served now.
 * @throws AppError `updates.release_changed`, `artefacts.broken`, `artefacts.none`: the job then ends as failed
 */
export async function completeUpdateOrder(
  deps: { db: Db; shelf: Pick<ReleaseShelf, "current"> },
  { hostId, spec }: Job,
): Promise<JobOrder> {
  if (spec.kind !== "update") return { spec };
  const release = await deps.shelf.current();
  const { sums, signature } = signedSums(release);
  const host = await getHost(deps.db, hostId);
  if (obstacleOf(host, spec, release)?.code !== "update.no_artefact")
    return { spec: { ...spec, sums, signature } };
  const message = `The server does not serve ${spec.program} ${spec.version} for ${host.os}/${host.arch} any more: its files were replaced. Start the update again.`;
  throw new AppError("conflict", "updates.release_changed", message);
}

/** A restic that was replaced is known at once; the agent tells the rest with its next hello. */
export async function onUpdateFinished(tx: Db, host: HostIdentity, event: JobFinished): Promise<void> {
  const { result, status } = event;
  if (result?.kind !== "update" || result.program !== "restic" || status !== "succeeded") return;
  await recordRestic(tx, host.id, result.to);
}
