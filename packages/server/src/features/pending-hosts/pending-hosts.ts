/**
 * Pending hosts: machines that announced themselves without a token and wait for a person. THE ONLY public file.
 * A machine is its key: whoever proves it gets what was decided about it, and nobody else does. The list is bounded,
 * a machine leaves it by a decision or after an hour, and nothing ever pushes one out.
 */
import { z } from "zod";
import type { Clock } from "../../platform/clock.ts";
import type { Db } from "../../platform/db/db.ts";
import { AppError } from "../../platform/errors.ts";
import { type EventBus, sharedTopic } from "../../platform/events.ts";
import { listHostsNamed, listHostsOnMachines } from "../hosts/hosts.ts";
import { type PendingHost, selectPendingHost, selectWaiting } from "./pending-hosts.store.ts";
import type { PendingRow } from "./pending-panel.views.tsx";

export type { PendingHost } from "./pending-hosts.store.ts";
export { PendingPanel, type PendingRow } from "./pending-panel.views.tsx";

/** Long enough to walk to a machine and back. */
export const announcementLifetimeMs = 60 * 60 * 1000;
/** More than anybody compares by hand; strangers may fill it, and then only new ones are refused. */
export const maxPendingHosts = 100;

export interface PendingHostsDeps {
  db: Db;
  clock: Clock;
  events: EventBus;
}

/** A machine announced itself, proved its key, or was decided about; emitted after the commit. */
export const pendingHostChanged = sharedTopic("pending-hosts.changed", {
  payload: z.object({ pendingId: z.string() }),
});

/** Why a machine may not be the one that it looks like. */
export type Duplicate =
  | { kind: "pending_name" }
  | { kind: "pending_machine"; hostname: string }
  | { kind: "host_name"; hostId: string; hostName: string }
  | { kind: "host_machine"; hostId: string; hostName: string };

export interface WaitingHost extends PendingHost {
  duplicates: Duplicate[];
}

/** Those that wait for a decision, the oldest first, each with what it has in common with others. */
export async function listPendingHosts(deps: Pick<PendingHostsDeps, "db" | "clock">): Promise<WaitingHost[]> {
  return withDuplicates(deps.db, await selectWaiting(deps.db, deps.clock.now()));
}

/** What became of one; expired ones too. @throws AppError `pending.not_found` */
export async function getPendingHost(
  deps: Pick<PendingHostsDeps, "db" | "clock">,
  id: string,
): Promise<WaitingHost> {
  const found = await selectPendingHost(deps.db, id);
  if (!found) throw notFound();
  if (found.state !== "pending") return { ...found, duplicates: [] };
  const others = (await selectWaiting(deps.db, deps.clock.now())).filter((other) => other.id !== id);
  const all = await withDuplicates(deps.db, [found, ...others]);
  return all[0] ?? { ...found, duplicates: [] };
}

async function withDuplicates(db: Db, waiting: PendingHost[]): Promise<WaitingHost[]> {
  const lower = (name: string) => name.toLowerCase();
  const named = await listHostsNamed(
    db,
    waiting.map(({ hostname }) => hostname),
  );
  const onMachines = await listHostsOnMachines(
    db,
    waiting.flatMap(({ machineId }) => machineId ?? []),
  );
  return waiting.map((one) => {
    const others = waiting.filter(({ id }) => id !== one.id);
    const sameName = others.some(({ hostname }) => lower(hostname) === lower(one.hostname));
    const sameMachine = others.filter(({ machineId }) => machineId !== null && machineId === one.machineId);
    const duplicates: Duplicate[] = [
      ...named
        .filter(({ name }) => lower(name) === lower(one.hostname))
        .map(({ id, name }) => ({ kind: "host_name" as const, hostId: id, hostName: name })),
      ...onMachines
        .filter(({ machineId }) => machineId === one.machineId)
        .map(({ id, name }) => ({ kind: "host_machine" as const, hostId: id, hostName: name })),
      ...(sameName ? [{ kind: "pending_name" as const }] : []),
      ...sameMachine.map(({ hostname }) => ({ kind: "pending_machine" as const, hostname })),
    ];
    return { ...one, duplicates };
  });
}

/** As the dashboard and its own page show it. @param connected whether its agent waits at the server now */
export const toPendingRow = (one: WaitingHost, connected: boolean): PendingRow => ({
  id: one.id,
  hostname: one.hostname,
  fingerprint: one.fingerprint,
  os: one.os,
  arch: one.arch,
  address: one.address,
  note: one.note,
  proved: one.serverName !== null,
  connected,
  duplicates: one.duplicates,
  announcedAt: one.announcedAt,
  expiresAt: one.expiresAt,
});

export const isExpired = (pending: Pick<PendingHost, "state" | "expiresAt">, nowMs: number): boolean =>
  pending.state === "pending" && pending.expiresAt <= nowMs;

export const notFound = (): AppError =>
  new AppError(
    "not_found",
    "pending.not_found",
    "There is no such announcement. Announce the machine again.",
  );

export const expired = (): AppError =>
  new AppError(
    "conflict",
    "pending.expired",
    "This announcement has expired: it was good for one hour. Announce the machine again.",
  );

/** @param reason why, when somebody said so */
export const rejected = (reason: string | null): AppError =>
  new AppError(
    "conflict",
    "pending.rejected",
    reason === null ? "This machine was rejected." : `This machine was rejected: ${reason}`,
  );
