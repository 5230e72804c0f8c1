/**
 * One connection to the server, from hello to its end. Invariants: nothing is sent or acted upon before the
 * welcome; the server's messages are worked off one by one in their order (credentials before commands);
 * a connection that has fallen silent is given up. The session ends once and says why; it never redials.
 */
import {
  type AgentMessage,
  type CommandAck,
  type ConfigUpdate,
  encodeMessage,
  type FsEntries,
  type FsList,
  type Hello,
  parseServerFrame,
  pingIsHeartbeatFrom,
  type RepositoryTest,
  type RepositoryTested,
  type ScheduleFire,
  type ScheduleFired,
  type ScheduleSet,
  type ServerMessage,
  type TreeAnswer,
  type TreeQuestion,
  type Welcome,
} from "@restic-manager/protocol";
import type { RawData, WebSocket } from "ws";
import { type Clock, slept } from "../platform/clock.ts";
import { reasonOf } from "../platform/errors.ts";
import type { Log } from "../platform/log.ts";
import { DumpLines, type DumpSource } from "./dump-lines.ts";
import type { Outbox } from "./outbox.ts";

export type CommandRun = Extract<ServerMessage, { type: "command.run" }>;
export type JobProgress = Extract<AgentMessage, { type: "job.progress" }>;
export type ScheduleAck = Extract<AgentMessage, { type: "schedule.ack" }>;

/** What the rest of the agent does with the server's messages. Each is awaited before the next one is read. */
export type Receiver = {
  /** MUST be idempotent and ignore a version that is not newer, unless it `opens` the connection: then it counts. */
  updateConfig(update: ConfigUpdate, opens: boolean): Promise<void>;
  /** MUST answer a command that is already known with the same acknowledgement and not run it twice. */
  runCommand(command: CommandRun): Promise<CommandAck>;
  /** MUST be idempotent; an unknown job is no error. */
  cancelJob(jobId: string): Promise<void>;
  /** One part of the host's schedules; answers when a set is whole. `opens`: none of this connection was yet. */
  updateSchedules(part: ScheduleSet, opens: boolean): Promise<ScheduleAck | undefined>;
  /** What became of a fire; MUST be idempotent. */
  scheduleFired(answer: ScheduleFired): Promise<void>;
  /** Not awaited before the next message is read: a folder on a dead network disk never answers. MUST not reject. */
  listFolder(request: FsList): Promise<FsEntries>;
  /** Not awaited either: a storage may take its time. MUST not reject. */
  testRepository(request: RepositoryTest): Promise<RepositoryTested>;
  /** The bytes of a download. */
  readDump: DumpSource;
  /** Not awaited either: it may take a minute. MUST not reject. */
  readTree(question: TreeQuestion): Promise<TreeAnswer>;
  /** MUST be idempotent; an unknown question is no error. */
  cancelTree(requestId: string): void;
};

export type SessionDeps = {
  clock: Clock;
  log: Log;
  outbox: Outbox;
  /** Built anew for every connection: it tells the running jobs. */
  createHello: () => Promise<Hello>;
  receiver: Receiver;
  /** What a new connection is told first about a running job. */
  newestProgress: () => JobProgress | undefined;
  /** The server has welcomed us: what waits for a connection can be sent. */
  onWelcomed: () => void;
};

export type SessionEnd =
  | { kind: "closed"; reason: string /** It had got as far as the welcome. */; welcomed: boolean }
  /** The server will not talk to us as we are. */
  | { kind: "rejected"; code: string; message: string }
  /** This host was removed: dialling again is useless. */
  | { kind: "removed"; message: string }
  | { kind: "stopped" };

const WELCOME_TIMEOUT_MS = 10_000;
/** Silence of this many heartbeats means that the peer is gone (a half-open TCP connection says nothing). */
const SILENT_HEARTBEATS = 2.5;
const MIN_HEARTBEAT_MS = 50;
const MAX_HEARTBEAT_MS = 300_000;
/** A server that sends faster than we work is cut off; every message is redelivered anyway. */
const MAX_QUEUED_FRAMES = 1000;
/** More than this in the socket's buffer means that the line is full: progress then waits for its next second. */
const PROGRESS_BUFFER_BYTES = 256 * 1024;

export class AgentSession {
  readonly #deps: SessionDeps;
  readonly #socket: WebSocket;
  readonly #ended = Promise.withResolvers<SessionEnd>();
  readonly #over = new AbortController();
  readonly #dumps: DumpLines;
  #inbox: Promise<void> = Promise.resolve();
  #queued = 0;
  #welcomed = false;
  /** The first credentials of this connection came. */
  #configured = false;
  /** The first whole set of schedules of this connection came. */
  #scheduled = false;
  #pumping = false;
  #pumpAgain = false;
  #lastHeardMs: number;
  #lastError = "";

  /** `socket` is open. */
  constructor(deps: SessionDeps, socket: WebSocket) {
    this.#deps = deps;
    this.#socket = socket;
    this.#lastHeardMs = deps.clock.monotonicMs();
    const send = (message: AgentMessage) => this.#sendOut(message);
    this.#dumps = new DumpLines({ read: deps.receiver.readDump, log: deps.log, send });
  }

  /** Runs until the connection ends or `signal` aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<SessionEnd> {
    const onAbort = () => this.#end({ kind: "stopped" });
    signal.addEventListener("abort", onAbort);
    this.#listen();
    if (signal.aborted) onAbort();
    this.#supervise(this.#greet());
    const end = await this.#ended.promise;
    signal.removeEventListener("abort", onAbort);
    this.#deps.outbox.onAppended = () => undefined;
    this.#over.abort();
    await this.#inbox;
    await this.#dumps.stop();
    return end;
  }

  /** True from the welcome to the end. */
  get welcomed(): boolean {
    return this.#welcomed && !this.#over.signal.aborted;
  }

  /** Sends progress if the line is free; otherwise it is forgotten, the next one is newer. */
  sendProgress(message: JobProgress): void {
    if (this.#welcomed && this.#socket.bufferedAmount < PROGRESS_BUFFER_BYTES) this.#send(message);
  }

  /** Volatile: false when it can't be sent now; true still does not mean that it arrives. */
  sendFire(message: ScheduleFire): boolean {
    if (!this.#welcomed || this.#socket.readyState !== this.#socket.OPEN) return false;
    this.#send(message);
    return true;
  }

  #listen(): void {
    this.#socket.on("message", (data, isBinary) => this.#enqueue(data, isBinary));
    this.#socket.on("ping", () => this.#heard());
    this.#socket.on("pong", () => this.#heard());
    this.#socket.on("error", (error) => {
      this.#lastError = error.message;
    });
    this.#socket.on("close", (code, reason) => {
      const said = reason.toString("utf8").slice(0, 200) || this.#lastError;
      this.#end({ kind: "closed", reason: `closed with ${code} ${said}`.trim(), welcomed: this.#welcomed });
    });
  }

  async #greet(): Promise<void> {
    this.#send(await this.#deps.createHello());
    const timedOut = await slept(this.#deps.clock, WELCOME_TIMEOUT_MS, this.#over.signal);
    if (timedOut && !this.#welcomed) this.#giveUp("the server did not answer hello in time");
  }

  #enqueue(data: RawData, isBinary: boolean): void {
    this.#heard();
    if (this.#queued >= MAX_QUEUED_FRAMES) {
      this.#giveUp("the server sends faster than this agent can work");
      return;
    }
    this.#queued += 1;
    this.#inbox = this.#inbox.then(async () => {
      this.#queued -= 1;
      if (this.#over.signal.aborted) return;
      try {
        await this.#receiveFrame(isBinary ? "" : data.toString());
      } catch (error) {
        this.#giveUp(reasonOf(error));
      }
    });
  }

  async #receiveFrame(frame: string): Promise<void> {
    const parsed = parseServerFrame(frame);
    if (parsed.ok) {
      await (this.#welcomed ? this.#receive(parsed.message) : this.#receiveFirst(parsed.message));
      return;
    }
    const { code, message, type } = parsed;
    this.#deps.log.warn({ code, of_type: type }, "a message of the server can't be used");
    this.#send({ type: "error", code, message, ...(type === undefined ? {} : { of_type: type }) });
  }

  async #receiveFirst(message: ServerMessage): Promise<void> {
    if (message.type === "welcome") await this.#open(message);
    else if (message.type === "reject") this.#reject(message.code, message.message);
    else if (message.type === "goodbye") this.#leave(message.retry, message.message);
    else this.#deps.log.warn({ of_type: message.type }, "ignored before the welcome");
  }

  #reject(code: string, message: string): void {
    const removed = code === "link.host_removed";
    this.#end(removed ? { kind: "removed", message } : { kind: "rejected", code, message });
  }

  #leave(retry: boolean, message: string): void {
    if (retry) this.#giveUp(`the server says goodbye: ${message}`);
    else this.#end({ kind: "removed", message });
  }

  async #open(welcome: Welcome): Promise<void> {
    const { outbox, log } = this.#deps;
    if ((await outbox.rewind(welcome.acked_seq)) === "diverged") {
      this.#giveUp("the event stream was started anew");
      return;
    }
    this.#welcomed = true;
    log.info({ server_version: welcome.server_version, host_name: welcome.host_name }, "connected");
    outbox.onAppended = () => this.#pump();
    this.#supervise(this.#keepAlive(welcome));
    this.#pump();
    const progress = this.#deps.newestProgress();
    if (progress !== undefined) this.sendProgress(progress);
    this.#deps.onWelcomed();
  }

  async #receive(message: ServerMessage): Promise<void> {
    const { outbox, receiver, log } = this.#deps;
    switch (message.type) {
      case "config.update": {
        const opens = !this.#configured;
        this.#configured = true;
        return receiver.updateConfig(message, opens);
      }
      case "command.run":
        return this.#send(await receiver.runCommand(message));
      case "command.cancel":
        return receiver.cancelJob(message.job_id);
      case "schedule.set":
        return this.#receiveSchedules(message);
      case "schedule.fired":
        return receiver.scheduleFired(message);
      case "fs.list":
        return this.#supervise(receiver.listFolder(message).then((entries) => this.#send(entries)));
      case "repository.test":
        return this.#supervise(receiver.testRepository(message).then((tested) => this.#send(tested)));
      case "dump.start":
        return this.#dumps.start(message);
      case "dump.credit":
        return this.#dumps.grant(message.request_id, message.chunks);
      case "dump.cancel":
        return this.#dumps.cancel(message.request_id);
      case "tree.list":
      case "tree.search":
      case "tree.versions":
      case "tree.count":
        return this.#supervise(receiver.readTree(message).then((answer) => this.#send(answer)));
      case "tree.cancel":
        return receiver.cancelTree(message.request_id);
      case "event.ack":
        await outbox.ack(message.seq);
        return this.#pump();
      case "error":
        log.warn({ code: message.code, of_type: message.of_type, seq: message.seq }, message.message);
        if (typeof message.seq === "number") await outbox.refuse(message.seq, message.code);
        return this.#pump();
      case "goodbye":
        return this.#leave(message.retry, message.message);
      case "reject":
        return this.#reject(message.code, message.message);
      case "welcome":
        return;
    }
  }

  async #receiveSchedules(part: ScheduleSet): Promise<void> {
    const ack = await this.#deps.receiver.updateSchedules(part, !this.#scheduled);
    if (ack === undefined) return;
    this.#scheduled = true;
    this.#send(ack);
  }

  /** Sends what the outbox has, as far as its window allows. One at a time, in order. */
  #pump(): void {
    this.#pumpAgain = true;
    if (!this.#pumping) this.#supervise(this.#pumpAll());
  }

  async #pumpAll(): Promise<void> {
    this.#pumping = true;
    try {
      while (this.#pumpAgain && !this.#over.signal.aborted) {
        this.#pumpAgain = false;
        for (
          let event = await this.#deps.outbox.next();
          event !== undefined;
          event = await this.#deps.outbox.next()
        ) {
          if (this.#over.signal.aborted) return;
          this.#send(event);
        }
      }
    } finally {
      this.#pumping = false;
    }
  }

  async #keepAlive(welcome: Welcome): Promise<void> {
    const { clock } = this.#deps;
    const interval = Math.min(Math.max(welcome.heartbeat_interval_ms, MIN_HEARTBEAT_MS), MAX_HEARTBEAT_MS);
    for (let tick = 0; ; tick += 1) {
      if (clock.monotonicMs() - this.#lastHeardMs > SILENT_HEARTBEATS * interval) {
        this.#giveUp("the server has fallen silent");
        return;
      }
      // Two looks per heartbeat, so that silence is noticed close to its limit.
      if (tick % 2 === 0) this.#beat(welcome.protocol);
      if (!(await slept(clock, interval / 2, this.#over.signal))) return;
    }
  }

  #beat(protocol: number): void {
    if (protocol < pingIsHeartbeatFrom)
      this.#send({ type: "heartbeat", sent_at: new Date(this.#deps.clock.nowMs()).toISOString() });
    if (this.#socket.readyState === this.#socket.OPEN) this.#socket.ping();
  }

  #heard(): void {
    this.#lastHeardMs = this.#deps.clock.monotonicMs();
  }

  #send(message: AgentMessage): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return;
    this.#socket.send(encodeMessage(message), () => undefined);
  }

  /** Resolves when the message has left for the network, or never will. */
  #sendOut(message: AgentMessage): Promise<void> {
    return new Promise((resolve) => {
      if (this.#socket.readyState !== this.#socket.OPEN) resolve();
      else this.#socket.send(encodeMessage(message), () => resolve());
    });
  }

  /** Work that nobody awaits: its failure ends the connection, and the next one starts afresh. */
  #supervise(work: Promise<void>): void {
    work.catch((error: unknown) => this.#giveUp(reasonOf(error)));
  }

  #giveUp(reason: string): void {
    this.#end({ kind: "closed", reason, welcomed: this.#welcomed });
  }

  #end(end: SessionEnd): void {
    this.#ended.resolve(end);
    this.#over.abort();
    if (end.kind === "stopped") this.#socket.close(1001, "agent stops");
    else this.#socket.terminate();
  }
}
