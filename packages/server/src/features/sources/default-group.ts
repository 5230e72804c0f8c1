/** The source group that a host starts with. */
import type { Db } from "../../platform/db/db.ts";
import { newId } from "../../platform/random.ts";
import { recordAudit } from "../audit/audit.ts";
import type { Host } from "../hosts/hosts.ts";
import { noOptions, noRetention, retryDefaults, type SourceGroup } from "./source-group.ts";
import { insertSourceGroup } from "./sources.store.ts";

const defaultName = "default";

/**
 * Without initial paths: everything that can't be installed again, none of what the kernel makes up or a cache holds.
 * Of the agent's folder only what it makes again: a server may keep its database there.
 */
const wholeHost = {
  windows: { includes: ["C:\\Users"], excludes: [] },
  unix: {
    includes: ["/"],
    excludes: [
      "/dev",
      "/proc",
      "/run",
      "/sys",
      "/tmp",
      "/var/tmp",
      "/var/cache",
      ...["cache", "trees", "drills", "work", "update"].map((name) => `/var/lib/restic-manager/${name}`),
      "/lost+found",
    ],
  },
};

/** Runs in the transaction that creates the host. */
export async function createDefaultGroup(
  tx: Db,
  input: { host: Host; initialPaths: string[]; at: number },
): Promise<SourceGroup> {
  const { host, initialPaths, at } = input;
  const whole = host.os === "windows" ? wholeHost.windows : wholeHost.unix;
  const chosen = initialPaths.length > 0 ? { includes: initialPaths, excludes: [] } : whole;
  const group: SourceGroup = {
    id: newId(at),
    hostId: host.id,
    name: defaultName,
    ...chosen,
    options: noOptions,
    retention: noRetention,
    ...retryDefaults,
    version: 1,
    createdAt: at,
    updatedAt: null,
  };
  await insertSourceGroup(tx, group);
  await recordAudit(tx, {
    at,
    actor: { kind: "agent", id: host.id, name: host.name },
    action: "source_group.create",
    target: { kind: "host", id: host.id, name: host.name },
    payload: { name: group.name, includes: group.includes, excludes: group.excludes },
  });
  return group;
}
