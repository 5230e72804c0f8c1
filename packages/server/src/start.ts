/**
 * The composition root: builds, wires and stops everything. The only file that sees all slices; wires that would
 * point upward between ranks are functions handed over here.
 */
import { join } from "node:path";
import type { Logger } from "pino";
import { migrations } from "../migrations/index.ts";
import type { Config } from "./config.ts";
import { registerAgentLink } from "./features/agent-link/agent-link.api.ts";
import { registerInternalRoutes } from "./features/agent-link/agent-link.internal.api.ts";
import {
  AgentHub,
  AgentQuestions,
  type LinkHandlers,
  Neighbours,
  OwnLinks,
  SharedLinks,
} from "./features/agent-link/agent-link.ts";
import { registerArtefactRoutes } from "./features/artefacts/artefacts.api.ts";
import { ReleaseShelf, readText } from "./features/artefacts/artefacts.ts";
import { registerAuditRoutes } from "./features/audit/audit.api.ts";
import { registerAuditPages } from "./features/audit/audit.pages.tsx";
import { registerEnrolmentRoutes } from "./features/enrolment/enrolment.api.ts";
import { registerEnrolmentPages } from "./features/enrolment/enrolment.pages.tsx";
import { registerHostRoutes } from "./features/hosts/hosts.api.ts";
import {
  type DeleteHostDeps,
  getHost,
  type Host,
  hostChanged,
  hostRemoved,
  recordAppliedVersion,
  scheduleSetChanged,
  setHostRepository,
} from "./features/hosts/hosts.ts";
import { registerInstallationRoutes } from "./features/installation/installation.api.ts";
import { registerInstallationPages } from "./features/installation/installation.pages.tsx";
import { registerJobRoutes } from "./features/jobs/jobs.api.ts";
import { registerJobPages } from "./features/jobs/jobs.pages.tsx";
import { registerJobStream } from "./features/jobs/jobs.stream.ts";
import {
  announce,
  createJobEventHandlers,
  type Job,
  JobDispatcher,
  type JobOrder,
  LiveProgress,
  LogRetention,
  queueFirstInit,
  type RunDeps,
  type RunRequest,
} from "./features/jobs/jobs.ts";
import { registerMaintenanceRoutes } from "./features/maintenance/maintenance.api.ts";
import { registerMaintenancePages } from "./features/maintenance/maintenance.pages.tsx";
import {
  completeOrder,
  MaintenanceWatch,
  onJobFinished,
  onRepoStats,
  plannedJobsOf,
} from "./features/maintenance/maintenance.ts";
import { registerRetentionRoutes } from "./features/maintenance/retention.api.ts";
import { registerRetentionPages } from "./features/maintenance/retention.pages.tsx";
import { FleetPictures } from "./features/overview/fleet-picture.ts";
import { countLosses } from "./features/overview/host-page.ts";
import { registerOverviewRoutes } from "./features/overview/overview.api.ts";
import { registerOverviewPages } from "./features/overview/overview.pages.tsx";
import { registerPendingHostRoutes } from "./features/pending-hosts/pending-hosts.api.ts";
import { registerPendingHostPages } from "./features/pending-hosts/pending-hosts.pages.tsx";
import { RefusalTrail } from "./features/pending-hosts/refusal-trail.ts";
import { WaitingRoom } from "./features/pending-hosts/waiting-room.ts";
import { registerRepositoryRoutes } from "./features/repositories/repositories.api.ts";
import {
  credentialsChanged,
  findEverydayAccess,
  type RepositoriesDeps,
  type TestDeps,
} from "./features/repositories/repositories.ts";
import { registerDownloadRoutes } from "./features/restore/download.api.ts";
import { registerRestoreRoutes } from "./features/restore/restore.api.ts";
import { completeRestoreOrder } from "./features/restore/restore.ts";
import { registerTreeRoutes } from "./features/restore/tree.api.ts";
import { registerWizardPages } from "./features/restore/wizard.pages.tsx";
import { registerRotationRoutes } from "./features/rotation/rotation.api.ts";
import { registerRotationPages } from "./features/rotation/rotation.pages.tsx";
import {
  completeKeyOrder,
  RotationWatch,
  refuseInitWhileRotating,
  refuseRotationEdit,
} from "./features/rotation/rotation.ts";
import { registerScheduleRoutes } from "./features/schedules/schedules.api.ts";
import { registerSchedulePages } from "./features/schedules/schedules.pages.tsx";
import {
  listRetentionConflicts,
  listSchedules,
  listSchedulesUsing,
  recordRan,
  ScheduleWatch,
  scheduleSetOf,
} from "./features/schedules/schedules.ts";
import { registerDiffRoutes } from "./features/snapshots/diff.api.ts";
import { registerDiffPages } from "./features/snapshots/diff.pages.tsx";
import { registerSnapshotRoutes } from "./features/snapshots/snapshots.api.ts";
import { onSnapshotsAdded, onSnapshotsReport } from "./features/snapshots/snapshots.ts";
import { registerSourceRoutes } from "./features/sources/sources.api.ts";
import { registerSourcePages, type SourcePageDeps } from "./features/sources/sources.pages.tsx";
import {
  completeBackupSpec,
  createDefaultGroup,
  listSourceGroups,
  type SourcesDeps,
} from "./features/sources/sources.ts";
import { registerUpdateRoutes } from "./features/updates/updates.api.ts";
import { registerUpdatePages } from "./features/updates/updates.pages.tsx";
import { completeUpdateOrder, onUpdateFinished, UpdateWatch } from "./features/updates/updates.ts";
import { registerUserRoutes } from "./features/users/users.api.ts";
import { createAttemptLimit } from "./features/users/users.attempts.ts";
import { registerUserPages } from "./features/users/users.pages.tsx";
import { createPasswordHasher } from "./features/users/users.passwords.ts";
import { ensureSetupToken, identify, setupPath } from "./features/users/users.ts";
import { type Clock, systemClock } from "./platform/clock.ts";
import type { OpenDatabase } from "./platform/db/open.ts";
import { prepareDatabase } from "./platform/db/prepare.ts";
import { EventBus } from "./platform/events.ts";
import { renderErrorPage } from "./platform/html/error-pages.tsx";
import { type BuiltApp, buildApp } from "./platform/http/app.ts";
import { addAssetRoutes, readAssets } from "./platform/http/assets.ts";
import { addHealthRoutes } from "./platform/http/health.ts";
import { addressOf, listen } from "./platform/http/listen.ts";
import { addThemeRoute, createPageContext, type PageOf } from "./platform/http/page-context.ts";
import type { App } from "./platform/http/route.ts";
import { stopWithin } from "./platform/http/stop.ts";
import { openSecretBox } from "./platform/key-check.ts";
import { newId } from "./platform/random.ts";
import { createReplicas } from "./platform/replicas/create-replicas.ts";
import type { Replicas } from "./platform/replicas/replicas.ts";
import type { SecretBox } from "./platform/secrets.ts";

/** What main.ts hands over, and what a test may replace. */
export interface ServerParts {
  log: Logger;
  clock?: Clock;
  /** Folder of the built pages' files; absent when they are inside the program. */
  assetsDir?: string | undefined;
  /** Folder of the files for hosts that come with the server; none when absent. */
  releaseDir?: string | undefined;
}

export interface RunningServer extends BuiltApp {
  url: string;
  /** Where the first administrator is made; null once one exists. */
  setupUrl: string | null;
  /**
   * Resolves when the last request has ended, the agents are told and the database is closed; within 5 s.
   * Asked again, it is the same stop.
   */
  stop(): Promise<void>;
}

/** Everything that slices share. */
interface Ground {
  config: Config;
  log: Logger;
  clock: Clock;
  database: OpenDatabase;
  box: SecretBox;
  bus: EventBus;
  page: PageOf;
  shelf: ReleaseShelf;
  replicas: Replicas;
  /** Where this server listens; not before it does. */
  url(): string;
}

/** @throws AppError with a sentence for the operator when the server must not start */
export async function startServer(config: Config, parts: ServerParts): Promise<RunningServer> {
  const { log, clock = systemClock } = parts;
  const assets = await readAssets(parts.assetsDir);
  const database = await prepareDatabase({ ...config, migrations, log, clock });
  try {
    return await startOn({ config, log, clock, database }, assets, parts.releaseDir);
  } catch (error) {
    // Its connections would keep a program that failed from ending.
    await database.db.destroy();
    throw error;
  }
}

async function startOn(
  { config, log, clock, database }: Pick<Ground, "config" | "log" | "clock" | "database">,
  assets: Awaited<ReturnType<typeof readAssets>>,
  builtInFolder: string | undefined,
): Promise<RunningServer> {
  const { db, engine } = database;
  const box = await openSecretBox(db, config.secretKeyFile);
  const bus = new EventBus(log);
  const replicas = createReplicas({ ...config, log, clock, bus, database, url: () => url });
  const page = createPageContext({
    assets: assets.manifest,
    clock,
    database: engine === "sqlite" ? "SQLite" : "PostgreSQL",
  });
  const built = await buildApp({
    log,
    baseUrl: config.baseUrl,
    trustedProxies: config.trustedProxies,
    identify: (request) => identify({ db, clock }, request),
    errorPage: (request, failure) => renderErrorPage(page(request), failure),
    newRequestId: () => newId(clock.now()),
  });
  const stopping = new AbortController();
  addHealthRoutes(built.app, {
    db,
    stopping: () => stopping.signal.aborted,
    isHealthy: () => replicas.isHealthy(),
  });
  addThemeRoute(built.app, { cookieSecure: config.cookieSecure });
  addAssetRoutes(built.app, assets);
  const folders = { dataFolder: join(config.dataDir, "release"), builtInFolder };
  const shelf = new ReleaseShelf({ clock, log, ...folders });
  const ground = { config, log, clock, database, box, bus, page, shelf, replicas, url: () => url };
  const lives = registerSlices(ground, built);
  const setupToken = await ensureSetupToken({ db, clock }, { hasReplicas: engine === "postgres" });
  await listen(built.app, config, clock);
  const url = addressOf(built.app, config.listenHost);
  await replicas.start();
  for (const life of lives) life.start();
  let stopped: Promise<void> | null = null;
  const stopOnce = async () => {
    stopping.abort();
    await stopWithin(clock, built.app, lives.toReversed());
    // Last: what requests that were under way have changed is still told to the others.
    await replicas.stop();
    await db.destroy();
  };
  const stop = () => {
    stopped ??= stopOnce();
    return stopped;
  };
  return { ...built, url, setupUrl: setupToken && `${config.baseUrl ?? url}${setupPath(setupToken)}`, stop };
}

/** Something that runs beside the requests. */
interface Life {
  start(): void;
  stop(): Promise<void>;
}

/** @returns what is to be started, in this order, and stopped in the reverse */
function registerSlices(ground: Ground, { app }: BuiltApp): Life[] {
  const { config, log, clock, box, bus, page, shelf, replicas } = ground;
  const { db } = ground.database;
  const isLeader = () => replicas.isLeader();
  const shared = { db, clock, bus, log, isLeader };
  const progress = new LiveProgress({ db, bus });
  const watch = new ScheduleWatch(shared);
  const { hub, questions } = createLink(ground, app, { progress, watch, dispatcher: () => dispatcher });
  const orderOf = (job: Job) => orderOfKind({ db, box, shelf }, job);
  const dispatcher: JobDispatcher = new JobDispatcher({ ...shared, hub, completeOrder: orderOf });
  registerArtefactRoutes(app, { shelf });

  const users = { db, clock, passwords: createPasswordHasher(), attempts: createAttemptLimit(), page };
  registerUserRoutes(app, { ...users, cookieSecure: config.cookieSecure });
  registerUserPages(app, { ...users, cookieSecure: config.cookieSecure });
  registerAuditRoutes(app, { db });
  registerAuditPages(app, { db, page });

  const deletion: DeleteHostDeps = { db, clock, events: bus, losses: lossesOf };
  const repositories: TestDeps = {
    ...{ db, box, clock, events: bus, hosts: hostLink, refuseEdit: refuseRotationEdit },
    testRepository: async (hostId, access) => questions.testRepository(await getHost(db, hostId), access),
  };
  registerHostRoutes(app, deletion);
  registerRepositoryRoutes(app, repositories);
  const room = registerJoining(app, ground);

  const jobs = {
    isConnected: (hostId: string) => hub.isConnected(hostId),
    db,
    clock,
    bus,
    progress,
    page,
    shelf,
    async specsOf(host: Host, request: RunRequest) {
      if (request.kind === "init") await refuseInitWhileRotating(db, host);
      return plannedJobsOf(db, host, request);
    },
  };
  registerJobRoutes(app, jobs);
  registerJobStream(app, { ...shared, progress });
  registerJobPages(app, jobs);
  registerSnapshotRoutes(app, { db });
  registerDiffRoutes(app, jobs);
  registerDiffPages(app, jobs);
  registerRestores(ground, app, questions, jobs);
  registerInstallation(ground, app, hub);
  const sources: SourcesDeps = { db, box, clock, events: bus, schedulesUsing: listSchedulesUsing };
  const listFolder: AgentQuestions["listFolder"] = (hostId, question) =>
    questions.listFolder(hostId, question);
  registerSourceRoutes(app, { ...jobs, ...sources, listFolder });
  registerSourcePages(app, { ...sources, page, conflictsOf: conflictsAt(clock) });
  registerScheduleRoutes(app, { ...jobs, events: bus });
  registerSchedulePages(app, { db, clock, events: bus, page });
  registerMaintenanceRoutes(app, { db, box, clock, bus });
  registerMaintenancePages(app, { ...jobs, box });
  registerRotationRoutes(app, { db, box, clock, bus });
  registerRotationPages(app, { db, box, clock, bus, page });
  const previews = { db, clock, schedulesUsing: listSchedulesUsing };
  registerRetentionRoutes(app, previews);
  registerRetentionPages(app, { ...previews, page });
  const fleet = new FleetPictures({ ...jobs, log });
  registerOverviewRoutes(app, { fleet });
  const isWaiting: WaitingRoom["isWaiting"] = (pending) => room.isWaiting(pending);
  registerOverviewPages(app, { ...jobs, fleet, events: bus, repositories, deletion, sources, isWaiting });
  connectEvents(ground, hub, log);
  const { isConnected } = jobs;
  const deliver: AgentQuestions["deliver"] = (hostId) => questions.deliver(hostId);
  const rotation = new RotationWatch({ ...shared, box, isConnected, deliver });
  const retention = new LogRetention({ ...shared, keepDays: config.jobLogDays });
  const updates = registerUpdates(ground, app, isConnected);
  return [shelf, dispatcher, hub, room, watch, new MaintenanceWatch(shared), rotation, updates, retention];
}

function registerInstallation(ground: Ground, app: App, hub: AgentHub): void {
  const { config, clock, database, page, replicas, url } = ground;
  const { jobLogDays, downloads } = config;
  const countAgents = () => hub.countAgents();
  const startedAt = clock.now();
  const deps = { ...database, replica: replicas, startedAt, clock, url, countAgents, jobLogDays, downloads };
  registerInstallationRoutes(app, deps);
  registerInstallationPages(app, { ...deps, page });
}

/** Looking into snapshots, and getting out of them what is in them. */
function registerRestores(
  ground: Ground,
  app: App,
  questions: AgentQuestions,
  jobs: RunDeps & { page: PageOf },
): void {
  const { box, clock } = ground;
  const { db } = ground.database;
  const { downloads } = ground.config;
  const readTree: AgentQuestions["readTree"] = (hostId, question, gone) =>
    questions.readTree(hostId, question, gone);
  registerTreeRoutes(app, { db, box, clock, readTree });
  registerDownloadRoutes(app, {
    ...{ db, clock, downloads },
    openDump: (hostId, question, gone) => questions.openDump(hostId, question, gone),
  });
  registerRestoreRoutes(app, jobs);
  registerWizardPages(app, { ...jobs, downloads });
}

/** @returns what drives the update runs */
function registerUpdates(ground: Ground, app: App, isConnected: (hostId: string) => boolean): UpdateWatch {
  const { config, clock, bus, log, shelf, page, replicas } = ground;
  const deps = { db: ground.database.db, clock, bus, shelf };
  registerUpdateRoutes(app, deps);
  registerUpdatePages(app, { ...deps, page, baseUrl: config.baseUrl });
  // A look reads every host, and a fleet that comes back wishes for thousands.
  const maxLookShare = 0.1;
  return new UpdateWatch({ ...deps, log, isConnected, isLeader: () => replicas.isLeader(), maxLookShare });
}

/** The two ways to become a host: by a token, and by being accepted. @returns where those wait who announced themselves */
function registerJoining(app: BuiltApp["app"], ground: Ground): WaitingRoom {
  const { config, log, clock, database, box, bus, page, shelf } = ground;
  const shared = { db: database.db, box, clock, events: bus, onEnrolled: createDefaultGroup };
  const enrolment = { ...shared, certPin: null, baseUrl: config.baseUrl, page };
  registerEnrolmentRoutes(app, enrolment);
  registerEnrolmentPages(app, { ...enrolment, readInstaller: (kind) => readText(shelf, `install.${kind}`) });
  const room = new WaitingRoom({ ...enrolment, log, alone: database.engine === "sqlite" });
  const refusals = new RefusalTrail({ ...enrolment, log });
  registerPendingHostRoutes(app, { ...enrolment, room, refusals });
  registerPendingHostPages(app, { ...enrolment, room });
  return room;
}

/** What a job is sent with: by the slice that makes jobs of its kind. */
function orderOfKind(
  deps: Pick<RepositoriesDeps, "db" | "box"> & Pick<Ground, "shelf">,
  job: Job,
): Promise<JobOrder> {
  if (job.kind === "update") return completeUpdateOrder(deps, job);
  if (job.kind === "key") return completeKeyOrder(deps, job);
  return job.kind === "restore" ? completeRestoreOrder(deps, job) : completeOrder(deps, job);
}

/** Schedules are above source groups: what those show of them is handed down. */
const conflictsAt =
  (clock: Clock): SourcePageDeps["conflictsOf"] =>
  async (db, hostId) =>
    listRetentionConflicts(await listSourceGroups(db, hostId), await listSchedules(db, hostId), clock.now());

/** What the agents' messages are for. */
interface LinkParts {
  progress: LiveProgress;
  watch: ScheduleWatch;
  /** Made after the hub that it sends through. */
  dispatcher(): JobDispatcher;
}

/** The agents of this server, and the ways to those of other replicas. */
function createLink(
  ground: Ground,
  app: App,
  parts: LinkParts,
): { hub: AgentHub; questions: AgentQuestions } {
  const { log, clock, box, bus, replicas } = ground;
  const { db, engine } = ground.database;
  const deps = { db, clock, bus, log };
  const links = engine === "sqlite" ? new OwnLinks() : new SharedLinks({ ...deps, replicas });
  const neighbours = engine === "sqlite" ? null : new Neighbours({ box, clock, log, links });
  const isHealthy = () => replicas.isHealthy();
  const hub = new AgentHub({
    ...deps,
    handlers: createHandlers(ground, parts),
    links,
    neighbours,
    isHealthy,
  });
  registerAgentLink(app, { db, hub });
  if (neighbours) registerInternalRoutes(app, { box, clock, hub, replicaId: replicas.id });
  return { hub, questions: new AgentQuestions({ clock, hub, neighbours }) };
}

function createHandlers(ground: Ground, { progress, watch, dispatcher }: LinkParts): LinkHandlers {
  const { log, clock, box, bus } = ground;
  const { db } = ground.database;
  const deps = { db, clock, bus };
  const completeGroup: Parameters<typeof scheduleSetOf>[0]["completeSpec"] = (host, spec, groupId) =>
    completeBackupSpec(db, box, host, spec, groupId);
  const jobEvents = createJobEventHandlers({ ...deps, progress });
  return {
    events: {
      ...jobEvents,
      "job.finished": async (tx, host, event) => {
        const after = await jobEvents["job.finished"](tx, host, event);
        await onJobFinished(tx, host, event, clock.now());
        await onUpdateFinished(tx, host, event);
        return after;
      },
      "repo.stats": (tx, host, event) => onRepoStats({ ...deps, log }, tx, host, event),
      "snapshots.report": (tx, host, event) => onSnapshotsReport(deps, tx, host, event),
      "snapshots.added": (tx, host, event) => onSnapshotsAdded(deps, tx, host, event),
      "schedule.ran": async (tx, host, event) => {
        const job = await recordRan(tx, host, event, clock.now());
        return () => announce(bus, job);
      },
    },
    onScheduleVersion: async (host, version) => {
      await recordAppliedVersion(db, host.id, version);
      bus.emit(hostChanged, { hostId: host.id });
    },
    onScheduleFire: (host, fire) => watch.answerFire(host, fire),
    onCommandAck: (host, ack) => dispatcher().acknowledge(host, ack),
    onProgress: (host, message) => progress.record(host, message),
    async configurationOf(host) {
      const found = await findEverydayAccess(db, box, host.id);
      const { version = 0, access: repository = null } = found ?? {};
      return [
        { type: "config.update", version, repository },
        ...(await scheduleSetOf({ db, log, completeSpec: completeGroup }, host.id)),
      ];
    },
    onFirstConnect: (tx, { id }) => queueFirstInit(deps, tx, id),
  };
}

/** Edits and removals, at whichever replica, reach an agent that is connected here at once. */
function connectEvents(ground: Ground, hub: AgentHub, log: Logger): void {
  const { bus } = ground;
  const failed = (what: string) => (error: unknown) => log.error({ err: error }, what);
  // A host that is away gets its configuration when it connects.
  const push = ({ hostId }: { hostId: string }) => {
    void hub.pushConfiguration(hostId).catch(failed("a configuration could not be pushed"));
  };
  bus.on(credentialsChanged, push);
  bus.on(scheduleSetChanged, push);
  bus.on(hostRemoved, ({ hostId }) => {
    void hub.removeHost(hostId).catch(failed("a removed host could not be told"));
  });
}

const hostLink: RepositoriesDeps["hosts"] = {
  nameOf: async (db, hostId) => (await getHost(db, hostId)).name,
  setRepository: setHostRepository,
};

async function lossesOf(
  tx: Parameters<DeleteHostDeps["losses"]>[0],
  hostId: string,
): Promise<Record<string, number>> {
  const { jobCount, snapshotCount, sourceGroupCount } = await countLosses({ db: tx }, hostId);
  return { jobs: jobCount, snapshots: snapshotCount, source_groups: sourceGroupCount };
}
