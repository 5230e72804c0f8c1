/**
 * An agent reduced to its link: dials, says hello, sends pings and events, resends what was not acknowledged.
 * It speaks to the real server and, with the same frames, to a bare hub that answers any hello with a welcome.
 */
import {
  type AgentMessage,
  encodeMessage,
  type LogLine,
  parseServerFrame,
  protocolRange,
} from "@restic-manager/protocol";
import { WebSocket } from "ws";
import { bearerOf, jobIdOf, streamIdOf } from "./fleet.ts";

/** As the real agent's backoff: full jitter, 1 s doubling to 10 s. */
const firstDelayMs = 1000;
const maxDelayMs = 10_000;

export interface AgentOptions {
  port: number;
  /** Which host of the fleet. */
  index: number;
  /** Whether to dial again after the connection ends. */
  redial?: boolean;
  /** Whether it runs no job. */
  idle?: boolean;
  onWelcome?(): void;
  onAck?(): void;
}

export class BenchAgent {
  readonly jobId: string;
  online = false;
  private readonly options: AgentOptions;
  private socket: WebSocket | null = null;
  private failures = 0;
  private heart: NodeJS.Timeout | null = null;
  /** Not yet acknowledged, in order. */
  private outbox: { seq: number; frame: string }[] = [];
  private lastSeq = 0;
  private lastLine = 0;
  private stopped = false;

  constructor(options: AgentOptions) {
    this.options = options;
    this.jobId = jobIdOf(options.index);
  }

  /** All from one address, as a fleet behind one NAT: to bind to others costs the client seconds once many connections have ended. */
  dial(): void {
    const { index, port, idle = false } = this.options;
    const socket = new WebSocket(`ws://127.0.0.1:${port}/ws/agent`, {
      headers: { authorization: `Bearer ${bearerOf(index)}` },
      perMessageDeflate: false,
    });
    this.socket = socket;
    socket.on("open", () => socket.send(encodeMessage(helloOf(index, idle))));
    socket.on("message", (data) => this.receive(data.toString()));
    socket.on("error", () => undefined);
    socket.on("close", () => this.closed());
  }

  /** Queues an event with these texts as lines, and sends it when connected. @returns the lines */
  log(texts: readonly string[]): LogLine[] {
    const at = new Date().toISOString();
    const lines: LogLine[] = texts.map((text) => ({
      n: ++this.lastLine,
      at,
      level: "info",
      stream: "stdout",
      text,
    }));
    const seq = ++this.lastSeq;
    // Not through encodeMessage: its check would be a part of what is measured. The server checks it anyway.
    const frame = JSON.stringify({ type: "log.stream", seq, job_id: this.jobId, attempt: 1, lines });
    this.outbox.push({ seq, frame });
    if (this.online) this.socket?.send(frame);
    return lines;
  }

  get unacknowledged(): number {
    return this.outbox.length;
  }

  get lines(): number {
    return this.lastLine;
  }

  stop(): void {
    this.stopped = true;
    this.socket?.terminate();
  }

  private receive(frame: string): void {
    const parsed = parseServerFrame(frame);
    if (!parsed.ok) throw new Error(`the server sent ${frame}`);
    const { message } = parsed;
    if (message.type === "welcome") this.welcome(message.acked_seq, message.heartbeat_interval_ms);
    else if (message.type === "event.ack") {
      this.forget(message.seq);
      this.options.onAck?.();
    } else if (message.type === "error" || message.type === "reject") throw new Error(message.message);
  }

  private welcome(ackedSeq: number, heartbeatMs: number): void {
    this.online = true;
    this.failures = 0;
    this.forget(ackedSeq);
    for (const { frame } of this.outbox) this.socket?.send(frame);
    const beat = () => this.socket?.ping();
    this.heart = setInterval(beat, heartbeatMs);
    beat();
    this.options.onWelcome?.();
  }

  private forget(ackedSeq: number): void {
    while (this.outbox[0] && this.outbox[0].seq <= ackedSeq) this.outbox.shift();
  }

  private closed(): void {
    const delayMs = Math.random() * Math.min(maxDelayMs, firstDelayMs * 2 ** this.failures);
    this.failures = this.online ? 0 : this.failures + 1;
    this.online = false;
    if (this.heart) clearInterval(this.heart);
    if (this.stopped || !this.options.redial) return;
    setTimeout(() => this.dial(), delayMs);
  }
}

function helloOf(index: number, idle: boolean): AgentMessage {
  return {
    type: "hello",
    protocol: protocolRange,
    agent_version: "0.1.0",
    restic_version: "0.19.1",
    hostname: `host-${index}`,
    os: "linux",
    arch: "x64",
    machine_id: `machine-${index}`,
    boot_id: `boot-${index}`,
    sent_at: new Date().toISOString(),
    stream_id: streamIdOf(index),
    jobs: idle ? [] : [{ job_id: jobIdOf(index), attempt: 1, state: "running" }],
  };
}
