/** The part of a repository that a check by hand reads next. */
import type { Db } from "../../platform/db/db.ts";
import { nextSlice } from "./coverage.ts";
import { getMaintenance, hostWithRepository } from "./edit-maintenance.ts";
import { listCheckedSlices } from "./maintenance.store.ts";

/** Null when its checks read no parts in turn. @throws AppError as hostWithRepository */
export async function nextCheckSlice(db: Db, hostId: string): Promise<{ slice: number; of: number } | null> {
  const { repositoryId } = await hostWithRepository(db, hostId);
  const { checkSlices: of } = await getMaintenance(db, repositoryId);
  return of === null ? null : { slice: nextSlice(await listCheckedSlices(db, repositoryId), of), of };
}
