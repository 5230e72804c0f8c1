/**
 * One agent's connection after its hello. Frames are worked through in order, durable events in batches: one
 * acknowledgement each, after the transaction that it may share with other agents' batches. Events have no gap. While
 * a batch is stored the socket is paused once enough waits, so that an agent costs a bounded amount of memory however
 * fast it sends.
 */

import type { WebSocket } from "@fastify/websocket";
import {
  type AgentMessage,
  type DurableEvent,
  encodeMessage,
  maxFrameBytes,
  parseAgentFrame,
  type ServerMessage,
} from "@restic-manager/protocol";
import type { Logger } from "pino";
import type { Clock } from "../../platform/clock.ts";
import type { Db } from "../../platform/db/db.ts";
import type { GroupCommit } from "../../platform/db/group-commit.ts";
import { AppError } from "../../platform/errors.ts";
import type { HostIdentity } from "../hosts/hosts.ts";
import { joinLogs } from "./agent-link.batch.ts";
import type { AfterCommit, EventHandler, LinkHandlers } from "./agent-link.contract.ts";
import type { AgentDumps } from "./agent-link.dumps.ts";
import type { AgentRequests } from "./agent-link.requests.ts";
import { claimPosition, type StreamPosition } from "./agent-link.store.ts";

/** Beyond this much waiting the socket is paused. A frame is at most 1 MiB. */
const maxWaitingBytes = 4 * maxFrameBytes;
/** Events in one transaction: enough to make a commit cheap, few enough to keep it short. */
const maxBatch = 64;
/** An agent of ours never sends a bad frame; one that keeps doing so is broken or hostile. */
const maxBadFrames = 20;
/** Commands are small; an agent that does not read them any more is cut off and dials again. */
const maxUnsentBytes = 8 * maxFrameBytes;

/** Which installation and which boot of it a connection comes from; null where the agent could not tell. */
export interface Machine {
  machineId: string | null;
  bootId: string | null;
}

interface Waiting {
  message: AgentMessage;
  sizeBytes: number;
}

const isEvent = (message: AgentMessage): message is DurableEvent =>
  "seq" in message && message.type !== "error";

/** What became of a batch. */
interface Stored {
  refused: { event: DurableEvent; error: AppError }[];
  afterCommit: AfterCommit[];
}

export interface SessionDeps {
  commits: GroupCommit;
  clock: Clock;
  log: Logger;
  handlers: LinkHandlers;
  requests: AgentRequests;
  dumps: AgentDumps;
}

export class AgentSession {
  readonly host: HostIdentity;
  readonly machine: Machine;
  /** The last event that is committed. */
  ackedSeq: number;
  /** The versions of the configuration that was sent last. */
  configuredAs = "";
  /** Whether the agent was welcomed and has its configuration, so that commands may follow. */
  ready = false;
  /** When the last usable frame or ping came, by a clock that nobody sets: the host lives. */
  lastHeardAt: number;
  private readonly socket: WebSocket;
  private readonly deps: SessionDeps;
  private readonly streamId: string;
  /** As the row is, unless another session of this agent has moved it on. */
  private position: StreamPosition | null;
  private readonly waiting: Waiting[] = [];
  private waitingBytes = 0;
  /** The highest number of an event that came, committed or not. */
  private arrivedSeq: number;
  private badFrames = 0;
  /** The loop that works through `waiting`, while there is one. */
  private working: Promise<void> | null = null;
  private closed = false;

  constructor(
    deps: SessionDeps,
    socket: WebSocket,
    peer: { host: HostIdentity; machine: Machine; streamId: string; position: StreamPosition | null },
  ) {
    this.deps = deps;
    this.socket = socket;
    this.host = peer.host;
    this.machine = peer.machine;
    this.streamId = peer.streamId;
    this.position = peer.position;
    // Another disk has other events: they begin at 1.
    this.ackedSeq = peer.position?.streamId === peer.streamId ? peer.position.seq : 0;
    this.arrivedSeq = this.ackedSeq;
    this.lastHeardAt = deps.clock.monotonic();
  }

  /** @returns false when the agent is gone or does not read any more; the message is then not sent */
  send(message: ServerMessage): boolean {
    if (this.closed || this.socket.readyState !== this.socket.OPEN) return false;
    if (this.socket.bufferedAmount > maxUnsentBytes) {
      this.deps.log.warn({ hostId: this.host.id }, "an agent does not read any more; its connection is cut");
      this.socket.terminate();
      return false;
    }
    this.socket.send(encodeMessage(message));
    return true;
  }

  /** Whether the other side answers a ping before the signal aborts: a half-open connection does not. */
  answersPing(within: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      const end = (answer: boolean) => () => resolve(answer);
      this.socket.once("pong", end(true));
      this.socket.once("close", end(false));
      within.addEventListener("abort", end(false));
      if (this.socket.readyState === this.socket.OPEN) this.socket.ping();
      else resolve(false);
    });
  }

  /** Takes a frame off the socket. Never throws. What still comes after the end is dropped. */
  receive(frame: string): void {
    if (this.closed) return;
    const parsed = parseAgentFrame(frame);
    if (!parsed.ok) {
      this.answerBadFrame(parsed);
      return;
    }
    this.hear();
    if (isEvent(parsed.message) && !this.arrivesInTurn(parsed.message.seq)) return;
    // Of an agent of protocol 1, and all that it says: it need not wait in line.
    if (parsed.message.type === "heartbeat") return;
    this.waiting.push({ message: parsed.message, sizeBytes: frame.length });
    this.waitingBytes += frame.length;
    if (this.waitingBytes > maxWaitingBytes) this.socket.pause();
    this.working ??= this.work();
  }

  /** The host lives: it sent a usable frame, or a ping, which is all that an idle one sends. */
  hear(): void {
    if (!this.closed) this.lastHeardAt = this.deps.clock.monotonic();
  }

  /** Ends the connection; nothing more is received. Waits for the batch that is being stored. */
  async close(code: number, reason: string): Promise<void> {
    this.end(code, reason);
    await this.working;
  }

  private end(code: number, reason: string): void {
    this.closed = true;
    this.ready = false;
    this.waiting.length = 0;
    this.socket.close(code, reason);
    // A paused socket would never see the other side's answer to the close.
    this.socket.resume();
  }

  /**
   * Events have no gaps. One that comes before its turn can't be stored: acknowledging it would tell the agent to
   * forget those before it. After the next hello it sends everything again, in order.
   */
  private arrivesInTurn(seq: number): boolean {
    if (seq > this.arrivedSeq + 1) {
      this.deps.log.warn(
        { hostId: this.host.id, seq, after: this.arrivedSeq },
        "an agent's event is missing",
      );
      this.end(4410, "events out of order");
      return false;
    }
    this.arrivedSeq = Math.max(this.arrivedSeq, seq);
    return true;
  }

  private answerBadFrame(bad: { code: string; message: string; type?: string; seq?: number }): void {
    this.badFrames++;
    // An event of a newer agent, say: it is refused for good, and the next one is in its turn.
    if (bad.seq === this.arrivedSeq + 1) this.arrivedSeq = bad.seq;
    this.deps.log.warn(
      { hostId: this.host.id, code: bad.code, type: bad.type },
      "an agent sent an unusable frame",
    );
    const about = {
      ...(bad.type === undefined ? {} : { of_type: bad.type }),
      ...(bad.seq === undefined ? {} : { seq: bad.seq }),
    };
    this.send({ type: "error", code: bad.code, message: bad.message, ...about });
    if (this.badFrames > maxBadFrames) this.end(4400, "too many unusable frames");
  }

  private async work(): Promise<void> {
    try {
      // Frames that came in one packet become one batch.
      await Promise.resolve();
      while (this.waiting.length > 0 && !this.closed) await this.workOnce();
    } catch (error) {
      // Nothing of the batch is stored and nothing was acknowledged: the agent dials again and sends it again.
      this.deps.log.error({ err: error, hostId: this.host.id }, "an agent's events could not be stored");
      this.end(1011, "events could not be stored");
    } finally {
      this.working = null;
    }
  }

  private async workOnce(): Promise<void> {
    const events: DurableEvent[] = [];
    while (events.length < maxBatch) {
      const next = this.waiting[0];
      if (!next || !isEvent(next.message)) break;
      events.push(next.message);
      this.take();
    }
    if (events.length > 0) await this.store(events);
    const other = this.waiting[0];
    if (other && !isEvent(other.message)) {
      this.take();
      await this.workVolatile(other.message);
    }
  }

  private take(): void {
    const taken = this.waiting.shift();
    this.waitingBytes -= taken?.sizeBytes ?? 0;
    if (this.waitingBytes <= maxWaitingBytes / 2 && this.socket.isPaused) this.socket.resume();
  }

  private async workVolatile(message: AgentMessage): Promise<void> {
    const { handlers, log, requests, dumps } = this.deps;
    switch (message.type) {
      case "command.ack":
        return handlers.onCommandAck(this.host, message);
      case "job.progress":
        return handlers.onProgress(this.host, message);
      case "schedule.ack":
        return handlers.onScheduleVersion(this.host, message.version);
      case "schedule.fire":
        this.send(await handlers.onScheduleFire(this.host, message));
        return;
      case "fs.entries":
      case "repository.tested":
      case "tree.page":
      case "tree.matches":
      case "tree.version_list":
      case "tree.counts":
        return requests.answer(this.host.id, message);
      case "dump.chunk":
      case "dump.end":
        return dumps.receive(this.host.id, message);
      case "error":
        log.warn(
          { hostId: this.host.id, code: message.code, type: message.of_type },
          "an agent refused a message",
        );
        if (message.code !== "protocol.unknown_type") return;
        requests.refuse(this.host.id, message.of_type ?? "");
        dumps.refuse(this.host.id, message.of_type ?? "");
    }
  }

  /** The batch is stored as a whole. Events at or before the acknowledged position are doubles and are dropped. */
  private async store(events: DurableEvent[]): Promise<void> {
    const fresh = this.dropDoubles(events);
    const last = fresh.at(-1);
    if (last) {
      const next = { streamId: this.streamId, seq: last.seq };
      const stored = await this.deps.commits.run((tx) => this.storeAll(tx, fresh, next));
      if (!stored) return this.yieldStream();
      this.position = next;
      this.ackedSeq = last.seq;
      for (const { event, error } of stored.refused) this.refuse(event, error);
      for (const done of stored.afterCommit) done();
    }
    this.send({ type: "event.ack", seq: this.ackedSeq });
  }

  /** @returns null, and nothing is written, when another session has stored events of this agent meanwhile */
  private async storeAll(tx: Db, events: DurableEvent[], next: StreamPosition): Promise<Stored | null> {
    // First: nothing has to be rolled back then, of others in this transaction neither.
    if (!(await claimPosition(tx, this.host.id, this.position, next))) return null;
    const stored: Stored = { refused: [], afterCommit: [] };
    for (const event of joinLogs(events)) {
      const done = await this.storeOne(tx, event).catch((error: unknown) => {
        if (!(error instanceof AppError)) throw error;
        stored.refused.push({ event, error });
        return undefined;
      });
      if (done) stored.afterCommit.push(done);
    }
    return stored;
  }

  /** The agent's next hello tells it from where on its events are wanted. */
  private yieldStream(): void {
    this.deps.log.warn({ hostId: this.host.id }, "another session took in this agent's events meanwhile");
    this.end(4411, "events were stored by another session");
  }

  private dropDoubles(events: DurableEvent[]): DurableEvent[] {
    let position = this.ackedSeq;
    return events.filter(({ seq }) => {
      if (seq <= position) return false;
      position = seq;
      return true;
    });
  }

  private storeOne(tx: Db, event: DurableEvent): Promise<AfterCommit | undefined> {
    const handler = this.deps.handlers.events[event.type] as EventHandler<typeof event.type>;
    return handler(tx, this.host, event);
  }

  private refuse(event: DurableEvent, error: AppError): void {
    this.deps.log.warn(
      { hostId: this.host.id, code: error.code, type: event.type },
      "an agent's event was refused",
    );
    this.send({
      type: "error",
      code: error.code,
      message: error.message,
      of_type: event.type,
      seq: event.seq,
    });
  }
}
