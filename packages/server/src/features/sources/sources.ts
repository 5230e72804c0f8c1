/**
 * THE ONLY public file of source groups: what a host backs up, how, and what runs around it. Groups and their rules
 * are in source-group.ts and group-draft.ts, changes in group-edits.ts, hooks in hooks.ts, what runs in
 * backup-specs.ts.
 */
export { completeBackupSpec, completeSpec, specOfGroup, specsOf } from "./backup-specs.ts";
export { createDefaultGroup } from "./default-group.ts";
export { type FolderDeps, readFolder } from "./folders.ts";
export {
  checkGroupDraft,
  checkRetention,
  type GroupBody,
  type GroupDraft,
  groupBody,
  groupLimits,
  readGroupDraft,
  readHookDrafts,
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
export {
  defaultHookSeconds,
  type HookDraft,
  type HookDrafts,
  type HookFact,
  type HookFacts,
  hookFacts,
  type OpenHooks,
  openHooks,
  setHostHooks,
} from "./hooks.ts";
export {
  getSourceGroup,
  isEmptyRetention,
  type Retention,
  type SourceGroup,
  type SourceOptions,
  type SourcesDeps,
} from "./source-group.ts";
export { listSourceGroups } from "./sources.store.ts";
