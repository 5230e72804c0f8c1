/**
 * Hosts: the machines that carry an agent. Who they are, whether they are online, and how one is removed.
 * Online is never stored: it follows from the age of the last heartbeat at the moment somebody asks.
 * Repositories are plain ids here; what they are is another slice's business.
 */
import { jobKindsBefore } from "@restic-manager/protocol";
import { z } from "zod";
import { type Clock, toInstant } from "../../platform/clock.ts";
import { type Db, inTransaction, isUniqueViolation } from "../../platform/db/db.ts";
import { readable } from "../../platform/db/readable.ts";
import { AppError } from "../../platform/errors.ts";
import { type EventBus, sharedTopic, topic } from "../../platform/events.ts";
import type { Actor } from "../../platform/http/identity.ts";
import { hashToken } from "../../platform/random.ts";
import { recordAudit } from "../audit/audit.ts";
import {
  bumpScheduleVersion,
  deleteHostRow,
  insertHost,
  listHostPage,
  lockHost,
  markFirstConnect,
  selectHost,
  selectHostByName,
  updateFromHello,
  updateSettings,
  updateTwin,
} from "./hosts.store.ts";

export { HostField } from "./host-field.views.tsx";
export {
  bumpScheduleVersion,
  findHostByBearer,
  findMachine,
  idsOfHostsAt,
  listBuilds,
  listFirstHosts,
  listHostIds,
  listHostPage,
  listHosts,
  listHostsByIds,
  listHostsNamed,
  listHostsOfRepository,
  listHostsOnMachines,
  listVersions,
  lockHost,
  recordAppliedVersion,
  recordRestic,
  replaceBearer,
  setHostRepository,
  touchHosts,
} from "./hosts.store.ts";

/** `always-on` is missed after minutes; an `intermittent` host (a laptop) asleep is calm. */
export const hostModes = ["always-on", "intermittent"] as const;
export type HostMode = (typeof hostModes)[number];

/** Caps on what restic sends and fetches, KiB a second; null is unlimited. */
export interface BandwidthCaps {
  uploadKib: number | null;
  downloadKib: number | null;
}

export interface Host extends BandwidthCaps {
  id: string;
  name: string;
  os: string;
  arch: string;
  tags: string[];
  repositoryId: string | null;
  agentVersion: string | null;
  resticVersion: string | null;
  /** Why restic can't be used there, when it can't. */
  resticProblem: { code: string; message: string } | null;
  /** The host's clock minus ours, as measured at the last hello. */
  clockSkewMs: number | null;
  /** Another machine that uses this host's bearer; see `twinOf`. */
  twin: Twin | null;
  mode: HostMode;
  /** Grows with every change of what the agent must know to run its schedules. */
  scheduleVersion: number;
  /** What the agent said it works with; null for one that keeps no schedules. */
  appliedScheduleVersion: number | null;
  /** Whether its agent.yaml allows hooks; null before an agent said so. */
  hooksAllowed: boolean | null;
  /** The kinds of repository that its agent has settings for; null for one that knows a location and passwords only. */
  backendKinds: string[] | null;
  /** The kinds of job that its agent said it knows; null for one that does not say. See `knowsJobKind`. */
  jobKinds: string[] | null;
  createdAt: number;
  firstConnectedAt: number | null;
  lastSeenAt: number | null;
}

/** What runs on a host, apart from which host it is. */
export type HostBuild = Pick<
  Host,
  "os" | "arch" | "agentVersion" | "resticVersion" | "resticProblem" | "jobKinds"
>;

/** A machine that tried to connect with a host's bearer while another machine was connected: a clone. */
export interface Twin {
  /** What it calls itself. */
  hostname: string;
  machineId: string | null;
  bootId: string | null;
  seenAt: number;
}

const someHost = z.object({ hostId: z.string() });
/** Something about a host changed: its row, its tags, its connection. */
export const hostChanged = topic<{ hostId: string }>("host.changed");
/** What a host's agent must know of its schedules changed; emitted after the commit that bumped the version. */
export const scheduleSetChanged = sharedTopic("host.schedule_set_changed", { payload: someHost });
/** A host and everything that hung on it is gone. */
export const hostRemoved = sharedTopic("host.removed", { payload: someHost });

/** Two heartbeats of 25 s may get lost before we say that a host is offline. */
export const offlineAfterMs = 90_000;

/**
 * Whether the host's last heartbeat is young enough. One that lies as far ahead was written before the clock was set back, and
 * says nothing; one less far ahead may be of a replica whose clock is.
 */
export function isOnline(host: Pick<Host, "lastSeenAt">, nowMs: number): boolean {
  return host.lastSeenAt !== null && Math.abs(nowMs - host.lastSeenAt) < offlineAfterMs;
}

/** More tags than a person reads, and long enough for `customer:name`. */
export const maxTags = 20;
const tagRule = /^[\p{L}\p{N}][\p{L}\p{N}._:/-]{0,39}$/u;

/** Whether the host's agent can run a kind of job. One that did not tell its kinds knows those from before they were told. */
export function knowsJobKind({ jobKinds }: Pick<Host, "jobKinds">, kind: string): boolean {
  return (jobKinds ?? (jobKindsBefore as readonly string[])).includes(kind);
}

/**
 * The one spelling of tags: without edge blanks, lower case, each once, in the order given.
 * A tag is 1 to 40 letters, digits or `. _ : / -` and starts with a letter or digit; a host has at most 20.
 * @returns the tags, or the sentence that says which one is wrong
 */
export function readTags(written: readonly string[]): { tags: string[] } | { problem: string } {
  const tags = [...new Set(written.map((tag) => tag.trim().toLowerCase()).filter((tag) => tag !== ""))];
  if (tags.length > maxTags)
    return { problem: `A host has at most ${maxTags} tags; these are ${tags.length}.` };
  const wrong = tags.find((tag) => !tagRule.test(tag));
  if (wrong === undefined) return { tags };
  const shown = wrong.length > 40 ? `${wrong.slice(0, 40)}…` : wrong;
  return {
    problem: `“${shown}” can't be a tag: use up to 40 letters, digits or . _ : / - and start with a letter or digit.`,
  };
}

/** What never changes of a host. Whoever lives longer than a request keeps no more of it: the rest is edited meanwhile. */
export type HostIdentity = Pick<Host, "id" | "name">;

export interface HostFilter {
  /** A part of the name, in any case. */
  q?: string | undefined;
  /** The whole name, in any case. */
  name?: string | undefined;
  tag?: string | undefined;
  state?: "online" | "offline" | undefined;
}

/** A host that a form may name. */
export interface HostOption {
  id: string;
  name: string;
  online: boolean;
}

export const toHostOption = (host: Host, nowMs: number): HostOption => ({
  ...{ id: host.id, name: host.name, online: isOnline(host, nowMs) },
});

/** As many as a list that one looks through. */
const proposedHosts = 20;

/** The first that match, by name, to propose in a form of `hostId`; without that host itself. */
export async function listOtherHosts(
  db: Db,
  hostId: string,
  filter: HostFilter,
  nowMs: number,
): Promise<HostOption[]> {
  const found = await listHostPage(db, filter, { limit: proposedHosts + 1, nowMs });
  return found
    .filter(({ id }) => id !== hostId)
    .slice(0, proposedHosts)
    .map((host) => toHostOption(host, nowMs));
}

export const findHost = (db: Db, id: string): Promise<Host | null> => selectHost(db, id);

/** @throws AppError `hosts.not_found` */
export async function getHost(db: Db, id: string): Promise<Host> {
  const host = await selectHost(db, id);
  if (!host) throw notFound();
  return host;
}

/** The host of that name, whatever its case. */
export const findHostByName = (db: Db, name: string): Promise<Host | null> => selectHostByName(db, name);

export interface NewHost {
  id: string;
  name: string;
  os: string;
  arch: string;
  tags: string[];
  repositoryId: string | null;
  /** Stored as its hash only. */
  bearer: string;
  agentVersion: string | null;
  resticVersion: string | null;
  at: number;
}

/** @throws AppError `hosts.name_taken`; the caller's transaction is then over */
export async function createHost(tx: Db, input: NewHost): Promise<Host> {
  const { bearer, at, ...identity } = input;
  const host: Host = {
    ...allReadable(identity),
    resticProblem: null,
    clockSkewMs: null,
    twin: null,
    mode: "always-on",
    scheduleVersion: 0,
    appliedScheduleVersion: null,
    hooksAllowed: null,
    backendKinds: null,
    jobKinds: null,
    uploadKib: null,
    downloadKib: null,
    createdAt: at,
    firstConnectedAt: null,
    lastSeenAt: null,
  };
  await insertHost(tx, host, hashToken(bearer)).catch((error: unknown) => {
    throw isUniqueViolation(error) ? nameTaken(input.name) : error;
  });
  return host;
}

/** The refusal of a second host of one name; `details` names the field `hostname`. */
export function nameTaken(name: string): AppError {
  const message = `There already is a host called ${name}. Choose another name, or delete that host first.`;
  return new AppError("conflict", "hosts.name_taken", message, { details: [{ path: "hostname", message }] });
}

/** A refused twin dials again every minute or so; one that was not seen for this long was enrolled anew or is off. */
const twinForgottenAfterMs = 15 * 60_000;

/** The twin that is still trying, if there is one. */
export function twinOf(host: Pick<Host, "twin">, nowMs: number): Twin | null {
  return host.twin && nowMs - host.twin.seenAt < twinForgottenAfterMs ? host.twin : null;
}

/** Records that another machine uses a host's bearer; audited once for each time that it begins. */
export async function recordTwin(db: Db, host: HostIdentity, twin: Twin): Promise<void> {
  await inTransaction(db, async (tx) => {
    await lockHost(tx, host.id);
    const before = await getHost(tx, host.id);
    if (!twinOf(before, twin.seenAt)) {
      await recordAudit(tx, {
        at: twin.seenAt,
        actor: { kind: "agent", id: host.id, name: host.name },
        action: "host.twin_refused",
        target: { kind: "host", id: host.id, name: host.name },
        payload: { hostname: twin.hostname, machine_id: twin.machineId, boot_id: twin.bootId },
      });
    }
    await updateTwin(tx, host.id, twin);
  });
}

/** What an agent says about itself when it connects. */
export interface HelloFacts {
  agentVersion: string;
  resticVersion: string | null;
  resticProblem: { code: string; message: string } | null;
  os: string;
  arch: string;
  machineId: string | null;
  bootId: string | null;
  clockSkewMs: number;
  appliedScheduleVersion: number | null;
  hooksAllowed: boolean | null;
  backendKinds: string[] | null;
  jobKinds: string[] | null;
  at: number;
}

/**
 * Records a connection. `firstConnect` is true exactly once in a host's life, however many connections race.
 * @throws AppError `hosts.not_found`
 */
export async function recordHello(
  tx: Db,
  hostId: string,
  facts: HelloFacts,
): Promise<{ firstConnect: boolean }> {
  const firstConnectedAt = await updateFromHello(tx, hostId, allReadable(facts));
  if (firstConnectedAt === undefined) throw notFound();
  return { firstConnect: firstConnectedAt === null && (await markFirstConnect(tx, hostId, facts.at)) };
}

/** What an agent says of itself, as it may be stored and shown. */
function allReadable<T extends object>(reported: T): T {
  const clean = Object.entries(reported).map(([name, value]) => {
    return [name, typeof value === "string" ? readable(value) : value];
  });
  return { ...reported, ...Object.fromEntries(clean) };
}

export interface EditHostDeps {
  db: Db;
  clock: Clock;
  events: EventBus;
}

/** The most that a cap can be, KiB a second: a TiB. */
export const maxBandwidthKib = 1_073_741_824;

/**
 * Sets the caps of all restic runs of a host; the agent has them with its next run. Nothing happens when nothing differs.
 * @throws AppError `hosts.not_found`
 */
export async function setBandwidth(
  deps: EditHostDeps,
  input: { hostId: string; caps: BandwidthCaps; actor: Actor },
): Promise<Host> {
  const { uploadKib, downloadKib } = input.caps;
  const payload = { upload_kib: uploadKib, download_kib: downloadKib };
  return editHost(deps, { ...input, action: "host.bandwidth_edit", payload, change: input.caps });
}

/** @throws AppError `hosts.not_found` */
export async function setHostMode(
  deps: EditHostDeps,
  input: { hostId: string; mode: HostMode; actor: Actor },
): Promise<Host> {
  const { mode } = input;
  return editHost(deps, { ...input, action: "host.mode_edit", payload: { mode }, change: { mode } });
}

async function editHost(
  deps: EditHostDeps,
  edit: {
    hostId: string;
    actor: Actor;
    action: string;
    payload: Record<string, unknown>;
    change: Partial<Host>;
  },
): Promise<Host> {
  const { hostId, actor, action, payload, change } = edit;
  const edited = await inTransaction(deps.db, async (tx) => {
    await lockHost(tx, hostId);
    const before = await getHost(tx, hostId);
    const after = { ...before, ...change };
    if (JSON.stringify(before) === JSON.stringify(after)) return null;
    await updateSettings(tx, after);
    await bumpScheduleVersion(tx, hostId);
    const target = { kind: "host", id: hostId, name: before.name };
    await recordAudit(tx, { at: deps.clock.now(), actor, action, target, payload });
    return after;
  });
  if (edited) {
    deps.events.emit(scheduleSetChanged, { hostId });
    deps.events.emit(hostChanged, { hostId });
  }
  return getHost(deps.db, hostId);
}

export interface DeleteHostDeps {
  db: Db;
  clock: Clock;
  events: EventBus;
  /** What is lost with the host, counted inside the same transaction: name of the thing → how many. */
  losses(tx: Db, hostId: string): Promise<Record<string, number>>;
}

/**
 * Removes a host with its jobs, logs, groups and credentials; its snapshots stay in the repository.
 * @throws AppError `hosts.not_found`, or `hosts.name_mismatch` when the typed name is not exactly the host's
 */
export async function deleteHost(
  deps: DeleteHostDeps,
  input: { hostId: string; typedName: string; actor: Actor },
): Promise<void> {
  const { hostId, typedName, actor } = input;
  await inTransaction(deps.db, async (tx) => {
    await lockHost(tx, hostId);
    const host = await getHost(tx, hostId);
    if (typedName !== host.name) throw nameMismatch(host.name);
    const lost = await deps.losses(tx, hostId);
    const target = { kind: "host", id: hostId, name: host.name };
    const payload = { lost, created_at: toInstant(host.createdAt) };
    await recordAudit(tx, { at: deps.clock.now(), actor, action: "host.delete", target, payload });
    await deleteHostRow(tx, hostId);
  });
  deps.events.emit(hostRemoved, { hostId });
}

const notFound = (): AppError =>
  new AppError("not_found", "hosts.not_found", "There is no such host. It may have been deleted.");

/** The refusal of what was not confirmed with exactly the host's name. */
export function nameMismatch(name: string): AppError {
  const message = `That is not the host's name. Type exactly ${name}.`;
  return new AppError("invalid", "hosts.name_mismatch", message, {
    details: [{ path: "confirm_name", message }],
  });
}
