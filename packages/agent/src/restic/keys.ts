/** The keys of a repository: whose password opens it, and who made which. Reads only. */
import type { RepositoryKey } from "@restic-manager/protocol";
import { maxKeys } from "@restic-manager/protocol";
import { listKeysArgs } from "./args.ts";
import { describeProblem, type ResticProblem } from "./exit.ts";
import { askRestic, type ProbeOptions } from "./probe.ts";
import { type KeyFile, parseKeys } from "./repository-output.ts";
import type { ShortDeps } from "./short.ts";

export type KeysOutcome =
  | { kind: "opened" /** The key that the password opened. */; currentId: string; keys: RepositoryKey[] }
  | { kind: "failed"; problem: ResticProblem }
  | { kind: "aborted" };

/** Opens the repository and lists its keys, the oldest first: the shortest way to know that a password fits, and to which key. */
export async function readKeys(deps: ShortDeps, options: ProbeOptions): Promise<KeysOutcome> {
  const answer = await askRestic(deps, options, listKeysArgs());
  if (answer.kind !== "ok") return answer;
  const keys = parseKeys(answer.stdout);
  const current = keys?.find((key) => key.current);
  if (keys === undefined || current === undefined)
    return { kind: "failed", problem: describeProblem("restic.bad_output") };
  const listed = keys.toSorted(
    (a, b) => (a.createdAtMs ?? 0) - (b.createdAtMs ?? 0) || (a.id < b.id ? -1 : 1),
  );
  return { kind: "opened", currentId: current.id, keys: listed.slice(0, maxKeys).map(toWireKey) };
}

/** A key in the protocol's shape and bounds. */
function toWireKey({ id, username, hostname, createdAtMs }: KeyFile): RepositoryKey {
  return {
    id,
    username: username.slice(0, 256),
    hostname: hostname.slice(0, 253),
    created_at: createdAtMs === null ? null : new Date(createdAtMs).toISOString(),
  };
}
