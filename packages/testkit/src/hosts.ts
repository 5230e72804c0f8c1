/** Hosts as rows, for tests of what is about them. */
import { createHost, type Host, type NewHost } from "../../server/src/features/hosts/hosts.ts";
import type { Db } from "../../server/src/platform/db/db.ts";
import { newId } from "../../server/src/platform/random.ts";

/** A host as an enrolment leaves it. What nobody wishes is: named `h`, Linux on x64, without a repository. */
export function makeHost(db: Db, wish: Partial<NewHost> & Pick<NewHost, "at">): Promise<Host> {
  const id = newId(wish.at);
  const system = { name: "h", os: "linux", arch: "x64", tags: [], repositoryId: null };
  const versions = { agentVersion: null, resticVersion: null };
  return createHost(db, { ...system, ...versions, id, bearer: `bearer of ${id}`, ...wish });
}
