/**
 * Changes of source groups. Each is one transaction with its audit entry and the host's next schedule version, and
 * tells of it after the commit, for the agent runs its schedules from its own copy of the groups.
 */
import { type Db, inTransaction, isUniqueViolation } from "../../platform/db/db.ts";
import { AppError } from "../../platform/errors.ts";
import type { Actor } from "../../platform/http/identity.ts";
import { newId } from "../../platform/random.ts";
import { recordAudit } from "../audit/audit.ts";
import { bumpScheduleVersion, getHost, type Host, hostChanged, scheduleSetChanged } from "../hosts/hosts.ts";
import { hasBackupOf } from "../jobs/jobs.ts";
import { checkGroupDraft, fieldsOf, type GroupDraft } from "./group-draft.ts";
import { refuseProblems } from "./group-problems.ts";
import { deleteHooks, hookSlots } from "./hooks.store.ts";
import { compareHooks, hookFacts, openHooks, saveHooks } from "./hooks.ts";
import { differingFields, getSourceGroup, type SourceGroup, type SourcesDeps } from "./source-group.ts";
import {
  deleteSourceGroupRow,
  insertSourceGroup,
  listSourceGroups,
  updateSourceGroup,
} from "./sources.store.ts";
import { toWireGroup } from "./sources.wire.ts";

/** As many as one schedule or one wish to run can name. */
const maxGroups = 100;

/**
 * @throws AppError `hosts.not_found`, `sources.name_taken`, `sources.too_many`, or for what the draft says
 *   `sources.invalid`, `sources.path_relative`, `sources.path_foreign`, `sources.path_invalid`, `sources.too_large`,
 *   `sources.hook_too_large`
 */
export async function createSourceGroup(
  deps: SourcesDeps,
  input: { hostId: string; draft: GroupDraft; actor: Actor },
): Promise<SourceGroup> {
  return changeGroups(deps, input.hostId, (tx, host, at) => insertGroup(deps, tx, { ...input, host, at }));
}

/**
 * Changes a group that still has the version that the editor saw. Nothing happens when nothing differs.
 * @throws AppError as createSourceGroup, `sources.not_found`, `sources.name_in_use`, or `sources.edit_conflict`, whose
 *   details carry the group as it is now and the fields in which the draft differs from it
 */
export async function editSourceGroup(
  deps: SourcesDeps,
  input: { hostId: string; groupId: string; version: number; draft: GroupDraft; actor: Actor },
): Promise<SourceGroup> {
  const { hostId, groupId, version, draft } = input;
  const seen = await getSourceGroup(deps.db, hostId, groupId);
  if (seen.version === version && (await compareDraft(deps.db, seen, draft)).fields.length === 0) return seen;
  return changeGroups(deps, hostId, (tx, host, at) => replaceGroup(deps, tx, { ...input, host, at }));
}

/**
 * Removes a group with its hooks. Its snapshots stay in the repository, and its jobs in the list.
 * @throws AppError `hosts.not_found`, `sources.not_found`, `sources.last_group`, or `sources.in_use`, whose details
 *   name the schedules that run it
 */
export async function deleteSourceGroup(
  deps: SourcesDeps,
  input: { hostId: string; groupId: string; actor: Actor },
): Promise<void> {
  const { hostId, groupId, actor } = input;
  await changeGroups(deps, hostId, async (tx, host, at) => {
    const group = await getSourceGroup(tx, hostId, groupId);
    const schedules = await deps.schedulesUsing(tx, groupId);
    if (schedules.length > 0) throw inUse(group, schedules);
    if ((await listSourceGroups(tx, hostId)).length === 1) throw lastGroup(host);
    await deleteHooks(tx, groupId, hookSlots);
    await deleteSourceGroupRow(tx, groupId);
    const payload = { source_group_id: groupId, name: group.name };
    await recordAudit(tx, { at, actor, action: "source_group.delete", target: targetOf(host), payload });
  });
}

/**
 * Copies a group with its hooks to a host, under its own name or another.
 * @throws AppError as createSourceGroup for the host that gets it, `sources.not_found`, or `secrets.unreadable` when
 *   its hooks can't be opened
 */
export async function cloneSourceGroup(
  deps: SourcesDeps,
  input: { hostId: string; groupId: string; toHostId: string; name?: string | undefined; actor: Actor },
): Promise<SourceGroup> {
  const { hostId, groupId, toHostId, actor } = input;
  return changeGroups(deps, toHostId, async (tx, host, at) => {
    const from = await getHost(tx, hostId);
    const group = await getSourceGroup(tx, hostId, groupId);
    const name = input.name ?? group.name;
    const draft = { ...group, ...(await openHooks(tx, deps.box, groupId)), name };
    const copy = await insertGroup(deps, tx, { draft, actor, host, at });
    const payload = { name: group.name, to_host: host.name, to_name: name };
    await recordAudit(tx, { at, actor, action: "source_group.clone", target: targetOf(from), payload });
    return copy;
  });
}

/** One change of a host's groups, and what follows its commit. */
async function changeGroups<T>(
  deps: SourcesDeps,
  hostId: string,
  change: (tx: Db, host: Host, at: number) => Promise<T>,
): Promise<T> {
  const changed = await inTransaction(deps.db, async (tx) => {
    // First of all: it locks the host's row, so that two changes of one host see each other, and the last group stays.
    await bumpScheduleVersion(tx, hostId);
    return change(tx, await getHost(tx, hostId), deps.clock.now());
  });
  deps.events.emit(scheduleSetChanged, { hostId });
  deps.events.emit(hostChanged, { hostId });
  return changed;
}

interface Change {
  host: Host;
  draft: GroupDraft;
  actor: Actor;
  at: number;
}

async function insertGroup(deps: SourcesDeps, tx: Db, change: Change): Promise<SourceGroup> {
  const { host, draft, actor, at } = change;
  refuseProblems(checkGroupDraft(draft, host.os));
  if ((await listSourceGroups(tx, host.id)).length >= maxGroups) throw tooMany(host);
  const id = newId(at);
  const group = { id, hostId: host.id, ...fieldsOf(draft), version: 1, createdAt: at, updatedAt: null };
  await insertSourceGroup(tx, group).catch((error: unknown) => {
    throw isUniqueViolation(error) ? nameTaken(host, draft.name) : error;
  });
  const hooks = await compareHooks(tx, id, draft);
  await saveHooks(tx, deps.box, { ownerId: id, hostId: host.id, drafts: draft, slots: hooks.fields, at });
  const counts = { include_count: group.includes.length, exclude_count: group.excludes.length };
  const payload = { source_group_id: id, name: group.name, ...counts, ...hooks.digests };
  await recordAudit(tx, { at, actor, action: "source_group.create", target: targetOf(host), payload });
  return group;
}

async function replaceGroup(
  deps: SourcesDeps,
  tx: Db,
  change: Change & { groupId: string; version: number },
): Promise<SourceGroup> {
  const { host, groupId, version, draft, actor, at } = change;
  const stored = await getSourceGroup(tx, host.id, groupId);
  const { fields, hooks } = await compareDraft(tx, stored, draft);
  if (stored.version !== version) throw await editConflict(tx, stored, fields);
  refuseProblems(checkGroupDraft(draft, host.os));
  if (stored.name !== draft.name && (await hasBackupOf(tx, stored))) throw nameInUse(stored);
  const group = { ...stored, ...fieldsOf(draft), version: version + 1, updatedAt: at };
  const updated = await updateSourceGroup(tx, group, version).catch((error: unknown) => {
    throw isUniqueViolation(error) ? nameTaken(host, draft.name) : error;
  });
  if (!updated) throw await editConflict(tx, stored, fields);
  await saveHooks(tx, deps.box, {
    ownerId: groupId,
    hostId: host.id,
    drafts: draft,
    slots: hooks.fields,
    at,
  });
  const payload = { source_group_id: groupId, name: group.name, fields, ...hooks.digests };
  await recordAudit(tx, { at, actor, action: "source_group.edit", target: targetOf(host), payload });
  return group;
}

/** The fields in which a draft differs from what is stored, hooks included. */
async function compareDraft(db: Db, stored: SourceGroup, draft: GroupDraft) {
  const hooks = await compareHooks(db, stored.id, draft);
  return { hooks, fields: [...differingFields(stored, draft), ...hooks.fields] };
}

const targetOf = (host: Host) => ({ kind: "host", id: host.id, name: host.name });

function nameTaken(host: Host, name: string): AppError {
  const message = `${host.name} already has a source group called ${name}. Choose another name.`;
  return new AppError("conflict", "sources.name_taken", message, { details: [{ path: "name", message }] });
}

function nameInUse(group: SourceGroup): AppError {
  const message = `Snapshots of ${group.name} carry this name as their tag, so it can't change. Make a new group, or clone this one under another name.`;
  return new AppError("conflict", "sources.name_in_use", message, { details: [{ path: "name", message }] });
}

async function editConflict(db: Db, stored: SourceGroup, changed: string[]): Promise<AppError> {
  const current = toWireGroup(stored, (await hookFacts(db, [stored.id])).get(stored.id));
  const message =
    "Somebody else changed this source group meanwhile. Look at what is stored now, then save yours again or leave it.";
  return new AppError("conflict", "sources.edit_conflict", message, { details: { current, changed } });
}

function inUse(group: SourceGroup, schedules: Awaited<ReturnType<SourcesDeps["schedulesUsing"]>>): AppError {
  const details = {
    schedules: schedules.map(({ id, cron, timeZone }) => ({ id, cron, time_zone: timeZone })),
  };
  const message = `${group.name} is run by ${schedules.map(({ cron }) => cron).join(", ")}. Take it out of every schedule first.`;
  return new AppError("conflict", "sources.in_use", message, { details });
}

const lastGroup = (host: Host): AppError =>
  new AppError(
    "conflict",
    "sources.last_group",
    `This is the last source group of ${host.name}: without one nothing would be backed up. Make another one first.`,
  );

const tooMany = (host: Host): AppError =>
  new AppError(
    "conflict",
    "sources.too_many",
    `${host.name} has ${maxGroups} source groups, which is the most.`,
  );
