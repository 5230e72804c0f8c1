/**
 * What becomes of source groups when something runs: the specs of jobs. A spec is stored with its job, so hooks and
 * the host's caps are not in it; they are put in when it is sent, as they are then.
 */
import type { BackupSpec, Bandwidth, JobSpec } from "@restic-manager/protocol";
import type { Db } from "../../platform/db/db.ts";
import { AppError } from "../../platform/errors.ts";
import type { SecretBox } from "../../platform/secrets.ts";
import { getHost, type Host } from "../hosts/hosts.ts";
import type { Job, PlannedJob, RunRequest } from "../jobs/jobs.ts";
import { hooksOfRun } from "./hooks.ts";
import type { SourceGroup } from "./source-group.ts";
import { listSourceGroups } from "./sources.store.ts";

/** A backup of the group as it is, without hooks. What is off is left out: an agent of before knows less. */
export function specOfGroup(host: Host, group: SourceGroup): BackupSpec {
  const { excludeIfPresent, excludeLargerThanBytes, oneFileSystem, excludeCaches, minSizeBytes } =
    group.options;
  return {
    kind: "backup",
    host_name: host.name,
    source_group: group.name,
    includes: group.includes,
    excludes: group.excludes,
    ...(excludeIfPresent.length > 0 ? { exclude_if_present: excludeIfPresent } : {}),
    ...(excludeLargerThanBytes === null ? {} : { exclude_larger_than_bytes: excludeLargerThanBytes }),
    ...(excludeCaches ? { exclude_caches: true } : {}),
    ...(oneFileSystem ? { one_file_system: true } : {}),
    ...(minSizeBytes === null ? {} : { min_size_bytes: minSizeBytes }),
  };
}

type BackupRequest = Extract<RunRequest, { kind: "backup" }>;

/**
 * The jobs behind a wish to back a host up: one for each group that is meant.
 * @throws AppError `sources.not_found`, `sources.none`
 */
export async function backupsOf(db: Db, host: Host, request: BackupRequest): Promise<PlannedJob[]> {
  const limits = request.limits ? { limits: request.limits } : {};
  return (await groupsMeant(db, host, request)).map((group) => ({
    sourceGroupId: group.id,
    spec: { ...specOfGroup(host, group), ...limits },
  }));
}

async function groupsMeant(db: Db, host: Host, request: BackupRequest): Promise<SourceGroup[]> {
  const groups = await listSourceGroups(db, host.id);
  if (groups.length === 0) {
    const message = `${host.name} has no source group, so there is nothing to back up.`;
    throw new AppError("conflict", "sources.none", message);
  }
  const { source_group_id: one, source_group_ids: some = [] } = request;
  const wanted = new Set(one === undefined ? some : [one, ...some]);
  if (wanted.size === 0) return groups;
  const meant = groups.filter((group) => wanted.has(group.id));
  if (meant.length === wanted.size) return meant;
  throw new AppError("not_found", "sources.not_found", `${host.name} has no such source group.`);
}

/**
 * The spec as its agent gets it: with hooks, each the group's own or else the host's, and with the host's caps where
 * the run has none of its own. Secret as a whole.
 * @throws AppError `secrets.unreadable` when the key file is another one
 */
export async function completeBackupSpec(
  db: Db,
  box: SecretBox,
  host: Host,
  spec: BackupSpec,
  sourceGroupId: string | null,
): Promise<BackupSpec> {
  const hooks = await hooksOfRun(db, box, { hostId: host.id, groupId: sourceGroupId });
  return { ...spec, ...hooks, ...limitsOf(host, spec.limits) };
}

/**
 * A job's spec as its agent gets it.
 * @throws AppError as completeBackupSpec, and `hosts.not_found`
 */
export async function completeSpec(db: Db, box: SecretBox, job: Job): Promise<JobSpec> {
  const { spec, hostId, sourceGroupId } = job;
  if (spec.kind === "init" || spec.kind === "unlock" || spec.kind === "repair" || spec.kind === "key")
    return spec;
  if (spec.kind === "update") return spec;
  const host = await getHost(db, hostId);
  if (spec.kind !== "backup") return { ...spec, ...limitsOf(host, spec.limits) };
  return completeBackupSpec(db, box, host, spec, sourceGroupId);
}

/** Field by field: what the run says, else what the host's cap is. */
function limitsOf(host: Host, own: Bandwidth | null | undefined): { limits?: Bandwidth } {
  const upload = own?.upload_kib ?? host.uploadKib;
  const download = own?.download_kib ?? host.downloadKib;
  if (upload === null && download === null) return {};
  return {
    limits: {
      ...(upload === null ? {} : { upload_kib: upload }),
      ...(download === null ? {} : { download_kib: download }),
    },
  };
}
