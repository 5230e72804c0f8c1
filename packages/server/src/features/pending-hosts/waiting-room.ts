/**
 * The sockets of all machines that wait here: at most one for each announcement, told when something is decided. Rows are
 * the truth: a machine whose socket is gone, or that waited while the server was away, learns it when it comes back.
 */
import type { WebSocket } from "@fastify/websocket";
import type { Logger } from "pino";
import { eventsMissed, replicaLost } from "../../platform/replicas/replicas.ts";
import { replaced } from "./announce.ts";
import { sweepExpired } from "./expiry.ts";
import {
  maxPendingHosts,
  type PendingHost,
  type PendingHostsDeps,
  pendingHostChanged,
} from "./pending-hosts.ts";
import { type Peer, WaitingSocket } from "./waiting-socket.ts";

/** Every pending host, those that collect their bearer, and strangers within their ten seconds. */
const maxSockets = 4 * maxPendingHosts;
/** How late the audit trail may learn that an hour is over. */
const tickMs = 60_000;

export interface WaitingRoomDeps extends PendingHostsDeps {
  log: Logger;
  /** As in the answer to an enrolment. */
  certPin: string | null;
  /** Whether every machine that waits is connected to this server. */
  alone: boolean;
}

export class WaitingRoom {
  private readonly deps: WaitingRoomDeps;
  private readonly open = new Set<WaitingSocket>();
  private readonly waiting = new Map<string, WaitingSocket>();
  private readonly unsubscribe: (() => void)[] = [];
  private readonly stopping = new AbortController();
  private ticking: Promise<void> = Promise.resolve();

  constructor(deps: WaitingRoomDeps) {
    this.deps = deps;
  }

  start(): void {
    const { events } = this.deps;
    const lookAtAll = () => {
      for (const pendingId of this.waiting.keys()) this.lookAt(pendingId);
    };
    this.unsubscribe.push(
      events.on(pendingHostChanged, ({ pendingId }) => this.lookAt(pendingId)),
      events.on(eventsMissed, lookAtAll),
      events.on(replicaLost, lookAtAll),
    );
    this.ticking = this.keepTicking();
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    for (const off of this.unsubscribe.splice(0)) off();
    for (const socket of this.open) socket.close(1001, "server stops");
    await this.ticking;
  }

  private async keepTicking(): Promise<void> {
    const { clock, log } = this.deps;
    while (!this.stopping.signal.aborted) {
      await sweepExpired(this.deps).catch((error: unknown) =>
        log.error({ err: error }, "announcements could not be ended"),
      );
      await clock.sleep(tickMs, this.stopping.signal);
    }
  }

  /** Whether the machine has proved its key and is connected now; of another replica's it is known only that it was. */
  isWaiting({ id, provedNonce }: Pick<PendingHost, "id" | "provedNonce">): boolean {
    return this.deps.alone ? this.waiting.has(id) : provedNonce !== null;
  }

  get isFull(): boolean {
    return this.open.size >= maxSockets;
  }

  /** Serves one dialled connection of whom nothing is known yet. */
  accept(socket: WebSocket, peer: Peer): void {
    const waiting = new WaitingSocket(this.deps, socket, peer, (proved) => this.enter(proved));
    this.open.add(waiting);
    socket.on("close", () => {
      this.open.delete(waiting);
      const { pendingId } = waiting;
      if (pendingId === null || this.waiting.get(pendingId) !== waiting) return;
      this.waiting.delete(pendingId);
    });
    waiting.open();
    if (this.stopping.signal.aborted) waiting.close(1001, "server stops");
  }

  private lookAt(pendingId: string): void {
    this.waiting
      .get(pendingId)
      ?.look()
      .catch((error: unknown) => this.deps.log.error({ err: error, pendingId }, "a machine was not told"));
  }

  /** Of two that prove one key, the newer one waits: the older is a connection that broke, or a copy of the machine. */
  private enter(socket: WaitingSocket): void {
    const { pendingId } = socket;
    if (pendingId === null) return;
    this.waiting.get(pendingId)?.refuse(replaced());
    this.waiting.set(pendingId, socket);
  }
}
