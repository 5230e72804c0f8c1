/** Reading and changing when a repository looks after itself. */
import { readCron } from "@restic-manager/protocol";
import type { Clock } from "../../platform/clock.ts";
import { type Db, inTransaction } from "../../platform/db/db.ts";
import { AppError, type FieldProblem, invalidFields } from "../../platform/errors.ts";
import type { EventBus } from "../../platform/events.ts";
import type { Actor } from "../../platform/http/identity.ts";
import type { SecretBox } from "../../platform/secrets.ts";
import { recordAudit } from "../audit/audit.ts";
import { getHost, type Host, hostChanged, listHostsOfRepository } from "../hosts/hosts.ts";
import { noCredentials } from "../repositories/repositories.ts";
import { defaultMaintenance, type Maintenance } from "./cadences.ts";
import * as store from "./maintenance.store.ts";

export interface MaintenanceDeps {
  db: Db;
  box: SecretBox;
  clock: Clock;
  bus: EventBus;
}

/** What a person writes. */
export type MaintenanceDraft = Omit<Maintenance, "repositoryId" | "version" | "updatedAt">;

/** More slices than days in three years would never come round. */
export const maxCheckSlices = 256;

/** What holds for a repository, set or by default. */
export const getMaintenance = async (db: Db, repositoryId: string): Promise<Maintenance> =>
  (await store.findMaintenance(db, repositoryId)) ?? defaultMaintenance(repositoryId);

/** What holds for a host's repository; the defaults for a host that has none yet. */
export const maintenanceOf = async (db: Db, host: Pick<Host, "repositoryId">): Promise<Maintenance> =>
  host.repositoryId === null ? defaultMaintenance("") : getMaintenance(db, host.repositoryId);

/** A host and the repository that it backs up to. @throws AppError `hosts.not_found`, `repositories.no_credentials` */
export async function hostWithRepository(
  db: Db,
  hostId: string,
): Promise<{ host: Host; repositoryId: string }> {
  const host = await getHost(db, hostId);
  if (host.repositoryId === null) throw noCredentials();
  return { host, repositoryId: host.repositoryId };
}

/**
 * Replaces a repository's maintenance, whichever of its hosts is named. Planned times count from now on.
 * @param input.version the one that was read, 0 for the defaults
 * @throws AppError as hostWithRepository, `maintenance.invalid`, and `maintenance.edit_conflict` when `version` is not
 *   the stored one: its details hold the maintenance as it is now and the names of the fields that differ
 */
export async function editMaintenance(
  deps: MaintenanceDeps,
  input: { hostId: string; version: number; draft: MaintenanceDraft; actor: Actor },
): Promise<Maintenance> {
  const { hostId, version, actor } = input;
  const draft = tidy(input.draft);
  const at = deps.clock.now();
  const edited = await inTransaction(deps.db, async (tx) => {
    const { host, repositoryId } = await hostWithRepository(tx, hostId);
    const before = await getMaintenance(tx, repositoryId);
    const changed = changedFields(before, draft);
    if (before.version !== version) throw editConflict(before, changed);
    if (changed.length === 0) return before;
    const sharers = await listHostsOfRepository(tx, repositoryId);
    const problems = checkDraft(draft, sharers);
    if (problems.length > 0) throw invalidFields("maintenance.invalid", problems);
    const after = { ...before, ...draft, version: version + 1, updatedAt: at };
    if (!(await store.replaceMaintenance(tx, after, { version, at }))) throw editConflict(before, changed);
    const target = { kind: "host", id: host.id, name: host.name };
    const payload = { repository_id: repositoryId, fields: changed, ...wireMaintenance(draft) };
    await recordAudit(tx, { at, actor, action: "repository.maintenance_edit", target, payload });
    return after;
  });
  deps.bus.emit(hostChanged, { hostId });
  return edited;
}

const tidyCron = (cron: string | null): string | null =>
  cron === null || cron.trim() === "" ? null : cron.trim().split(/\s+/).join(" ");

/** The stored spelling: one blank between fields, and nothing for what is off. */
const tidy = (draft: MaintenanceDraft): MaintenanceDraft => ({
  ownerHostId: draft.ownerHostId,
  timeZone: draft.timeZone.trim(),
  forgetCron: tidyCron(draft.forgetCron),
  pruneCron: tidyCron(draft.pruneCron),
  checkCron: tidyCron(draft.checkCron),
  verifyCron: tidyCron(draft.verifyCron),
  checkPercent: draft.checkPercent,
  checkSlices: draft.checkSlices,
  verifyFiles: draft.verifyFiles,
  verifyBytes: draft.verifyBytes,
  maxRemovedPercent: draft.maxRemovedPercent,
});

/** Everything that is wrong with a draft, by the fields' wire names. */
function checkDraft(draft: MaintenanceDraft, sharers: readonly Host[]): FieldProblem[] {
  return [...cronProblems(draft), ...amountProblems(draft), ...ownerProblems(draft, sharers)];
}

function cronProblems(draft: MaintenanceDraft): FieldProblem[] {
  const problems = new Map<string, string>();
  const crons = [
    ["forget_cron", draft.forgetCron],
    ["prune_cron", draft.pruneCron],
    ["check_cron", draft.checkCron],
    ["verify_cron", draft.verifyCron],
    // With everything off the zone is still looked at.
    ["time_zone", "0 0 * * *"],
  ] as const;
  for (const [path, cron] of crons) {
    if (cron === null) continue;
    const read = readCron(cron, draft.timeZone);
    if (!("problem" in read)) continue;
    const { field, message } = read.problem;
    problems.set(field === "time_zone" ? "time_zone" : path, message);
  }
  return [...problems].map(([path, message]) => ({ path, message }));
}

function amountProblems(draft: MaintenanceDraft): FieldProblem[] {
  const { checkPercent, checkSlices, maxRemovedPercent } = draft;
  const problems: FieldProblem[] = [];
  if (checkPercent !== null && !(checkPercent > 0 && checkPercent <= 100)) {
    const message = "A check reads more than 0 and up to 100 percent of the data.";
    problems.push({ path: "check_percent", message });
  }
  if (
    checkSlices !== null &&
    !(Number.isInteger(checkSlices) && checkSlices >= 1 && checkSlices <= maxCheckSlices)
  ) {
    problems.push({ path: "check_slices", message: `Between 1 and ${maxCheckSlices} slices, please.` });
  }
  if (checkPercent !== null && checkSlices !== null) {
    const message = "A check reads either a percentage or slices in turn. Leave one of them empty.";
    problems.push({ path: "check_slices", message });
  }
  problems.push(...drillProblems(draft));
  if (!(maxRemovedPercent >= 0 && maxRemovedPercent <= 100))
    problems.push({ path: "max_removed_percent", message: "Between 0 and 100 percent, please." });
  return problems;
}

/** More would not be a sample any more, but a restore that nobody watches. */
const maxDrillFiles = 10_000;
const maxDrillBytes = 1024 ** 4;

function drillProblems({ verifyFiles, verifyBytes }: MaintenanceDraft): FieldProblem[] {
  const isWithin = (amount: number, max: number) => Number.isInteger(amount) && amount >= 1 && amount <= max;
  return [
    ...(isWithin(verifyFiles, maxDrillFiles)
      ? []
      : [{ path: "verify_files", message: "Between 1 and 10,000 files, please." }]),
    ...(isWithin(verifyBytes, maxDrillBytes)
      ? []
      : [{ path: "verify_bytes", message: "More than nothing and up to 1 TiB, please." }]),
  ];
}

function ownerProblems({ ownerHostId }: MaintenanceDraft, sharers: readonly Host[]): FieldProblem[] {
  if (ownerHostId === null || sharers.some((host) => host.id === ownerHostId)) return [];
  const message = `This host does not back up to this repository. Choose one of ${sharers.map(({ name }) => name).join(", ")}.`;
  return [{ path: "owner_host_id", message }];
}

/** With the API's names. */
export const wireMaintenance = (draft: MaintenanceDraft) => ({
  owner_host_id: draft.ownerHostId,
  time_zone: draft.timeZone,
  forget_cron: draft.forgetCron,
  prune_cron: draft.pruneCron,
  check_cron: draft.checkCron,
  verify_cron: draft.verifyCron,
  check_percent: draft.checkPercent,
  check_slices: draft.checkSlices,
  verify_files: draft.verifyFiles,
  verify_bytes: draft.verifyBytes,
  max_removed_percent: draft.maxRemovedPercent,
});

/** The wire names of what a draft would change. */
function changedFields(before: Maintenance, draft: MaintenanceDraft): string[] {
  const now = wireMaintenance(before);
  const then = wireMaintenance(draft);
  return (Object.keys(now) as (keyof typeof now)[]).filter((field) => now[field] !== then[field]);
}

function editConflict(current: Maintenance, changed: string[]): AppError {
  const message =
    "Somebody else changed this maintenance since you opened it. Look at what it is now, then save again.";
  return new AppError("conflict", "maintenance.edit_conflict", message, { details: { current, changed } });
}
