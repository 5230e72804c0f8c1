/**
 * Hooks: scripts that run on the host before and after a backup; a group's own, or else its host's. They run with all
 * rights there and may carry passwords: sealed at rest, opened only to be sent or to be edited by an operator. Audit
 * entries, lists and pages know them by their digest.
 */
import { createHash } from "node:crypto";
import { type Hook, maxHookChars } from "@restic-manager/protocol";
import { type Db, inTransaction } from "../../platform/db/db.ts";
import type { Actor } from "../../platform/http/identity.ts";
import type { SecretBox } from "../../platform/secrets.ts";
import { recordAudit } from "../audit/audit.ts";
import { bumpScheduleVersion, getHost, hostChanged, scheduleSetChanged } from "../hosts/hosts.ts";
import { type GroupProblem, refuseProblems } from "./group-problems.ts";
import {
  deleteHooks,
  type HookSlot,
  hookSlots,
  type StoredHook,
  selectHooks,
  upsertHook,
} from "./hooks.store.ts";
import type { SourcesDeps } from "./source-group.ts";

/** A hook as it is typed. Secret. */
export interface HookDraft {
  script: string;
  timeoutSeconds: number;
}

/** Both hooks of an owner, as edited: undefined keeps what is stored, null removes it. */
export interface HookDrafts {
  preHook?: HookDraft | null | undefined;
  postHook?: HookDraft | null | undefined;
}

/** Both hooks of an owner, open. Secret. */
export interface OpenHooks {
  preHook: HookDraft | null;
  postHook: HookDraft | null;
}

/** What may be shown of a hook. */
export interface HookFact {
  /** SHA-256 of the script, in hex. */
  digest: string;
  timeoutSeconds: number;
  updatedAt: number;
}

export interface HookFacts {
  preHook: HookFact | null;
  postHook: HookFact | null;
}

/** Ten minutes: longer than a dump usually takes, shorter than a night. */
export const defaultHookSeconds = 600;
const maxHookSeconds = 86_400;

const fieldOf = { pre_hook: "preHook", post_hook: "postHook" } as const satisfies Record<HookSlot, string>;
const digestOf = (script: string): string => createHash("sha256").update(script).digest("hex");
const place = (ownerId: string, slot: HookSlot) => ({ row: ownerId, slot });

/** Everything that is wrong with hooks, by their fields on the wire. */
export const checkHooks = (drafts: HookDrafts): GroupProblem[] =>
  hookSlots.flatMap((slot) => {
    const draft = drafts[fieldOf[slot]];
    return draft ? checkHook(slot, draft) : [];
  });

function checkHook(slot: HookSlot, { script, timeoutSeconds }: HookDraft): GroupProblem[] {
  const problem = (field: string, message: string): GroupProblem => {
    return { path: `${slot}.${field}`, code: "sources.invalid", message };
  };
  const tooLarge: GroupProblem = {
    path: `${slot}.script`,
    code: "sources.hook_too_large",
    message: "A hook has at most 64 KiB. Put the long part into a file on the host and call it from here.",
  };
  const timeout =
    Number.isInteger(timeoutSeconds) && timeoutSeconds >= 1 && timeoutSeconds <= maxHookSeconds
      ? []
      : [problem("timeout_seconds", `A hook's time limit is 1 to ${maxHookSeconds} seconds.`)];
  if (Buffer.byteLength(script) > maxHookChars) return [tooLarge, ...timeout];
  if (script.trim() === "")
    return [problem("script", "A hook needs a script. Remove the hook if none shall run."), ...timeout];
  // Nothing that JSON writes in six bytes, so that two hooks and their group always fit a frame.
  return /[^\P{Cc}\t\r\n]|\p{Cs}/u.test(script)
    ? [problem("script", "A script is text: it can't hold control characters."), ...timeout]
    : timeout;
}

/** What may be shown of the hooks of each owner, groups or hosts; every id that was asked for is there. */
export async function hookFacts(db: Db, ownerIds: readonly string[]): Promise<Map<string, HookFacts>> {
  const facts = new Map(ownerIds.map((id): [string, HookFacts] => [id, { preHook: null, postHook: null }]));
  for (const { ownerId, slot, digest, timeoutSeconds, updatedAt } of await selectHooks(db, ownerIds)) {
    const of = facts.get(ownerId);
    if (of) of[fieldOf[slot]] = { digest, timeoutSeconds, updatedAt };
  }
  return facts;
}

/**
 * An owner's hooks with their text, for the operator who edits them. Secret as a whole.
 * @throws AppError `secrets.unreadable` when the key file is another one
 */
export async function openHooks(db: Db, box: SecretBox, ownerId: string): Promise<OpenHooks> {
  const hooks: OpenHooks = { preHook: null, postHook: null };
  for (const stored of await selectHooks(db, [ownerId])) hooks[fieldOf[stored.slot]] = openHook(box, stored);
  return hooks;
}

const openHook = (box: SecretBox, { ownerId, slot, sealed, timeoutSeconds }: StoredHook): HookDraft => ({
  script: box.open(sealed, place(ownerId, slot)),
  timeoutSeconds,
});

/**
 * The hooks of a run, as the agent takes them: each the group's own, else the host's. Secret as a whole.
 * @throws AppError `secrets.unreadable` when the key file is another one
 */
export async function hooksOfRun(
  db: Db,
  box: SecretBox,
  run: { hostId: string; groupId: string | null },
): Promise<{ pre_hook?: Hook; post_hook?: Hook }> {
  const stored = await selectHooks(db, run.groupId === null ? [run.hostId] : [run.groupId, run.hostId]);
  const hooks: { pre_hook?: Hook; post_hook?: Hook } = {};
  for (const slot of hookSlots) {
    const own = stored.find((hook) => hook.slot === slot && hook.ownerId === run.groupId);
    const found = own ?? stored.find((hook) => hook.slot === slot && hook.ownerId === run.hostId);
    if (!found) continue;
    const { script, timeoutSeconds } = openHook(box, found);
    hooks[slot] = { script, timeout_seconds: timeoutSeconds };
  }
  return hooks;
}

/** What an edit of hooks changed: the fields by name, and of each new script the digest. Fit for the audit. */
export interface HookChanges {
  fields: HookSlot[];
  digests: Record<string, string | null>;
}

/** Which hooks of an owner differ from the drafts. */
export async function compareHooks(tx: Db, ownerId: string, drafts: HookDrafts): Promise<HookChanges> {
  const stored = (await hookFacts(tx, [ownerId])).get(ownerId);
  const changes: HookChanges = { fields: [], digests: {} };
  for (const slot of hookSlots) {
    const draft = drafts[fieldOf[slot]];
    if (draft === undefined) continue;
    const before = stored?.[fieldOf[slot]] ?? null;
    const digest = draft === null ? null : digestOf(draft.script);
    if (before?.digest === digest && before?.timeoutSeconds === draft?.timeoutSeconds) continue;
    if (before === null && draft === null) continue;
    changes.fields.push(slot);
    changes.digests[`${slot}_sha256`] = digest;
  }
  return changes;
}

/** Stores the drafts of an owner. The caller's transaction has the audit entry. */
export async function saveHooks(
  tx: Db,
  box: SecretBox,
  input: { ownerId: string; hostId: string; drafts: HookDrafts; slots: readonly HookSlot[]; at: number },
): Promise<void> {
  const { ownerId, hostId, drafts, slots, at } = input;
  for (const slot of slots) {
    const draft = drafts[fieldOf[slot]];
    if (draft === undefined) continue;
    if (draft === null) {
      await deleteHooks(tx, ownerId, [slot]);
      continue;
    }
    const { script, timeoutSeconds } = draft;
    const sealed = box.seal(script, place(ownerId, slot));
    await upsertHook(tx, {
      ownerId,
      slot,
      hostId,
      sealed,
      digest: digestOf(script),
      timeoutSeconds,
      updatedAt: at,
    });
  }
}

/**
 * Sets what runs around the backups of all groups of a host that have no hook of their own. Nothing happens when
 * nothing differs.
 * @throws AppError `hosts.not_found`, `sources.invalid` or `sources.hook_too_large`
 */
export async function setHostHooks(
  deps: SourcesDeps,
  input: HookDrafts & { hostId: string; actor: Actor },
): Promise<HookFacts> {
  const { db, box, clock, events } = deps;
  const { hostId, actor, preHook, postHook } = input;
  const drafts = { preHook, postHook };
  refuseProblems(checkHooks(drafts));
  const changed = await inTransaction(db, async (tx) => {
    const host = await getHost(tx, hostId);
    const { fields, digests } = await compareHooks(tx, hostId, drafts);
    if (fields.length === 0) return false;
    const at = clock.now();
    await bumpScheduleVersion(tx, hostId);
    await saveHooks(tx, box, { ownerId: hostId, hostId, drafts, slots: fields, at });
    const target = { kind: "host", id: hostId, name: host.name };
    await recordAudit(tx, { at, actor, action: "host.hooks_edit", target, payload: { fields, ...digests } });
    return true;
  });
  if (changed) {
    events.emit(scheduleSetChanged, { hostId });
    events.emit(hostChanged, { hostId });
  }
  return (await hookFacts(db, [hostId])).get(hostId) ?? { preHook: null, postHook: null };
}
