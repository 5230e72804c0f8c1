/** A repository's state, its history and its maintenance as JSON, by the hosts that use it. */
import { jobResult, maxCronChars, readData } from "@restic-manager/protocol";
import { z } from "zod";
import { toInstant } from "../../platform/clock.ts";
import { AppError } from "../../platform/errors.ts";
import { actorOf } from "../../platform/http/identity.ts";
import { type App, apiRoute, requireIdentity } from "../../platform/http/route.ts";
import { listHistory } from "../repositories/repositories.ts";
import type { Maintenance } from "./cadences.ts";
import {
  editMaintenance,
  getMaintenance,
  hostWithRepository,
  type MaintenanceDeps,
  type MaintenanceDraft,
  wireMaintenance,
} from "./edit-maintenance.ts";
import { acceptRepositoryId } from "./reports.ts";
import { getRepositoryView, type LastRun, type LockView, type RepositoryView } from "./repository-view.ts";

const params = z.object({ hostId: z.string().max(64) });
const when = z.string().nullable();
const figure = z.number().nullable();
const name = z.object({ id: z.string(), name: z.string() });

/** Longer than a cron is, so that a long one gets a sentence of its own. */
const cron = z.string().max(4 * maxCronChars);
const percentSentence = "A percentage is a number from 0 to 100.";

const wireDraft = z.strictObject({
  owner_host_id: z.string().max(64).nullable().default(null),
  time_zone: z.string().max(64).default("UTC"),
  forget_cron: cron.nullable(),
  prune_cron: cron.nullable(),
  check_cron: cron.nullable(),
  verify_cron: cron.nullable().default(null),
  check_percent: z.number({ error: percentSentence }).nullable().default(null),
  check_slices: z.number({ error: "The number of slices is a whole number." }).nullable().default(null),
  verify_files: z.number({ error: "The number of files is a whole number." }).default(100),
  verify_bytes: z.number({ error: "The number of bytes is a whole number." }).default(256 * 1024 * 1024),
  max_removed_percent: z.number({ error: percentSentence }).default(50),
});

const toDraft = (body: z.output<typeof wireDraft>): MaintenanceDraft => ({
  ownerHostId: body.owner_host_id,
  timeZone: body.time_zone,
  forgetCron: body.forget_cron,
  pruneCron: body.prune_cron,
  checkCron: body.check_cron,
  verifyCron: body.verify_cron,
  checkPercent: body.check_percent,
  checkSlices: body.check_slices,
  verifyFiles: body.verify_files,
  verifyBytes: body.verify_bytes,
  maxRemovedPercent: body.max_removed_percent,
});

const maintenanceAnswer = z.object({
  ...{ repository_id: z.string(), owner_host_id: z.string().nullable(), time_zone: z.string() },
  ...{ forget_cron: when, prune_cron: when, check_cron: when, verify_cron: when },
  ...{ check_percent: figure, check_slices: figure, max_removed_percent: z.number() },
  ...{ verify_files: z.number(), verify_bytes: z.number() },
  ...{ version: z.number(), updated_at: when },
});

const orNull = (at: number | null): string | null => (at === null ? null : toInstant(at));

const toWire = (maintenance: Maintenance): z.output<typeof maintenanceAnswer> => ({
  repository_id: maintenance.repositoryId,
  ...wireMaintenance(maintenance),
  version: maintenance.version,
  updated_at: orNull(maintenance.updatedAt),
});

const wireLastRun = z.object({
  ...{ job_id: z.string(), host_id: z.string(), status: z.string(), finished_at: when },
  ...{ result: jobResult.nullable(), read_data: readData.nullable() },
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
});

const wireLock = z.object({
  ...{ id: z.string(), hostname: z.string(), username: z.string(), pid: z.number(), exclusive: z.boolean() },
  ...{ created_at: z.string(), alive: z.boolean().nullable(), host: name.nullable(), ours: z.boolean() },
  job: z.object({ id: z.string(), kind: z.string() }).nullable(),
  job_alive: z.boolean().nullable(),
});

const wireView = z.object({
  ...{
    id: z.string(),
    location: z.string(),
    restic_id: z.string().nullable(),
    foreign_id: z.string().nullable(),
  },
  statistics: z.object({
    ...{ raw_bytes: figure, uncompressed_bytes: figure, snapshot_count: figure, at: when },
  }),
  locks: z.array(wireLock).nullable(),
  hosts: z.array(
    name.extend({ online: z.boolean(), owner: z.boolean(), admin_credentials_set: z.boolean() }),
  ),
  maintenance: maintenanceAnswer,
  cadences: z.array(
    z.object({
      ...{ operation: z.string(), next_at: when, last_run: wireLastRun.nullable() },
      last_fire: z.object({ planned_at: z.string(), outcome: z.string() }).nullable(),
    }),
  ),
  coverage: z.object({ since: when, slices_read: figure, slices_of: figure }),
  admin_credentials_set: z.boolean(),
  admin_credentials_refused: z.boolean(),
});

function toWireView(view: RepositoryView): z.output<typeof wireView> {
  const { repository, coverage } = view;
  return {
    id: repository.id,
    location: repository.location,
    restic_id: repository.resticId,
    foreign_id: repository.foreignId,
    statistics: {
      raw_bytes: repository.rawBytes,
      uncompressed_bytes: repository.uncompressedBytes,
      snapshot_count: repository.snapshotCount,
      at: orNull(repository.statsAt),
    },
    locks: view.locks?.map(toWireLock) ?? null,
    hosts: view.sharers.map((host) => ({
      ...{ id: host.id, name: host.name, online: host.isOnline, owner: host.isOwner },
      admin_credentials_set: host.isAdminSet,
    })),
    maintenance: toWire(view.maintenance),
    cadences: view.cadences.map(({ operation, nextAt, lastFire, lastRun }) => ({
      operation,
      next_at: orNull(nextAt),
      last_fire: lastFire && { planned_at: toInstant(lastFire.plannedAt), outcome: lastFire.outcome },
      last_run: lastRun && toWireLastRun(lastRun),
    })),
    coverage: {
      since: orNull(coverage.since),
      slices_read: coverage.slicesRead,
      slices_of: coverage.slicesOf,
    },
    admin_credentials_set: view.adminCredentials !== null,
    admin_credentials_refused: view.isAdminRefused,
  };
}

const toWireLock = ({ createdAt, jobAlive, ...lock }: LockView): z.output<typeof wireLock> => ({
  ...lock,
  created_at: toInstant(createdAt),
  job_alive: jobAlive,
});

const toWireLastRun = ({ jobId, hostId, finishedAt, readData: read, ...run }: LastRun) => ({
  ...{ job_id: jobId, host_id: hostId, status: run.status, finished_at: orNull(finishedAt) },
  ...{ result: run.result, read_data: read, error: run.error },
});

export function registerMaintenanceRoutes(app: App, deps: MaintenanceDeps): void {
  registerMaintenance(app, deps);
  registerRepository(app, deps);
}

function registerMaintenance(app: App, deps: MaintenanceDeps): void {
  const url = "/api/hosts/:hostId/repo-maintenance";
  apiRoute(app, {
    method: "GET",
    url,
    policy: "viewer",
    summary: "When the host's repository looks after itself; version 0 are the defaults.",
    schema: { params, response: { 200: maintenanceAnswer } },
    async answer({ params: { hostId } }) {
      const { repositoryId } = await hostWithRepository(deps.db, hostId);
      return toWire(await getMaintenance(deps.db, repositoryId));
    },
  });
  apiRoute(app, {
    method: "PUT",
    url,
    policy: "operator",
    summary: "Replace the maintenance for all hosts of the repository; `version` is the one that was read.",
    schema: {
      params,
      body: wireDraft.extend({ version: z.int().min(0) }),
      response: { 200: maintenanceAnswer },
    },
    async answer({ params: { hostId }, body, identity }) {
      const actor = actorOf(requireIdentity(identity));
      const edit = { hostId, version: body.version, draft: toDraft(body), actor };
      return toWire(await editMaintenance(deps, edit).catch(withWireDetails));
    },
  });
}

/** The conflict's details in the API's spelling. */
function withWireDetails(error: unknown): never {
  if (!(error instanceof AppError) || error.code !== "maintenance.edit_conflict") throw error;
  const { current, changed } = error.details as { current: Maintenance; changed: string[] };
  throw new AppError(error.kind, error.code, error.message, {
    details: { current: toWire(current), changed },
  });
}

function registerRepository(app: App, deps: MaintenanceDeps): void {
  const url = "/api/hosts/:hostId/repository";
  apiRoute(app, {
    method: "GET",
    url,
    policy: "viewer",
    summary: "The host's repository: figures, locks, last and next maintenance, and who shares it.",
    schema: { params, response: { 200: wireView } },
    answer: async ({ params: { hostId } }) => toWireView(await getRepositoryView(deps, hostId)),
  });
  const day = z.object({ at: z.string(), raw_bytes: figure, snapshot_count: figure });
  apiRoute(app, {
    method: "GET",
    url: `${url}/history`,
    policy: "viewer",
    summary: "The repository's size and snapshots day by day (UTC), of the last 30, 90 or 365 days.",
    schema: {
      params,
      querystring: z.object({ days: z.enum(["30", "90", "365"]).default("30") }),
      response: { 200: z.object({ days: z.array(day) }) },
    },
    async answer({ params: { hostId }, query }) {
      const { repositoryId } = await hostWithRepository(deps.db, hostId);
      const range = { days: Number(query.days), now: deps.clock.now() };
      const days = await listHistory(deps.db, repositoryId, range);
      return {
        days: days.map(({ at, rawBytes, snapshotCount }) => ({
          ...{ at: toInstant(at), raw_bytes: rawBytes, snapshot_count: snapshotCount },
        })),
      };
    },
  });
  apiRoute(app, {
    method: "POST",
    url: `${url}/accept-id`,
    policy: "operator",
    summary:
      "Confirm, with the host's name typed, that the repository found under the address is the right one.",
    schema: {
      params,
      body: z.strictObject({ confirm_name: z.string().max(253) }),
      response: { 204: z.null() },
    },
    async answer({ params: { hostId }, body, identity, reply }) {
      const actor = actorOf(requireIdentity(identity));
      await acceptRepositoryId(deps, { hostId, typedName: body.confirm_name, actor });
      return reply.code(204).send(null);
    },
  });
}
