/**
 * THE ONLY public file of source groups: what a host backs up, how, and what runs around it. Groups and their rules
 * are in source-group.ts and group-draft.ts, changes in group-edits.ts, hooks in hooks.ts, what runs in
 * backup-specs.ts.
 */
export { backupsOf, completeBackupSpec, completeSpec, specOfGroup } from "./backup-specs.ts";
export { createDefaultGroup } from "./default-group.ts";
export {
  checkRetention,
  type GroupBody,
  readGroupDraft,
  readRetention,
  retentionBody,
} from "./group-draft.ts";
export {
  cloneSourceGroup,
  createSourceGroup,
  deleteSourceGroup,
  editSourceGroup,
} from "./group-edits.ts";
export { refuseProblems } from "./group-problems.ts";
export { hookProblems, hookValues, readHookForm } from "./hook-form.ts";
export {
  hookFacts,
  openHooks,
  setHostHooks,
} from "./hooks.ts";
export { type HookField, HookFields } from "./hooks.views.tsx";
export {
  getSourceGroup,
  isEmptyRetention,
  type Retention,
  type SourceGroup,
  type SourcesDeps,
} from "./source-group.ts";
export { countSourceGroups, listSourceGroups } from "./sources.store.ts";
