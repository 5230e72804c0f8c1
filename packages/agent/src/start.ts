/**
 * The composition root: builds, wires and stops the agent. The only file that sees all parts. Nothing here
 * touches argv, signals or exit codes (main.ts), so tests start the same agent in their own program.
 */
import { dirname, join as joinPath } from "node:path";
import {
  backendKinds,
  type Hello,
  jobKinds,
  protocolRange,
  releasePlatformOf,
} from "@restic-manager/protocol";
import { productVersion } from "@restic-manager/protocol/version";
import { type AcceptedHost, type AnnounceDeps, type AnnounceOptions, announce } from "./announce.ts";
import { readDump } from "./commands/dump.ts";
import type { CommandDeps } from "./commands/job-context.ts";
import { Jobs } from "./commands/jobs.ts";
import { createFolderLister } from "./commands/list-folder.ts";
import { createRepositoryTester } from "./commands/test-repository.ts";
import { type AgentConfig, dataPaths, keepsHooksAllowed, prepareEnrolment, saveConfig } from "./config.ts";
import { type EnrolDeps, type Enrolment, type EnrolOptions, enrol } from "./enrol.ts";
import { Journal } from "./journal/journal.ts";
import { AgentLink, type LinkEnd } from "./link/dial.ts";
import { download } from "./link/download.ts";
import { LinkState } from "./link/link-state.ts";
import { createNetwork, type Network } from "./link/network.ts";
import { Outbox } from "./link/outbox.ts";
import type { OutboxLimits } from "./link/outbox-limits.ts";
import { ServerConfig } from "./link/server-config.ts";
import type { Receiver } from "./link/session.ts";
import type { Command } from "./platform/child.ts";
import type { Clock } from "./platform/clock.ts";
import { reasonOf } from "./platform/errors.ts";
import { ensurePrivateDir, removeTree } from "./platform/files.ts";
import { createId } from "./platform/ids.ts";
import { acquireLock } from "./platform/instance-lock.ts";
import type { Log } from "./platform/log.ts";
import type { Machine } from "./platform/machine.ts";
import type { Random } from "./platform/random.ts";
import { Secrets } from "./platform/secrets.ts";
import { isSupervised } from "./platform/systemd.ts";
import { placeAccessFiles } from "./restic/access-files.ts";
import { type BinaryOutcome, findRestic } from "./restic/binary.ts";
import { KnownRestic } from "./restic/known-restic.ts";
import { Scheduler } from "./scheduler/scheduler.ts";
import { StoredSchedules } from "./scheduler/stored-schedules.ts";
import type { IndexLimits } from "./tree/index-store.ts";
import { Tree } from "./tree/tree.ts";
import { updatePaths } from "./update/record.ts";
import { Trial } from "./update/trial.ts";
import type { Updates } from "./update/updates.ts";

export type AgentDeps = {
  clock: Clock;
  random: Random;
  machine: Machine;
  /** Given a function that masks every secret the agent knows at that moment. */
  createLog: (redact: (text: string) => string) => Log;
  /** Starts `runner` of this program; the job directory is appended. */
  runnerCommand: Command;
  /** Where the agent's program lies: packages put restic beside it. */
  executablePath: string;
  env: Readonly<Record<string, string | undefined>>;
  platform: NodeJS.Platform;
  /** Absent from what was not started as a program: it takes no update. */
  release?: ReleaseDeps;
  outboxLimits?: OutboxLimits;
  indexLimits?: IndexLimits;
};

export type ReleaseDeps = {
  /** What this program calls itself. */
  version: string;
  /** The key that releases are signed with (SPKI in PEM); undefined in what was not packaged. */
  key: string | undefined;
  /** Ends this program as after `stop`, to be started anew. May be called before `startAgent` resolves. */
  restart: () => void;
};

type ReleasedDeps = AgentDeps & { release: ReleaseDeps };

const NO_RELEASE: ReleaseDeps = { version: productVersion, key: undefined, restart: () => undefined };

export type RunningAgent = {
  /** Resolves when the server removed this host, or after `stop`. */
  ended: Promise<LinkEnd>;
  /** Ends the connection and lets go of running jobs; restic runs on. Idempotent. */
  stop: () => Promise<void>;
  /** One line for whoever looks at the program from outside. */
  status: () => string;
};

/** Starts the agent. Throws AgentError with a sentence when its own files do not allow it. */
export async function startAgent(config: AgentConfig, given: AgentDeps): Promise<RunningAgent> {
  const deps = { ...given, release: given.release ?? NO_RELEASE };
  const { clock, platform, release } = deps;
  const paths = updatePaths(deps.executablePath);
  // First of all: of a new version that can't get any further, the previous one comes back.
  const trial = await Trial.begin({
    clock,
    paths,
    platform,
    version: release.version,
    restart: release.restart,
  });
  try {
    const lock = await acquireLock(config.data_dir);
    try {
      return await assemble(config, deps, trial, lock.release);
    } catch (error) {
      await lock.release();
      throw error;
    }
  } catch (error) {
    trial.stop();
    throw error;
  }
}

/** What both ways to become a host need to know of this machine. */
export type JoinOptions = {
  configPath: string;
  dataDir: string;
  /** Replaces an enrolment that is there. */
  force: boolean;
  /** Goes into the configuration; the network already believes it. */
  caFile: string | null;
};

export type EnrolHostOptions = Omit<EnrolOptions, "workDir"> & JoinOptions;

/** Makes this machine a host of a server and writes its configuration. Throws AgentError with a sentence. */
export async function enrolHost(deps: EnrolDeps, options: EnrolHostOptions): Promise<Enrolment> {
  return join(options, () => enrol(deps, { ...options, workDir: dataPaths(options.dataDir).work }));
}

export type AnnounceHostOptions = Omit<AnnounceOptions, "workDir" | "keyPath"> & JoinOptions;

/** The same without a token: waits until somebody accepts this machine. Throws AgentError with a sentence. */
export async function announceHost(deps: AnnounceDeps, options: AnnounceHostOptions): Promise<AcceptedHost> {
  const { work: workDir, announceKey: keyPath } = dataPaths(options.dataDir);
  return join(options, async () => {
    // Two that announce one machine would take each other's place at the server for ever.
    const lock = await acquireLock(options.dataDir);
    try {
      return await announce(deps, { ...options, workDir, keyPath });
    } finally {
      await lock.release();
    }
  });
}

/** Tries what may fail on this machine, becomes a host, and writes the configuration. */
async function join<E extends Omit<Enrolment, "warnings">>(
  options: JoinOptions & { resticPath: string | undefined },
  become: () => Promise<E>,
): Promise<E> {
  const { configPath, dataDir, force, resticPath, caFile } = options;
  const secretsKey = await prepareEnrolment(configPath, dataDir, force);
  const allow_hooks = await keepsHooksAllowed(configPath);
  const enrolment = await become();
  const { server, host_id, bearer, cert_pin } = enrolment;
  const known = { server, host_id, bearer, cert_pin, ca_file: caFile, secrets_key: secretsKey };
  const chosen = {
    data_dir: dataDir,
    restic_path: resticPath ?? null,
    log_level: "info" as const,
    allow_hooks,
  };
  await saveConfig(configPath, { ...known, ...chosen });
  return enrolment;
}

async function assemble(
  config: AgentConfig,
  deps: ReleasedDeps,
  trial: Trial,
  releaseLock: () => Promise<void>,
): Promise<RunningAgent> {
  const paths = dataPaths(config.data_dir);
  const secretsKey = Buffer.from(config.secrets_key, "base64");
  const secrets = await Secrets.open(paths.secrets, secretsKey);
  const serverConfig = new ServerConfig(secrets, config.host_id, [config.bearer, config.secrets_key]);
  const log = deps.createLog((text) => serverConfig.redact(text));
  await ensurePrivateDir(paths.work);
  await removeTree(paths.access);
  const newId = () => createId(deps.clock.nowMs(), deps.random);
  const limits = deps.outboxLimits === undefined ? {} : { limits: deps.outboxLimits };
  const outbox = await Outbox.open({ dir: paths.outbox, newId, log, ...limits });
  const journal = await Journal.open(paths.jobs, log);
  await trial.forgetUnless((jobId) => journal.findEntry(jobId) !== undefined);
  const schedules = new StoredSchedules(secrets, config.host_id, log);
  const restic = new KnownRestic(() => searchRestic(config, deps, paths.work));
  const linkState = createLinkState(paths.linkState, deps, log);
  const stopping = new AbortController();
  const network = createNetwork({ env: deps.env, caFile: config.ca_file, certPin: config.cert_pin });
  const commands = createCommandDeps(config, deps, { log, restic, serverConfig, trial, network });
  const tree = new Tree({ ...commands, treeDir: paths.trees });
  const jobs: Jobs = new Jobs({
    ...{ ...commands, journal, outbox },
    onBusy: () => tree.giveWay(),
    onIdle: () => tree.resume(),
    reportProgress: (message) => link.reportProgress(message),
    forgetProgress: (jobId) => link.forgetProgress(jobId),
  });
  const scheduler = await Scheduler.open({
    ...{ clock: deps.clock, log, schedules, jobs, statePath: paths.scheduleState },
    send: (message) => link.sendFire(message),
  });
  const link: AgentLink = new AgentLink({
    ...{ ...deps, log, outbox, server: config.server, bearer: config.bearer },
    network,
    createHello: async () => ({
      ...createHello(deps, outbox, jobs, await restic.search()),
      schedule_version: schedules.version,
      hooks_allowed: config.allow_hooks,
      backend_kinds: [...backendKinds],
      job_kinds: [...jobKinds],
    }),
    onWelcomed: () => {
      linkState.online();
      scheduler.connected();
      void trial.welcomed(log);
    },
    onDown: (reason) => linkState.offline(serverConfig.redact(reason)),
    receiver: createReceiver({ commands, jobs, log, schedules, scheduler, serverConfig, tree }, deps, {
      scratchDir: paths.access,
      signal: stopping.signal,
    }),
  });
  await tree.start();
  await scheduler.resume();
  await jobs.start();
  scheduler.start();
  const { ended } = link.start();
  const stop = once(async () => {
    stopping.abort();
    trial.stop();
    await Promise.all([link.stop(), jobs.stop(), scheduler.stop(), tree.stop()]);
    await outbox.close();
    await linkState.written();
    await releaseLock();
  });
  const status = () =>
    `${deps.release.version}, ${link.connected ? "connected to" : "not connected to"} ${config.server}`;
  return { ended, stop, status };
}

/** What the server's messages do. */
function createReceiver(
  parts: {
    commands: CommandDeps & { log: Log };
    jobs: Jobs;
    log: Log;
    schedules: StoredSchedules;
    scheduler: Scheduler;
    serverConfig: ServerConfig;
    tree: Tree;
  },
  { platform }: ReleasedDeps,
  { scratchDir, signal }: { scratchDir: string; signal: AbortSignal },
): Receiver {
  const { commands, jobs, log, schedules, scheduler, serverConfig, tree } = parts;
  return {
    updateConfig: async (update, opens) => {
      const outcome = await serverConfig.update(update, opens);
      if (outcome === "unchanged") return;
      await placeAccessFiles(commands.accessDir, serverConfig.findRepository());
      log.info({ version: update.version }, "repository credentials received");
    },
    runCommand: (command) => jobs.accept(command),
    cancelJob: (jobId) => jobs.cancel(jobId),
    updateSchedules: async (part, opens) => {
      const ack = await schedules.take(part, opens);
      if (ack !== undefined) await scheduler.changed();
      return ack;
    },
    scheduleFired: (answer) => scheduler.fired(answer),
    listFolder: createFolderLister(platform),
    testRepository: createRepositoryTester(commands, scratchDir, signal),
    readDump: (request, signal) => readDump(commands, request, signal),
    readTree: (question) => tree.answer(question),
    cancelTree: (requestId) => tree.cancel(requestId),
  };
}

function createLinkState(path: string, { clock }: AgentDeps, log: Log): LinkState {
  const words = "the state of the connection could not be written";
  return new LinkState({
    ...{ path, nowMs: () => clock.nowMs() },
    warn: (error) => log.warn({ reason: reasonOf(error) }, words),
  });
}

/** What every command works with, and whoever else runs restic. */
function createCommandDeps(
  config: AgentConfig,
  deps: ReleasedDeps,
  parts: { log: Log; restic: KnownRestic; serverConfig: ServerConfig; trial: Trial; network: Network },
): CommandDeps & { log: Log } {
  const { log, restic, serverConfig } = parts;
  const paths = dataPaths(config.data_dir);
  return {
    ...{ ...deps, log, inherited: deps.env },
    ...{ workDir: paths.work, cacheDir: paths.cache, drillsDir: paths.drills },
    accessDir: joinPath(paths.access, "everyday"),
    hooksAllowed: config.allow_hooks,
    redact: (text) => serverConfig.redact(text),
    updates: createUpdates(config, deps, parts),
    findRestic: () => restic.find(),
    findRepository: () => serverConfig.findRepository(),
  };
}

function createUpdates(
  config: AgentConfig,
  deps: ReleasedDeps,
  { trial, network }: { trial: Trial; network: Network },
): Updates {
  const { clock, env, executablePath, machine, platform, release } = deps;
  const resticName = platform === "win32" ? "restic.exe" : "restic";
  return {
    ...{ trial, version: release.version, releaseKey: release.key, restart: release.restart },
    releasePlatform: releasePlatformOf(machine.os, machine.arch),
    supervised: isSupervised(env),
    agent: updatePaths(executablePath),
    restic: updatePaths(joinPath(dirname(executablePath), resticName)),
    chosenRestic: chosenRestic(config, deps),
    downloadDir: dataPaths(config.data_dir).downloads,
    download: (file) => download({ clock, server: config.server, network }, file),
  };
}

/** The restic that somebody has named; undefined when the agent looks for one itself. */
function chosenRestic(config: AgentConfig, { env }: AgentDeps): string | undefined {
  const path = config.restic_path ?? env.RM_RESTIC ?? "";
  return path === "" ? undefined : path;
}

function searchRestic(config: AgentConfig, deps: ReleasedDeps, workDir: string): Promise<BinaryOutcome> {
  const { clock, random, env, platform, executablePath } = deps;
  const explicitPath = chosenRestic(config, deps);
  return findRestic(
    { clock, random, workDir },
    {
      ...(explicitPath === undefined ? {} : { explicitPath }),
      searchPath: env.PATH ?? "",
      executableDir: dirname(executablePath),
      inherited: env,
      platform,
    },
  );
}

function createHello(deps: ReleasedDeps, outbox: Outbox, jobs: Jobs, restic: BinaryOutcome): Hello {
  const { hostname, os, arch, machineId, bootId } = deps.machine;
  return {
    type: "hello",
    protocol: protocolRange,
    agent_version: deps.release.version,
    restic_version: "version" in restic ? restic.version : null,
    restic_problem: restic.kind === "ok" ? null : { code: restic.code, message: restic.message },
    ...{ hostname, os, arch, machine_id: machineId, boot_id: bootId },
    sent_at: new Date(deps.clock.nowMs()).toISOString(),
    stream_id: outbox.streamId,
    jobs: jobs.listKnown().slice(-1000),
  };
}

function once(operation: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  return () => {
    running ??= operation();
    return running;
  };
}
