/** The pages of maintenance: the form of a repository's cadences, and the question before a forget. */
import type { FastifyRequest } from "fastify";
import { z } from "zod";
import { invalidFields } from "../../platform/errors.ts";
import { type Refusal, tryForm } from "../../platform/http/forms.ts";
import { actorOf } from "../../platform/http/identity.ts";
import type { PageOf } from "../../platform/http/page-context.ts";
import { type App, pageRoute, requireIdentity } from "../../platform/http/route.ts";
import { changedSince, maxSeenChars, seenOf } from "../../platform/http/seen-fields.ts";
import { getHost, isOnline } from "../hosts/hosts.ts";
import { type RunDeps, runNow } from "../jobs/jobs.ts";
import { defaultMaintenance } from "./cadences.ts";
import {
  editMaintenance,
  getMaintenance,
  hostWithRepository,
  type MaintenanceDeps,
} from "./edit-maintenance.ts";
import { previewForget } from "./forget-now.ts";
import { renderForgetPage } from "./forget-now.views.tsx";
import {
  changeSentence,
  emptyCadences,
  type MaintenanceValues,
  maintenanceFields,
  maintenanceValues,
  readMaintenanceForm,
} from "./maintenance-form.ts";
import { type MaintenancePageProps, renderMaintenancePage } from "./maintenance-form.views.tsx";
import { getRepositoryView } from "./repository-view.ts";

export type MaintenancePageDeps = MaintenanceDeps & RunDeps & { page: PageOf };

const params = z.object({ hostId: z.string().max(64) });
/** As long as it likes: the rule beside the field answers, not a page about a bad request. */
const typed = z.string().default("");
const unset = maintenanceValues(defaultMaintenance(""));
const body = z
  .object(
    Object.fromEntries(maintenanceFields.map((field) => [field, typed])) as Record<
      keyof MaintenanceValues,
      typeof typed
    >,
  )
  .extend({
    // A page from before there were drills does not post them.
    verify_files: z.string().default(unset.verify_files),
    verify_mib: z.string().default(unset.verify_mib),
  })
  .extend({ version: z.coerce.number().int().catch(0), seen: z.string().max(maxSeenChars).catch("") });

export function registerMaintenancePages(app: App, deps: MaintenancePageDeps): void {
  registerForm(app, deps);
  registerSave(app, deps);
  registerForget(app, deps);
}

type Shown = Pick<MaintenancePageProps, "version" | "values" | "seen" | "errors" | "message" | "changes">;

/** The page with everything around its form. */
async function draw(deps: MaintenancePageDeps, request: FastifyRequest, hostId: string, shown: Shown) {
  const view = await getRepositoryView(deps, hostId);
  const nextOf = (operation: string) =>
    view.cadences.find((one) => one.operation === operation)?.nextAt ?? null;
  return renderMaintenancePage(deps.page(request), {
    host: view.host,
    location: view.repository.location,
    nextAt: {
      forget: nextOf("forget"),
      prune: nextOf("prune"),
      check: nextOf("check"),
      verify: nextOf("verify"),
    },
    sharers: view.sharers.map(({ id, name }) => ({ id, name })),
    ...shown,
  });
}

const url = "/hosts/:hostId/maintenance";

function registerForm(app: App, deps: MaintenancePageDeps): void {
  pageRoute(app, {
    method: "GET",
    url,
    policy: "viewer",
    schema: { params },
    async answer({ params: { hostId }, request }) {
      const { repositoryId } = await hostWithRepository(deps.db, hostId);
      const maintenance = await getMaintenance(deps.db, repositoryId);
      const values = maintenanceValues(maintenance);
      return draw(deps, request, hostId, { version: maintenance.version, values, seen: seenOf(values) });
    },
  });
}

function registerSave(app: App, deps: MaintenancePageDeps): void {
  pageRoute(app, {
    method: "POST",
    url,
    policy: "operator",
    schema: { params, body },
    async answer({ params: { hostId }, body: posted, identity, request, reply }) {
      const { version, seen, ...values } = posted;
      const { repositoryId } = await hostWithRepository(deps.db, hostId);
      const actor = actorOf(requireIdentity(identity));
      const draft = readMaintenanceForm(values);
      const save = async () => {
        const empty = emptyCadences(values);
        if (empty.length > 0) throw invalidFields("maintenance.invalid", empty);
        return editMaintenance(deps, { hostId, version, draft, actor });
      };
      const outcome = await tryForm(save());
      if (outcome.done) return reply.redirect(`/hosts/${hostId}?tab=repository&saved=1`, 303);
      const { refusal } = outcome;
      if (refusal.code !== "maintenance.edit_conflict") {
        void reply.code(refusal.status);
        return draw(deps, request, hostId, { version, values, seen, ...refused(refusal) });
      }
      void reply.code(409);
      // Saved again, the form counts as made after theirs.
      const now = await getMaintenance(deps.db, repositoryId);
      const { sharers } = await getRepositoryView(deps, hostId);
      const fields = changedSince(seen, maintenanceValues(now));
      const changes = [...new Set(fields.map((field) => changeSentence(field, now, sharers)))].filter(
        (sentence) => sentence !== null,
      );
      const message = changes.length > 0 ? undefined : refusal.message;
      const shown = { version: now.version, values, seen: seenOf(maintenanceValues(now)) };
      return draw(deps, request, hostId, { ...shown, changes, message });
    },
  });
}

function refused({ errors: byWire, message }: Refusal): Pick<Shown, "errors" | "message"> {
  // The form has it in another unit.
  const { verify_bytes: size, ...others } = byWire;
  const errors = { ...others, ...(size === undefined ? {} : { verify_mib: size }) };
  return { errors, message: Object.keys(errors).length > 0 ? "Nothing was saved. See below." : message };
}

function registerForget(app: App, deps: MaintenancePageDeps): void {
  const forgetUrl = "/hosts/:hostId/forget";
  const ask = async (request: FastifyRequest, hostId: string, message?: string) => {
    const host = await getHost(deps.db, hostId);
    const online = isOnline(host, deps.clock.now());
    const preview = await previewForget(deps, host);
    return renderForgetPage(deps.page(request), {
      host: { id: host.id, name: host.name, online },
      ...preview,
      message,
    });
  };
  pageRoute(app, {
    method: "GET",
    url: forgetUrl,
    policy: "operator",
    schema: { params },
    answer: ({ params: { hostId }, request }) => ask(request, hostId),
  });
  pageRoute(app, {
    method: "POST",
    url: forgetUrl,
    policy: "operator",
    schema: { params, body: z.object({ confirmed: z.literal("1").optional() }) },
    async answer({ params: { hostId }, body: posted, identity, request, reply }) {
      const confirmed = posted.confirmed === "1";
      const host = await getHost(deps.db, hostId);
      // More may go than when the page was made: that is asked again.
      if (!confirmed && (await previewForget(deps, host)).groups.some((group) => group.isAboveLimit))
        return reply.redirect(`/hosts/${host.id}/forget`, 303);
      const actor = actorOf(requireIdentity(identity));
      const wish = { kind: "forget", confirmed } as const;
      const outcome = await tryForm(runNow(deps, { hostId: host.id, request: wish, actor }));
      if (!outcome.done) {
        void reply.code(outcome.refusal.status);
        return ask(request, host.id, outcome.refusal.message);
      }
      const [first, second] = outcome.value;
      return reply.redirect(first && !second ? `/jobs/${first.id}` : `/hosts/${host.id}?tab=jobs`, 303);
    },
  });
}
