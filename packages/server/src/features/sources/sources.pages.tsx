/** The pages of source groups: one form to make and to edit, a copy to another host, the end of one. */
import type { FastifyRequest } from "fastify";
import { z } from "zod";
import type { Db } from "../../platform/db/db.ts";
import { cronWords } from "../../platform/html/cron-words.ts";
import { type Refusal, tryForm } from "../../platform/http/forms.ts";
import { actorOf, type Identity } from "../../platform/http/identity.ts";
import type { PageOf } from "../../platform/http/page-context.ts";
import { type App, type Call, pageRoute, requireIdentity } from "../../platform/http/route.ts";
import { changedSince, maxSeenChars, seenOf } from "../../platform/http/seen-fields.ts";
import { findHostByName, getHost, isOnline, listOtherHosts } from "../hosts/hosts.ts";
import { cloneSourceGroup, createSourceGroup, deleteSourceGroup, editSourceGroup } from "./group-edits.ts";
import {
  type GroupField,
  type GroupValues,
  groupFields,
  groupProblems,
  groupValues,
  readGroupForm,
} from "./group-form.ts";
import { type GroupChange, type GroupPageProps, renderGroupPage } from "./group-form.views.tsx";
import { hookValues } from "./hook-form.ts";
import { hookFacts, openHooks } from "./hooks.ts";
import { getSourceGroup, type SourceGroup, type SourcesDeps } from "./source-group.ts";
import { listSourceGroups } from "./sources.store.ts";

export interface SourcePageDeps extends SourcesDeps {
  page: PageOf;
  /** What a host's groups keep finer than any schedule runs, from the slice above. */
  conflictsOf(db: Db, hostId: string): Promise<{ groupId: string; sentence: string }[]>;
}

const hostParams = z.object({ hostId: z.string().max(64) });
const groupParams = hostParams.extend({ groupId: z.string().max(64) });
/** As long as it likes: the rule beside the field answers, not a page about a bad request. */
const typed = z.string().default("");
const fields = Object.fromEntries(groupFields.map((name) => [name, typed])) as Record<
  GroupField,
  typeof typed
>;
const body = z.object({
  ...fields,
  version: z.coerce.number().int().catch(0),
  seen: z.string().max(maxSeenChars).catch(""),
});
const notices = {
  copied: "Copied. No schedule of this host runs it yet.",
} as const;

export function registerSourcePages(app: App, deps: SourcePageDeps): void {
  registerForms(app, deps);
  registerNewGroup(app, deps);
  registerEdit(app, deps);
  registerClone(app, deps);
  registerDelete(app, deps);
}

/** What is stored of a group, as the form has it; hooks for those who may edit them only. */
async function storedValues(
  deps: SourcePageDeps,
  group: SourceGroup,
  identity: Identity,
): Promise<GroupValues> {
  if (identity.role !== "viewer")
    return groupValues(group, hookValues(await openHooks(deps.db, deps.box, group.id)));
  const facts = (await hookFacts(deps.db, [group.id])).get(group.id);
  const set = (fact: unknown) => (fact ? "set" : "");
  return groupValues(group, {
    ...hookValues(null),
    pre_hook: set(facts?.preHook),
    post_hook: set(facts?.postHook),
  });
}

/** Everything on the page besides the form. */
async function surroundings(deps: SourcePageDeps, hostId: string, groupId: string | null) {
  const { db, clock } = deps;
  const host = await getHost(db, hostId);
  const groups = await listSourceGroups(db, hostId);
  const using = groupId === null ? [] : await deps.schedulesUsing(db, groupId);
  const conflicts = await deps.conflictsOf(db, hostId);
  return {
    host: {
      id: host.id,
      name: host.name,
      online: isOnline(host, clock.now()),
      windows: host.os === "windows",
      hooksAllowed: host.hooksAllowed,
    },
    conflicts: conflicts.filter((one) => one.groupId === groupId).map(({ sentence }) => sentence),
    usedBy: using.map(({ id, cron }) => ({ scheduleId: id, cron, words: cronWords(cron) })),
    isLast: groups.length === 1,
    otherHosts: await listOtherHosts(db, hostId, {}, clock.now()),
  };
}

/** The page of a stored group as it is, with what an operation on it said. */
async function storedPage(
  deps: SourcePageDeps,
  call: Call<{ params: typeof groupParams }>,
  said: Pick<GroupPageProps, "refusedCopy" | "deleteError" | "notice"> = {},
): Promise<string> {
  const { params, identity, request } = call;
  const group = await getSourceGroup(deps.db, params.hostId, params.groupId);
  const values = await storedValues(deps, group, requireIdentity(identity));
  return renderGroupPage(deps.page(request), {
    ...(await surroundings(deps, params.hostId, group.id)),
    group,
    values,
    seen: seenOf(values),
    ...said,
  });
}

function registerForms(app: App, deps: SourcePageDeps): void {
  pageRoute(app, {
    method: "GET",
    url: "/hosts/:hostId/sources/new",
    policy: "operator",
    schema: { params: hostParams },
    async answer({ params, request }) {
      const values = groupValues(null, hookValues(null));
      const around = await surroundings(deps, params.hostId, null);
      return renderGroupPage(deps.page(request), { ...around, group: null, values, seen: "" });
    },
  });
  pageRoute(app, {
    method: "GET",
    url: "/hosts/:hostId/sources/:groupId",
    policy: "viewer",
    schema: {
      params: groupParams,
      querystring: z.object({ done: z.enum(["copied"]).optional().catch(undefined) }),
    },
    answer(call) {
      const { done } = call.query;
      return storedPage(deps, call, done ? { notice: { tone: "ok", text: notices[done] } } : {});
    },
  });
}

/** The form again with what was typed, and what is wrong with it. */
async function typedPage(
  deps: SourcePageDeps,
  request: FastifyRequest,
  form: Pick<GroupPageProps, "group" | "values" | "seen" | "changes"> & { hostId: string; refusal: Refusal },
): Promise<string> {
  const { hostId, refusal, ...shown } = form;
  const errors = groupProblems(refusal.errors);
  const isBeside = Object.keys(errors).length > 0;
  return renderGroupPage(deps.page(request), {
    ...(await surroundings(deps, hostId, shown.group?.id ?? null)),
    ...shown,
    errors,
    message: shown.changes?.length ? undefined : isBeside ? "Nothing was saved. See below." : refusal.message,
  });
}

function registerNewGroup(app: App, deps: SourcePageDeps): void {
  pageRoute(app, {
    method: "POST",
    url: "/hosts/:hostId/sources/new",
    policy: "operator",
    schema: { params: hostParams, body },
    async answer({
      params: { hostId },
      body: { version: _version, seen, ...values },
      identity,
      request,
      reply,
    }) {
      const actor = actorOf(requireIdentity(identity));
      const outcome = await tryForm(createSourceGroup(deps, { hostId, draft: readGroupForm(values), actor }));
      if (outcome.done) return reply.redirect(`/hosts/${hostId}?tab=sources&saved=1`, 303);
      const { refusal } = outcome;
      void reply.code(refusal.status);
      return typedPage(deps, request, { hostId, group: null, values, seen, refusal });
    },
  });
}

function registerEdit(app: App, deps: SourcePageDeps): void {
  pageRoute(app, {
    method: "POST",
    url: "/hosts/:hostId/sources/:groupId",
    policy: "operator",
    schema: { params: groupParams, body },
    async answer({ params, body: { version, seen, ...values }, identity, request, reply }) {
      const { hostId, groupId } = params;
      const who = requireIdentity(identity);
      const { name } = await getSourceGroup(deps.db, hostId, groupId);
      const edit = { hostId, groupId, version, draft: readGroupForm(values), actor: actorOf(who) };
      const outcome = await tryForm(editSourceGroup(deps, edit));
      if (outcome.done) return reply.redirect(`/hosts/${hostId}?tab=sources&saved=1`, 303);
      const { refusal } = outcome;
      if (refusal.code !== "sources.edit_conflict") {
        void reply.code(refusal.status);
        const group = { id: groupId, name, version };
        return typedPage(deps, request, { hostId, group, values, seen, refusal });
      }
      void reply.code(409);
      // Saved again, the form counts as made after theirs.
      const group = await getSourceGroup(deps.db, hostId, groupId);
      const now = await storedValues(deps, group, who);
      const changes = changesOf(seen, now);
      return typedPage(deps, request, { hostId, group, values, seen: seenOf(now), changes, refusal });
    },
  });
}

const hookTexts: readonly string[] = ["pre_hook", "post_hook"] satisfies GroupField[];

/** What somebody else changed: how it is now, but of a script only that it changed. */
function changesOf(seen: string, now: GroupValues): GroupChange[] {
  const names = changedSince(seen, now) as GroupField[];
  return names.map((field) => ({ field, now: hookTexts.includes(field) ? null : now[field] }));
}

function registerClone(app: App, deps: SourcePageDeps): void {
  pageRoute(app, {
    method: "POST",
    url: "/hosts/:hostId/sources/:groupId/clone",
    policy: "operator",
    schema: { params: groupParams, body: z.object({ host: typed }) },
    async answer(call) {
      const { params, body, identity, reply } = call;
      const actor = actorOf(requireIdentity(identity));
      const name = body.host.trim();
      const to = await findHostByName(deps.db, name);
      if (to === null) {
        void reply.code(422);
        const message = name === "" ? "Name the host." : `There is no host called ${name}.`;
        return storedPage(deps, call, { refusedCopy: { host: name, message } });
      }
      const outcome = await tryForm(cloneSourceGroup(deps, { ...params, toHostId: to.id, actor }));
      if (outcome.done) return reply.redirect(`/hosts/${to.id}/sources/${outcome.value.id}?done=copied`, 303);
      void reply.code(outcome.refusal.status);
      return storedPage(deps, call, {
        refusedCopy: { host: name, message: sentenceOf(outcome.refusal) },
      });
    },
  });
}

function registerDelete(app: App, deps: SourcePageDeps): void {
  pageRoute(app, {
    method: "POST",
    url: "/hosts/:hostId/sources/:groupId/delete",
    policy: "operator",
    schema: { params: groupParams },
    async answer(call) {
      const { params, identity, reply } = call;
      const actor = actorOf(requireIdentity(identity));
      await getSourceGroup(deps.db, params.hostId, params.groupId);
      const outcome = await tryForm(deleteSourceGroup(deps, { ...params, actor }));
      if (outcome.done) return reply.redirect(`/hosts/${params.hostId}?tab=sources&saved=1`, 303);
      void reply.code(outcome.refusal.status);
      return storedPage(deps, call, { deleteError: sentenceOf(outcome.refusal) });
    },
  });
}

const sentenceOf = (refusal: Refusal): string =>
  refusal.message ?? Object.values(refusal.errors)[0] ?? "That was refused.";
