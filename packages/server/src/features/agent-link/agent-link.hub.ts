/**
 * All agents that are connected to this server: at most one session for each host.
 */

import type { Readable } from "node:stream";
import type { WebSocket } from "@fastify/websocket";
import {
  chooseVersion,
  type Hello,
  parseAgentFrame,
  protocolRange,
  type ServerMessage,
} from "@restic-manager/protocol";
import { productVersion } from "@restic-manager/protocol/version";
import type { Logger } from "pino";
import type { Clock } from "../../platform/clock.ts";
import { toInstant } from "../../platform/clock.ts";
import type { Db } from "../../platform/db/db.ts";
import { GroupCommit } from "../../platform/db/group-commit.ts";
import type { EventBus } from "../../platform/events.ts";
import { newId } from "../../platform/random.ts";
import { healthChanged } from "../../platform/replicas/replicas.ts";
import {
  findHost,
  findMachine,
  type HostIdentity,
  hostChanged,
  offlineAfterMs,
  recordHello,
  recordTwin,
} from "../hosts/hosts.ts";
import { agentConnected, agentDisconnected, agentGreeted, type LinkHandlers } from "./agent-link.contract.ts";
import { AgentDumps, type DumpQuestion } from "./agent-link.dumps.ts";
import type { Links, SessionsHere } from "./agent-link.links.ts";
import type { Neighbours } from "./agent-link.neighbours.ts";
import { Presence } from "./agent-link.presence.ts";
import {
  differ,
  explainTwin,
  explainVersion,
  factsOf,
  goAway,
  machineOf,
  refuse,
  replacedGoodbye,
  stoppingGoodbye,
  unhealthyGoodbye,
} from "./agent-link.refusals.ts";
import { AgentRequests, type AnswerTo, type Question } from "./agent-link.requests.ts";
import { AgentSession, type Machine } from "./agent-link.session.ts";
import { findPosition } from "./agent-link.store.ts";

/** Three fit into the 90 s after which a host counts as offline: two may be lost without a false alarm. */
export const heartbeatIntervalMs = 25_000;
/** How long a dialled connection may take to say hello. */
const helloTimeoutMs = 10_000;
/** Why a wait for a hello is over. Without a reason each connection would keep an error with its stack. */
const over = "over";
/** How long the connected machine may take to show that it lives, when another one wants its place. */
const twinPingMs = 5000;
/** How often the times of the last heartbeats are written; little beside the 90 s after which a host is offline. */
const presenceIntervalMs = 5000;

export interface AgentHubDeps {
  db: Db;
  clock: Clock;
  bus: EventBus;
  log: Logger;
  handlers: LinkHandlers;
  links: Links;
  /** Null when this server is alone. */
  neighbours: Pick<Neighbours, "hasOtherMachine"> | null;
  /** False while the database does not answer: agents are better off with another replica. */
  isHealthy(): boolean;
}

/** One dialled socket, from the upgrade to its end. */
interface Connection {
  readonly socket: WebSocket;
  readonly host: HostIdentity;
  /** Frames that came while the hello was being answered; the socket is paused meanwhile, so they are few. */
  readonly early: string[];
  session: AgentSession | null;
}

export class AgentHub {
  private readonly deps: AgentHubDeps;
  /** Hellos and events of all agents: when a fleet comes back, one transaction takes in many. */
  private readonly commits: GroupCommit;
  /** Every session that was welcomed. Commands go only to those that are ready. */
  private readonly sessions = new Map<string, AgentSession>();
  private readonly presence: Presence;
  /** The last greeting of each host while it goes on: of two connections that race, one is greeted after the other. */
  private readonly greetings = new Map<string, Promise<void>>();
  /** The newest configuration of each host that is read and sent now. */
  private readonly pushes = new Map<string, Promise<unknown>>();
  private readonly links: Links;
  private readonly requests: AgentRequests;
  private readonly dumps: AgentDumps;
  private readonly stopping = new AbortController();
  private ticking: Promise<void> | null = null;
  private stopListening: () => void = () => undefined;

  constructor(deps: AgentHubDeps) {
    this.deps = deps;
    this.links = deps.links;
    this.commits = new GroupCommit(deps.db, deps.clock);
    this.requests = new AgentRequests(deps.clock);
    this.dumps = new AgentDumps(deps.clock);
    this.presence = new Presence(deps);
  }

  start(): void {
    this.ticking = this.keepTicking();
    this.links.start(this.here());
    this.stopListening = this.deps.bus.on(healthChanged, ({ healthy }) => {
      if (!healthy) this.sendAllAway();
    });
  }

  /** Tells every agent that the server goes away, so that they dial again soon, and writes the last heartbeats. */
  async stop(): Promise<void> {
    this.stopping.abort();
    this.stopListening();
    await this.ticking;
    const sessions = [...this.sessions.values()];
    for (const session of sessions) session.send(stoppingGoodbye);
    await Promise.all(sessions.map((session) => session.close(1001, "server stops")));
    await this.links.stop();
    await this.presence.write(this.sessions);
  }

  /** Whether an agent that dials now would be served. */
  get isOpen(): boolean {
    return !this.stopping.signal.aborted && this.deps.isHealthy();
  }

  /** Whether the host's agent is connected to this server. */
  isHere(hostId: string): boolean {
    return this.sessions.get(hostId)?.ready ?? false;
  }

  /** Whether the host's agent is connected to this server or to another live replica. */
  isConnected(hostId: string): boolean {
    return this.isHere(hostId) || this.links.isElsewhere(hostId);
  }

  /** How many agents are connected: to this server, and to each other replica by its id. */
  countAgents(): { here: number; elsewhere: ReadonlyMap<string, number> } {
    const here = [...this.sessions.values()].filter(({ ready }) => ready).length;
    return { here, elsewhere: this.links.countElsewhere() };
  }

  /** Whether what this server knows of the host's agent is still so: no other replica has greeted it since. */
  async holds(hostId: string): Promise<boolean> {
    return this.isHere(hostId) && this.links.holds(hostId);
  }

  /** Whether a live replica has the host's agent or greets it now: by the rows, for what a picture of a moment ago would spoil. */
  async isHeld(tx: Db, hostId: string): Promise<boolean> {
    return this.isHere(hostId) || this.links.isHeld(tx, hostId);
  }

  /** @returns whether the message went out; false when the host is not connected here */
  send(hostId: string, message: ServerMessage): boolean {
    const session = this.sessions.get(hostId);
    return session?.ready ? session.send(message) : false;
  }

  /** Asks an agent that is connected here. @throws AppError `hosts.offline`, or what became of the question */
  ask<Q extends Question>(hostId: string, question: Q, gone?: AbortSignal): Promise<AnswerTo<Q>> {
    const send = (message: ServerMessage) => this.send(hostId, message);
    return this.requests.ask({ hostId, question, send, gone });
  }

  /** Bytes of a snapshot from an agent that is connected here. @throws AppError as ask */
  openDump(hostId: string, question: DumpQuestion, gone: AbortSignal): Promise<Readable> {
    const id = newId(this.deps.clock.now());
    return this.dumps.open({ hostId, id, question, gone, send: (message) => this.send(hostId, message) });
  }

  /**
   * Sends the host's configuration as it is now, also to an agent whose greeting has just read an older one: its
   * version tells them apart. A host that is away gets it when it connects.
   */
  async pushConfiguration(hostId: string): Promise<void> {
    const session = this.sessions.get(hostId);
    if (!session) return;
    const pushed = findHost(this.deps.db, hostId).then((host) => host && this.configure(session, host));
    this.pushes.set(hostId, pushed);
    try {
      await pushed;
    } finally {
      if (this.pushes.get(hostId) === pushed) this.pushes.delete(hostId);
    }
  }

  /** Resolves when the configuration that is on its way to the host's agent is sent: a command may need it. */
  async configured(hostId: string): Promise<void> {
    // Why it could not be sent is told to whoever wished it.
    await this.pushes.get(hostId)?.catch(() => undefined);
  }

  /** The host was removed, which its row must show: its agent shall not dial again, so an event alone is not enough. */
  async removeHost(hostId: string): Promise<void> {
    if (!this.sessions.has(hostId) || (await findHost(this.deps.db, hostId))) return;
    const session = this.sessions.get(hostId);
    const message = "This host was removed from restic-manager.";
    session?.send({ type: "goodbye", code: "link.host_removed", message, retry: false });
    await session?.close(1000, "host removed");
  }

  /** What the links must know of the sessions, and may do with them. */
  private here(): SessionsHere {
    return {
      hostIds: () => [...this.sessions.keys()],
      has: (hostId) => this.sessions.has(hostId) || this.greetings.has(hostId),
      leaveIfMoved: async (hostId) => {
        const session = this.sessions.get(hostId);
        if (!session || (await this.links.holds(hostId)) || this.sessions.get(hostId) !== session) return;
        session.send(replacedGoodbye);
        this.forget(session);
        await session.close(4409, "replaced");
      },
      catchUp: () => this.catchUp(),
      commit: (work) => this.commits.run(work),
    };
  }

  private async configure(
    session: AgentSession,
    host: HostIdentity,
    { unlessSent = false } = {},
  ): Promise<void> {
    const messages = await this.deps.handlers.configurationOf(host);
    const versions = messages.map((message) => ("version" in message ? message.version : "")).join(" ");
    if (unlessSent && session.configuredAs === versions) return;
    session.configuredAs = versions;
    for (const message of messages) session.send(message);
  }

  /** One agent after the other: nobody waits for it, and the database has other work. */
  private async catchUp(): Promise<void> {
    for (const hostId of [...this.sessions.keys()]) {
      if (!this.isOpen) return;
      const host = await findHost(this.deps.db, hostId);
      const session = this.sessions.get(hostId);
      if (!host) await this.removeHost(hostId);
      else if (session) await this.configure(session, host, { unlessSent: true });
    }
  }

  /** Another replica may still reach the database. What is not stored here the agents send there. */
  private sendAllAway(): void {
    const sessions = [...this.sessions.values()];
    this.deps.log.warn({ agents: sessions.length }, "the database does not answer; agents are sent away");
    for (const session of sessions) {
      session.send(unhealthyGoodbye);
      this.forget(session);
      void session.close(1013, "database away");
    }
  }

  /**
   * Serves one dialled connection whose bearer is already known to be this host's.
   * Listeners are attached before anything is awaited, so that no frame is missed.
   */
  accept(socket: WebSocket, host: HostIdentity): void {
    const connection: Connection = { socket, host, early: [], session: null };
    const greeted = new AbortController();
    socket.on("error", (error) => {
      this.deps.log.info({ hostId: host.id, err: error }, "an agent's connection failed");
      socket.terminate();
    });
    socket.on("close", () => {
      greeted.abort(over);
      this.forget(connection.session);
    });
    socket.on("ping", () => connection.session?.hear());
    socket.on("message", (data, isBinary) => {
      const frame = isBinary ? "" : data.toString();
      if (connection.session?.ready) connection.session.receive(frame);
      else if (!greeted.signal.aborted) {
        greeted.abort(over);
        this.greetInTurn(connection, frame);
      } else if (socket.isPaused) connection.early.push(frame);
      // Nobody waits for what still comes after a refusal or the end, however long the other side goes on.
    });
    if (!this.isOpen) goAway(socket, this.stopping.signal.aborted ? stoppingGoodbye : unhealthyGoodbye);
    else void this.awaitHello(socket, greeted.signal);
  }

  private async awaitHello(socket: WebSocket, greeted: AbortSignal): Promise<void> {
    await this.deps.clock.sleep(helloTimeoutMs, greeted);
    if (!greeted.aborted) socket.terminate();
  }

  private greetInTurn(connection: Connection, frame: string): void {
    const { socket, host } = connection;
    socket.pause();
    const before = this.greetings.get(host.id) ?? Promise.resolve();
    const greeting = before
      .then(() => this.greet(connection, frame))
      .catch((error: unknown) => {
        this.deps.log.error({ hostId: host.id, err: error }, "a hello could not be answered");
        socket.close(1011, "hello could not be answered");
      })
      .then(() => {
        socket.resume();
        if (this.greetings.get(host.id) === greeting) this.greetings.delete(host.id);
        // It may have said hello and gone: the row must not say that it is here.
        if (!connection.session) this.links.release(host.id);
      });
    this.greetings.set(host.id, greeting);
  }

  /** Answers the first frame: a session is made and becomes ready, or the agent is refused. */
  private async greet(connection: Connection, frame: string): Promise<void> {
    const { socket, host } = connection;
    const parsed = parseAgentFrame(frame);
    if (!parsed.ok || parsed.message.type !== "hello") {
      return refuse(socket, "link.hello_invalid", "The first message must be a valid hello.");
    }
    const hello = parsed.message;
    const version = chooseVersion(protocolRange, hello.protocol);
    if (!version.ok) return refuse(socket, version.code, explainVersion(version.code, hello));
    if (await this.isTwin(host, hello)) return refuse(socket, "link.twin", explainTwin(host));
    const session = await this.makeSession(socket, host, hello);
    if (socket.readyState !== socket.OPEN) return;
    connection.session = session;
    this.sessions.set(host.id, session);
    session.send({
      type: "welcome",
      protocol: version.version,
      server_version: productVersion,
      host_id: host.id,
      host_name: host.name,
      heartbeat_interval_ms: heartbeatIntervalMs,
      acked_seq: session.ackedSeq,
      sent_at: toInstant(this.deps.clock.now()),
    });
    await this.configure(session, host);
    if (this.sessions.get(host.id) === session) this.enter(connection, session, hello);
  }

  /** Whether an agent of this host on another machine is connected here and alive. Of one that started again the old connection answers no ping. */
  async hasOtherMachine(hostId: string, machine: Machine): Promise<boolean> {
    const before = this.sessions.get(hostId);
    if (!before || !differ(before.machine, machine)) return false;
    const answered = new AbortController();
    const late = AbortSignal.any([answered.signal, this.stopping.signal]);
    const deadline = new AbortController();
    void this.deps.clock.sleep(twinPingMs, late).then(() => deadline.abort());
    const alive = await before.answersPing(deadline.signal);
    answered.abort();
    return alive;
  }

  /** The same at another replica; it is asked only when the machine is not the one that connected last. */
  private async isOtherMachineElsewhere(hostId: string, machine: Machine): Promise<boolean> {
    if (!this.links.isElsewhere(hostId)) return false;
    const last = await findMachine(this.deps.db, hostId);
    if (!last || !differ(last, machine)) return false;
    return (await this.deps.neighbours?.hasOtherMachine(hostId, machine)) ?? false;
  }

  /** Whether another machine with this host's bearer is connected and alive: a clone. */
  private async isTwin(host: HostIdentity, hello: Hello): Promise<boolean> {
    const machine = machineOf(hello);
    const alive =
      (await this.hasOtherMachine(host.id, machine)) ||
      (await this.isOtherMachineElsewhere(host.id, machine));
    if (!alive) return false;
    await recordTwin(this.deps.db, host, {
      hostname: hello.hostname,
      ...machine,
      seenAt: this.deps.clock.now(),
    });
    this.deps.log.warn(
      { hostId: host.id, hostname: hello.hostname },
      "a second machine uses a host's bearer",
    );
    this.deps.bus.emit(hostChanged, { hostId: host.id });
    return true;
  }

  /** From here on the agent can be sent commands: it has been welcomed and has its configuration. */
  private enter(connection: Connection, session: AgentSession, hello: Hello): void {
    const hostId = session.host.id;
    session.ready = true;
    this.deps.log.info({ hostId, agentVersion: hello.agent_version }, "agent connected");
    this.deps.bus.emit(agentGreeted, { hostId, jobs: hello.jobs });
    this.deps.bus.emit(agentConnected, { hostId, replicaId: this.links.replicaId });
    this.deps.bus.emit(hostChanged, { hostId });
    for (const frame of connection.early.splice(0)) session.receive(frame);
  }

  private async makeSession(socket: WebSocket, host: HostIdentity, hello: Hello): Promise<AgentSession> {
    const { db, clock, log, handlers } = this.deps;
    const machine = machineOf(hello);
    const afterCommit = await this.commits.run(async (tx) => {
      const { firstConnect } = await recordHello(tx, host.id, factsOf(hello, clock.now()));
      await this.links.claim(tx, host.id);
      return firstConnect ? handlers.onFirstConnect(tx, host) : undefined;
    });
    afterCommit?.();
    const before = this.sessions.get(host.id);
    if (before) {
      before.send(replacedGoodbye);
      await before.close(4409, "replaced");
    }
    // Only now: the session that was replaced may have committed more while it closed.
    const position = await findPosition(db, host.id);
    const peer = { host, machine, streamId: hello.stream_id, position };
    const { commits, requests, dumps } = this;
    return new AgentSession({ commits, clock, log, handlers, requests, dumps }, socket, peer);
  }

  private forget(session: AgentSession | null): void {
    if (!session || this.sessions.get(session.host.id) !== session) return;
    const hostId = session.host.id;
    this.sessions.delete(hostId);
    this.presence.leave(hostId, session.lastHeardAt);
    this.requests.abandon(hostId);
    this.dumps.abandon(hostId);
    // All rows of a server that stops go at once.
    if (!this.stopping.signal.aborted) this.links.release(hostId);
    this.deps.log.info({ hostId }, "agent disconnected");
    this.deps.bus.emit(agentDisconnected, { hostId, replicaId: this.links.replicaId });
  }

  private async keepTicking(): Promise<void> {
    while (!this.stopping.signal.aborted) {
      await this.deps.clock.sleep(presenceIntervalMs, this.stopping.signal);
      await this.presence.write(this.sessions);
      this.cutSilent();
    }
  }

  /** A half-open connection looks alive to TCP for hours; without a frame for as long as offline takes it is none. */
  private cutSilent(): void {
    const limit = this.deps.clock.monotonic() - offlineAfterMs;
    for (const session of [...this.sessions.values()]) {
      if (session.lastHeardAt >= limit) continue;
      this.forget(session);
      void session.close(4408, "silent for too long");
    }
  }
}
