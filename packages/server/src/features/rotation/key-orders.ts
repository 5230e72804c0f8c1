/** What a rotation's job is sent with: passwords that are stored with no job. Looked up, and checked anew, as it is sent. */
import type { Db } from "../../platform/db/db.ts";
import { AppError } from "../../platform/errors.ts";
import type { SecretBox } from "../../platform/secrets.ts";
import { listHostsOfRepository } from "../hosts/hosts.ts";
import type { Job, JobOrder } from "../jobs/jobs.ts";
import { accessVersion, findAccess, findRepository, refuseSwapped } from "../repositories/repositories.ts";
import * as store from "./rotation.store.ts";
import { type AccessRow, passwordPlace, type Rotation } from "./rotation-state.ts";

/**
 * A key job as its agent gets it. Secret as a whole.
 * @throws AppError `repositories.swapped`, `rotation.over`, `rotation.access_changed`, `rotation.not_verified`: the job
 *   then ends as failed, and the rotation says so or tries again
 */
export async function completeKeyOrder(deps: { db: Db; box: SecretBox }, job: Job): Promise<JobOrder> {
  const { db, box } = deps;
  const { spec, repositoryId } = job;
  const rotation = repositoryId === null ? null : await store.findActive(db, repositoryId);
  if (!rotation || repositoryId === null || spec.kind !== "key") throw over();
  refuseSwapped(await findRepository(db, repositoryId));
  const password = box.open(rotation.sealedPassword ?? "", passwordPlace(rotation.id));
  const accesses = await store.listAccesses(db, rotation.id);
  const own = accesses.find(({ jobId }) => jobId === job.id);
  if (!own && rotation.jobId !== job.id) throw over();
  switch (spec.step) {
    case "add":
      return { spec, new_password: password };
    case "verify":
      return { spec };
    case "adopt": {
      const stored = own ? await findAccess(db, box, own.hostId, own.slot) : null;
      if (!stored || stored.version !== own?.version) throw accessChanged();
      return { spec, access: stored.access, new_password: password };
    }
    case "remove": {
      await refuseUnverified(db, rotation, accesses);
      const admin = await findAccess(db, box, job.hostId, "admin");
      const access = (admin ?? (await findAccess(db, box, job.hostId, "everyday")))?.access;
      if (!access) throw accessChanged();
      return { spec, access };
    }
  }
}

/** What goes now can't be brought back: every host that shares the repository is looked at once more. */
async function refuseUnverified(db: Db, rotation: Rotation, accesses: readonly AccessRow[]): Promise<void> {
  for (const { id: hostId } of await listHostsOfRepository(db, rotation.repositoryId)) {
    for (const slot of ["everyday", "admin"] as const) {
      const version = await accessVersion(db, hostId, slot);
      const row = accesses.find((access) => access.hostId === hostId && access.slot === slot);
      if (version !== null && (row?.version !== version || row.step !== "verified")) {
        const message =
          "Not every host is known to use the new password any more, so no key was removed. Those are switched first.";
        throw new AppError("conflict", "rotation.not_verified", message);
      }
    }
  }
}

const over = (): AppError =>
  new AppError(
    "conflict",
    "rotation.over",
    "The rotation that this step belongs to is over. Nothing was done.",
  );

const accessChanged = (): AppError =>
  new AppError(
    "conflict",
    "rotation.access_changed",
    "This host's credentials were edited at the same moment, so the step begins anew with them.",
  );
