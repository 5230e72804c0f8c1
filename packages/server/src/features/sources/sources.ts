/**
 * Source groups: what a host backs up. A group's name is the tag of its snapshots, so it stays as it is.
 * In this version each host gets one group when it is enrolled.
 */
import type { Db } from "../../platform/db/db.ts";
import { AppError } from "../../platform/errors.ts";
import { newId } from "../../platform/random.ts";
import { recordAudit } from "../audit/audit.ts";
import type { Host } from "../hosts/hosts.ts";
import type { PlannedJob, RunRequest } from "../jobs/jobs.ts";
import { insertSourceGroup, listSourceGroups } from "./sources.store.ts";

export { type HookField, HookFields } from "./hooks.views.tsx";
export { listSourceGroups } from "./sources.store.ts";

export interface SourceGroup {
  id: string;
  hostId: string;
  name: string;
  /** Absolute paths on the host. */
  includes: string[];
  /** restic's exclude patterns. */
  excludes: string[];
  createdAt: number;
}

const defaultName = "default";

/** Without initial paths: everything that can't be installed again, none of what the kernel makes up or a cache holds. */
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
      "/var/lib/restic-manager",
      "/lost+found",
    ],
  },
};

/** The group that a host starts with. Runs in the transaction that creates the host. */
export async function createDefaultGroup(
  tx: Db,
  input: { host: Host; initialPaths: string[]; at: number },
): Promise<SourceGroup> {
  const { host, initialPaths, at } = input;
  const whole = host.os === "windows" ? wholeHost.windows : wholeHost.unix;
  const chosen = initialPaths.length > 0 ? { includes: initialPaths, excludes: [] } : whole;
  const group = { id: newId(at), hostId: host.id, name: defaultName, ...chosen, createdAt: at };
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

/**
 * The jobs behind a wish to run something on a host: one backup for each group that is meant.
 * @throws AppError `sources.not_found`, `sources.none`
 */
export async function specsOf(db: Db, host: Host, request: RunRequest): Promise<PlannedJob[]> {
  if (request.kind === "init") return [{ spec: { kind: "init", host_name: host.name }, sourceGroupId: null }];
  if (request.kind === "check") return [{ spec: { kind: "check" }, sourceGroupId: null }];
  const groups = await listSourceGroups(db, host.id);
  const meant = groups.filter(
    (group) => request.source_group_id === undefined || group.id === request.source_group_id,
  );
  if (groups.length > 0 && meant.length === 0) {
    throw new AppError("not_found", "sources.not_found", `${host.name} has no such source group.`);
  }
  if (meant.length === 0) {
    throw new AppError(
      "conflict",
      "sources.none",
      `${host.name} has no source group, so there is nothing to back up.`,
    );
  }
  return meant.map((group) => ({
    sourceGroupId: group.id,
    spec: {
      kind: "backup",
      host_name: host.name,
      source_group: group.name,
      includes: group.includes,
      excludes: group.excludes,
    },
  }));
}
