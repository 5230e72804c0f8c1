/**
 * What the agents' connections mean to the rest of the server: who is connected, and what other slices do with what
 * an agent says. The link knows no job: the table of handlers that start.ts hands in tells what an event means.
 */
import type {
  CommandAck,
  DurableEvent,
  JobProgress,
  KnownJob,
  ScheduleFire,
  ServerMessage,
} from "@restic-manager/protocol";
import { z } from "zod";
import type { Db } from "../../platform/db/db.ts";
import { sharedTopic, topic } from "../../platform/events.ts";
import type { HostIdentity } from "../hosts/hosts.ts";

const link = z.object({ hostId: z.string(), replicaId: z.string() });
/** An agent is welcomed, has its configuration and is ready for commands, at that replica. */
export const agentConnected = sharedTopic("agent-link.connected", { payload: link });
/** That replica has the agent no more; another one may have it already. */
export const agentDisconnected = sharedTopic("agent-link.disconnected", { payload: link });
/** The row that said so is gone, too, and no other was put in its place by that replica. */
export const linkReleased = sharedTopic("agent-link.released", { payload: link });
/** Local, right before `agentConnected`: the jobs that the agent says it holds. */
export const agentGreeted = topic<{ hostId: string; jobs: KnownJob[] }>("agent-link.greeted");

/** What to do once the transaction that stored an event is committed. */
export type AfterCommit = () => void;

/**
 * Stores what an event says. Runs in the transaction that also records the event as received: both or neither.
 * MUST be idempotent only within one stream; the link never hands in the same event twice.
 * @throws AppError to refuse this event for good, such as one of an unknown job; any other error makes the
 * agent send it again later.
 */
export type EventHandler<T extends DurableEvent["type"]> = (
  tx: Db,
  host: HostIdentity,
  event: Extract<DurableEvent, { type: T }>,
) => Promise<AfterCommit | undefined>;

export type EventHandlers = { [T in DurableEvent["type"]]: EventHandler<T> };

/** What the link needs from slices above it. */
export interface LinkHandlers {
  events: EventHandlers;
  onCommandAck(host: HostIdentity, ack: CommandAck): Promise<void>;
  onProgress(host: HostIdentity, progress: JobProgress): Promise<void>;
  /** The agent works with this version of the host's set of schedules, which it tells in its hello as well. */
  onScheduleVersion(host: HostIdentity, version: number): Promise<void>;
  /** A planned time has come on the host. MUST be idempotent: it is asked again until it is answered. */
  onScheduleFire(host: HostIdentity, fire: ScheduleFire): Promise<ServerMessage>;
  /** The host's agent connects for the first time ever; in the transaction that records it, before it is sent anything. */
  onFirstConnect(tx: Db, host: HostIdentity): Promise<AfterCommit | undefined>;
  /** Messages that must reach the agent before any command: its configuration. */
  configurationOf(host: HostIdentity): Promise<ServerMessage[]>;
}
