/**
 * One agent's connection after its hello. Frames are worked through in order, durable events in batches: one
 * transaction and one acknowledgement each. While a batch is stored the socket is paused once enough waits, so
 * that an agent costs a bounded amount of memory however fast it sends.
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
import { type Db, inTransaction } from "../../platform/db/db.ts";
import { AppError } from "../../platform/errors.ts";
import type { Host } from "../hosts/hosts.ts";
import type { AfterCommit, EventHandler, LinkHandlers } from "./agent-link.contract.ts";
import { saveAckedSeq } from "./agent-link.store.ts";

/** Beyond this much waiting the socket is paused. A frame is at most 1 MiB. */
const maxWaitingBytes = 4 * maxFrameBytes;
/** Events in one transaction: enough to make a commit cheap, few enough to keep it short. */
const maxBatch = 64;
/** An agent of ours never sends a bad frame; one that keeps doing so is broken or hostile. */
const maxBadFrames = 20;
/** Commands are small; an agent that does not read them any more is cut off and dials again. */
const maxUnsentBytes = 8 * maxFrameBytes;

interface Waiting {
  message: AgentMessage;
  sizeBytes: number;
}

export interface SessionDeps {
  db: Db;
  log: Logger;
  handlers: LinkHandlers;
  /** Called for every usable frame: the host lives. */
  onAlive(hostId: string): void;
}

export class AgentSession {
  readonly host: Host;
  readonly streamId: string;
  /** The last event that is committed. */
  ackedSeq: number;
  private readonly socket: WebSocket;
  private readonly deps: SessionDeps;
  private readonly waiting: Waiting[] = [];
  private waitingBytes = 0;
  private badFrames = 0;
  /** The loop that works through `waiting`, while there is one. */
  private working: Promise<void> | null = null;
  private closed = false;

  constructor(deps: SessionDeps, socket: WebSocket, host: Host, stream: { id: string; ackedSeq: number }) {
    this.deps = deps;
    this.socket = socket;
    this.host = host;
    this.streamId = stream.id;
    this.ackedSeq = stream.ackedSeq;
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

  /** Takes a frame off the socket. Never throws. */
  receive(frame: string): void {
    const parsed = parseAgentFrame(frame);
    if (!parsed.ok) {
      this.answerBadFrame(parsed);
      return;
    }
    this.deps.onAlive(this.host.id);
    this.waiting.push({ message: parsed.message, sizeBytes: frame.length });
    this.waitingBytes += frame.length;
    if (this.waitingBytes > maxWaitingBytes) this.socket.pause();
    this.working ??= this.work();
  }

  /** Ends the connection; nothing more is received. Waits for the batch that is being stored. */
  async close(code: number, reason: string): Promise<void> {
    this.closed = true;
    this.waiting.length = 0;
    this.socket.close(code, reason);
    await this.working;
  }

  private answerBadFrame(bad: { code: string; message: string; type?: string; seq?: number }): void {
    this.badFrames++;
    this.deps.log.warn(
      { hostId: this.host.id, code: bad.code, type: bad.type },
      "an agent sent an unusable frame",
    );
    const about = { of_type: bad.type ?? null, seq: bad.seq ?? null };
    this.send({ type: "error", code: bad.code, message: bad.message, ...about });
    if (this.badFrames > maxBadFrames) this.socket.close(4400, "too many unusable frames");
  }

  private async work(): Promise<void> {
    try {
      while (this.waiting.length > 0 && !this.closed) await this.workOnce();
    } catch (error) {
      // Nothing of the batch is stored and nothing was acknowledged: the agent dials again and sends it again.
      this.deps.log.error({ err: error, hostId: this.host.id }, "an agent's events could not be stored");
      this.socket.close(1011, "events could not be stored");
      this.closed = true;
    } finally {
      this.working = null;
    }
  }

  private async workOnce(): Promise<void> {
    const events: DurableEvent[] = [];
    while (events.length < maxBatch) {
      const next = this.waiting[0];
      if (!next || !("seq" in next.message) || next.message.type === "error") break;
      events.push(next.message);
      this.take();
    }
    if (events.length > 0) await this.store(events);
    const other = this.waiting[0];
    if (other && !("seq" in other.message && other.message.type !== "error")) {
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
    if (message.type === "command.ack") await this.deps.handlers.onCommandAck(this.host, message);
    else if (message.type === "job.progress") this.deps.handlers.onProgress(this.host, message);
    else if (message.type === "error") {
      this.deps.log.warn(
        { hostId: this.host.id, code: message.code, type: message.of_type },
        "an agent refused a message",
      );
    }
  }

  /** One transaction for the batch. Events at or before the acknowledged position are doubles and are dropped. */
  private async store(events: DurableEvent[]): Promise<void> {
    const fresh = events.filter((event) => event.seq > this.ackedSeq);
    const last = fresh.at(-1);
    if (last) {
      const refused: { event: DurableEvent; error: AppError }[] = [];
      const afterCommit = await inTransaction(this.deps.db, async (tx) => {
        const todo: AfterCommit[] = [];
        for (const event of fresh) {
          const done = await this.storeOne(tx, event).catch((error: unknown) => {
            if (!(error instanceof AppError)) throw error;
            refused.push({ event, error });
            return undefined;
          });
          if (done) todo.push(done);
        }
        await saveAckedSeq(tx, this.host.id, this.streamId, last.seq);
        return todo;
      });
      this.ackedSeq = last.seq;
      for (const { event, error } of refused) this.refuse(event, error);
      for (const done of afterCommit) done();
    }
    this.send({ type: "event.ack", seq: this.ackedSeq });
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
