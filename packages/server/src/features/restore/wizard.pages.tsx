/** The wizard's page: shown with whatever its address or a refused post says, and turned into a job. */
import type { FastifyRequest } from "fastify";
import { z } from "zod";
import type { Db } from "../../platform/db/db.ts";
import { AppError } from "../../platform/errors.ts";
import { type Refusal, tryForm } from "../../platform/http/forms.ts";
import { actorOf } from "../../platform/http/identity.ts";
import type { PageOf } from "../../platform/http/page-context.ts";
import { type App, pageRoute, requireIdentity } from "../../platform/http/route.ts";
import { findHostByName, getHost, type Host, listOtherHosts, toHostOption } from "../hosts/hosts.ts";
import { countSnapshots, findSnapshot, listSnapshots, type Snapshot } from "../snapshots/snapshots.ts";
import { type RestoreDeps, startRestore } from "./start-restore.ts";
import { renderWizardPage } from "./wizard.views.tsx";
import {
  chosenPaths,
  emptyWizard,
  readWizard,
  type WizardField,
  type WizardValues,
  wizardFields,
  wizardProblems,
} from "./wizard-form.ts";

export interface WizardDeps extends RestoreDeps {
  page: PageOf;
  /** The setting RM_DOWNLOADS. */
  downloads: boolean;
}

const params = z.object({ hostId: z.string().max(64) });
/** As long as it likes: the rule beside the field answers, not a page about a bad request. */
const typed = z.string().default("");
const many = z.union([z.string().transform((one) => [one]), z.array(z.string())]).default([]);
const query = z.object({ snapshot: typed, path: many, to: typed });
const body = z.object({
  ...(Object.fromEntries(wizardFields.map((name) => [name, typed])) as Record<WizardField, typeof typed>),
  path: many,
  dry_run: z.literal("1").optional(),
});

/** More than anybody scrolls through; an older one comes with its id from the host's list. */
const maxListed = 200;
const url = "/hosts/:hostId/restore";

export function registerWizardPages(app: App, deps: WizardDeps): void {
  pageRoute(app, {
    method: "GET",
    url,
    policy: "operator",
    schema: { params, querystring: query },
    answer: ({ params: { hostId }, query: { snapshot, path, to }, request }) =>
      draw(deps, request, hostId, { values: { ...emptyWizard, snapshot, paths: path, to } }),
  });
  pageRoute(app, {
    method: "POST",
    url,
    policy: "operator",
    schema: { params, body },
    async answer({ params: { hostId }, body: posted, identity, request, reply }) {
      const { path: paths, dry_run: dryRun, ...fields } = posted;
      const values: WizardValues = { ...fields, paths };
      const actor = actorOf(requireIdentity(identity));
      const start = async () => {
        const toHostId = await findTarget(deps.db, hostId, values.to);
        refuseIncomplete(values, toHostId);
        const wish = readWizard(values, toHostId ?? null, dryRun === "1");
        return startRestore(deps, { hostId, request: wish, actor });
      };
      const outcome = await tryForm(start());
      if (outcome.done) return reply.redirect(`/jobs/${outcome.value.id}`, 303);
      void reply.code(outcome.refusal.status);
      return draw(deps, request, hostId, { values, ...refused(outcome.refusal) });
    },
  });
}

/** @returns the id of the other host that is named; null for the host itself, undefined when nobody has that name */
async function findTarget(db: Db, hostId: string, name: string): Promise<string | null | undefined> {
  if (name.trim() === "") return null;
  const host = await findHostByName(db, name.trim());
  return host?.id === hostId ? null : host?.id;
}

/** What the form itself asks for; everything else is a rule of restores. */
function refuseIncomplete(values: WizardValues, toHostId: string | null | undefined): void {
  const unknown = `There is no host called ${values.to.trim()}.`;
  const details = [
    ...(toHostId === undefined ? [{ path: "to", message: unknown }] : []),
    ...(values.snapshot === "" ? [{ path: "snapshot_id", message: "Choose a snapshot." }] : []),
    ...(chosenPaths(values).length === 0
      ? [{ path: "paths", message: "Choose at least one file or folder." }]
      : []),
  ];
  const [first] = details;
  if (first) throw new AppError("unprocessable", "restore.invalid", first.message, { details });
}

function refused({ errors, message }: Refusal) {
  const problems = wizardProblems(errors);
  const shown = Object.keys(problems).length > 0;
  return { errors: problems, message: shown ? "Nothing was restored. See below." : message };
}

async function draw(
  deps: WizardDeps,
  request: FastifyRequest,
  hostId: string,
  shown: {
    values: WizardValues;
    errors?: Partial<Record<WizardField, string>>;
    message?: string | undefined;
  },
): Promise<string> {
  const { db, clock, downloads } = deps;
  const nowMs = clock.now();
  const host = await getHost(db, hostId);
  const option = toHostOption(host, nowMs);
  const listed = await listSnapshots(db, host.id, { limit: maxListed, offset: 0 });
  const snapshots = await withChosen(db, host, listed, shown.values.snapshot);
  return renderWizardPage(deps.page(request), {
    host: { ...option, windows: host.os === "windows" },
    snapshots,
    snapshotCount: await countSnapshots(db, host.id),
    otherHosts: await listOtherHosts(db, hostId, {}, nowMs),
    readers: option.online ? [] : await listOtherHosts(db, hostId, { state: "online" }, nowMs),
    downloads,
    ...shown,
  });
}

/** The chosen snapshot is among those that are shown, however old it is. */
async function withChosen(db: Db, host: Host, listed: Snapshot[], chosen: string): Promise<Snapshot[]> {
  if (chosen === "" || listed.some(({ id }) => id === chosen)) return listed;
  const older = await findSnapshot(db, host.id, chosen);
  return older ? [...listed, older] : listed;
}
