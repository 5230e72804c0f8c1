/**
 * All connected agents of this server: at most one session for each host, and who was alive when.
 * Presence is written for the whole fleet at once, at most once a second.
 */

import type { WebSocket } from "@fastify/websocket";
import {
  chooseVersion,
  encodeMessage,
  type Hello,
  parseAgentFrame,
  protocolRange,
  type ServerMessage,
} from "@restic-manager/protocol";
import type { Logger } from "pino";
import type { Clock } from "../../platform/clock.ts";
import { fromInstant, toInstant } from "../../platform/clock.ts";
import type { Db } from "../../platform/db/db.ts";
import type { EventBus } from "../../platform/events.ts";
import { serverVersion } from "../../platform/version.ts";
import { type Host, hostChanged, offlineAfterMs, recordHello, touchHosts } from "../hosts/hosts.ts";
import { agentConnected, agentDisconnected, type LinkHandlers } from "./agent-link.contract.ts";
import { AgentSession } from "./agent-link.session.ts";
import { findAckedSeq } from "./agent-link.store.ts";

/** Three fit into the 90 s after which a host counts as offline: one may be lost without a false alarm. */
export const heartbeatIntervalMs = 25_000;
/** How long a dialled connection may take to say hello. */
const helloTimeoutMs = 10_000;
/** How often the times of the last heartbeats are written. */
const presenceIntervalMs = 1000;

export interface AgentHubDeps {
  db: Db;
  clock: Clock;
  bus: EventBus;
  log: Logger;
  handlers: LinkHandlers;
}

export class AgentHub {
  private readonly deps: AgentHubDeps;
  private readonly sessions = new Map<string, AgentSession>();
  private readonly alive = new Map<string, number>();
  private readonly lastFrameAt = new Map<string, number>();
  private readonly stopping = new AbortController();
  private presence: Promise<void> | null = null;

  constructor(deps: AgentHubDeps) {
    this.deps = deps;
  }

  start(): void {
    this.presence = this.keepPresence();
  }

  /** Tells every agent that the server goes away, so that they dial again soon, and writes the last heartbeats. */
  async stop(): Promise<void> {
    this.stopping.abort();
    await this.presence;
    const goodbye = {
      type: "goodbye",
      code: "link.server_stopping",
      message: "The server stops.",
      retry: true,
    } as const;
    const sessions = [...this.sessions.values()];
    for (const session of sessions) session.send(goodbye);
    await Promise.all(sessions.map((session) => session.close(1001, "server stops")));
    await this.writePresence();
  }

  isConnected(hostId: string): boolean {
    return this.sessions.has(hostId);
  }

  /** @returns whether the message went out; false when the host is not connected here */
  send(hostId: string, message: ServerMessage): boolean {
    return this.sessions.get(hostId)?.send(message) ?? false;
  }

  /** Sends the host's configuration as it is now. A host that is away gets it when it connects. */
  async pushConfiguration(host: Host): Promise<void> {
    if (!this.isConnected(host.id)) return;
    for (const message of await this.deps.handlers.configurationOf(host)) this.send(host.id, message);
  }

  /** The host was removed: its agent shall not dial again. */
  async removeHost(hostId: string): Promise<void> {
    const session = this.sessions.get(hostId);
    const message = "This host was removed from restic-manager.";
    session?.send({ type: "goodbye", code: "link.host_removed", message, retry: false });
    await session?.close(1000, "host removed");
  }

  /**
   * Serves one dialled connection whose bearer is already known to be this host's.
   * Listeners are attached before anything is awaited, so that no frame is missed.
   */
  accept(socket: WebSocket, host: Host): void {
    let session: AgentSession | null = null;
    let greeted = false;
    const early: string[] = [];
    const timeout = AbortSignal.timeout(helloTimeoutMs);
    timeout.addEventListener("abort", () => session ?? socket.terminate());
    socket.on("error", (error) =>
      this.deps.log.info({ hostId: host.id, err: error }, "an agent's connection failed"),
    );
    socket.on("close", () => this.forget(host.id, session));
    socket.on("message", (data, isBinary) => {
      const frame = isBinary ? "" : data.toString();
      if (session) session.receive(frame);
      else if (greeted) early.push(frame);
      else {
        greeted = true;
        void this.greet(socket, host, frame)
          .then((made) => {
            session = made;
            for (const waiting of early.splice(0)) made?.receive(waiting);
          })
          .catch((error: unknown) => {
            this.deps.log.error({ hostId: host.id, err: error }, "a hello could not be answered");
            socket.close(1011, "hello could not be answered");
          });
      }
    });
  }

  /** Answers the first frame. @returns the session, or null when the agent was refused */
  private async greet(socket: WebSocket, host: Host, frame: string): Promise<AgentSession | null> {
    const parsed = parseAgentFrame(frame);
    if (!parsed.ok || parsed.message.type !== "hello") {
      return refuse(socket, "link.hello_invalid", "The first message must be a valid hello.");
    }
    const hello = parsed.message;
    const version = chooseVersion(protocolRange, hello.protocol);
    if (!version.ok) return refuse(socket, version.code, explainVersion(version.code, hello));
    const session = await this.makeSession(socket, host, hello);
    session.send({
      type: "welcome",
      protocol: version.version,
      server_version: serverVersion,
      host_id: host.id,
      host_name: host.name,
      heartbeat_interval_ms: heartbeatIntervalMs,
      acked_seq: session.ackedSeq,
      sent_at: toInstant(this.deps.clock.now()),
    });
    for (const message of await this.deps.handlers.configurationOf(host)) session.send(message);
    this.enter(socket, session, hello);
    return session;
  }

  /** From here on the agent can be sent commands: it has been welcomed and has its configuration. */
  private enter(socket: WebSocket, session: AgentSession, hello: Hello): void {
    if (socket.readyState !== socket.OPEN) return;
    const hostId = session.host.id;
    this.sessions.set(hostId, session);
    this.lastFrameAt.set(hostId, this.deps.clock.now());
    this.deps.log.info({ hostId, agentVersion: hello.agent_version }, "agent connected");
    this.deps.bus.emit(agentConnected, { hostId, jobs: hello.jobs });
    this.deps.bus.emit(hostChanged, { hostId });
  }

  private async makeSession(socket: WebSocket, host: Host, hello: Hello): Promise<AgentSession> {
    const { db, clock, log, handlers } = this.deps;
    const now = clock.now();
    const { firstConnect } = await recordHello(db, host.id, {
      agentVersion: hello.agent_version,
      resticVersion: hello.restic_version,
      resticProblem: hello.restic_problem ?? null,
      os: hello.os,
      arch: hello.arch,
      machineId: hello.machine_id ?? null,
      bootId: hello.boot_id ?? null,
      clockSkewMs: fromInstant(hello.sent_at) - now,
      at: now,
    });
    if (firstConnect) await handlers.onFirstConnect(host);
    const before = this.sessions.get(host.id);
    if (before) {
      const message = "Another connection with this host's credentials took over.";
      before.send({ type: "goodbye", code: "link.replaced", message, retry: true });
      await before.close(4409, "replaced");
    }
    // Only now: the session that was replaced may have committed more while it closed.
    const ackedSeq = await findAckedSeq(db, host.id, hello.stream_id);
    const onAlive = (hostId: string) => this.noteAlive(hostId);
    const session = new AgentSession({ db, log, handlers, onAlive }, socket, host, {
      id: hello.stream_id,
      ackedSeq,
    });
    this.sessions.set(host.id, session);
    this.lastFrameAt.set(host.id, now);
    return session;
  }

  private noteAlive(hostId: string): void {
    const now = this.deps.clock.now();
    this.alive.set(hostId, now);
    this.lastFrameAt.set(hostId, now);
  }

  private forget(hostId: string, session: AgentSession | null): void {
    if (!session || this.sessions.get(hostId) !== session) return;
    this.sessions.delete(hostId);
    this.lastFrameAt.delete(hostId);
    this.deps.log.info({ hostId }, "agent disconnected");
    this.deps.bus.emit(agentDisconnected, { hostId });
  }

  private async keepPresence(): Promise<void> {
    while (!this.stopping.signal.aborted) {
      await this.deps.clock.sleep(presenceIntervalMs, this.stopping.signal);
      await this.writePresence().catch((error: unknown) => {
        // The next second writes the same times again; a database that stays away is reported by /readyz.
        this.deps.log.error({ err: error }, "heartbeats could not be written");
      });
      this.cutSilent();
    }
  }

  private async writePresence(): Promise<void> {
    if (this.alive.size === 0) return;
    const seen = new Map(this.alive);
    await touchHosts(this.deps.db, seen);
    for (const [hostId, at] of seen) if (this.alive.get(hostId) === at) this.alive.delete(hostId);
  }

  /** A half-open connection looks alive to TCP for hours; without a frame for as long as offline takes it is none. */
  private cutSilent(): void {
    const limit = this.deps.clock.now() - offlineAfterMs;
    for (const [hostId, at] of this.lastFrameAt) {
      if (at >= limit) continue;
      const session = this.sessions.get(hostId);
      this.forget(hostId, session ?? null);
      void session?.close(4408, "silent for too long");
    }
  }
}

function refuse(socket: WebSocket, code: string, message: string): null {
  socket.send(encodeMessage({ type: "reject", code, message }));
  socket.close(4400, code);
  return null;
}

function explainVersion(code: string, hello: Hello): string {
  const ours = `this server ${serverVersion} speaks protocol ${protocolRange.min} to ${protocolRange.max}`;
  const theirs = `agent ${hello.agent_version} speaks ${hello.protocol.min} to ${hello.protocol.max}`;
  return code === "link.protocol_too_old"
    ? `The agent is too old: ${theirs}, ${ours}. Update the agent.`
    : `The agent is too new: ${theirs}, ${ours}. Update the server.`;
}
