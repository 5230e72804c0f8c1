/** Looking into a host's folders while a source group is written. Nothing of it is kept. */
import { type FsEntries, type FsList, maxFsEntries } from "@restic-manager/protocol";
import type { Db } from "../../platform/db/db.ts";
import { AppError } from "../../platform/errors.ts";
import { getHost } from "../hosts/hosts.ts";

export interface FolderDeps {
  db: Db;
  /**
   * Asks the host's agent for one page of a folder.
   * MUST throw AppError `hosts.offline`, `agent.no_answer` or `agent.too_many_requests` when there is no answer.
   */
  listFolder(hostId: string, question: Pick<FsList, "path" | "after" | "limit">): Promise<FsEntries>;
}

/**
 * One page of a folder of the host; an empty path is where the host begins.
 * @throws AppError as listFolder, or `unprocessable` with the code that the host itself gives
 */
export async function readFolder(
  deps: FolderDeps,
  input: { hostId: string; path?: string | undefined; after?: string | undefined },
): Promise<Pick<FsEntries, "entries" | "more">> {
  const host = await getHost(deps.db, input.hostId);
  const question = { path: input.path || null, after: input.after || null, limit: maxFsEntries };
  const { entries, more, error } = await deps.listFolder(host.id, question);
  if (error) throw new AppError("unprocessable", error.code, error.message);
  return { entries, more };
}
