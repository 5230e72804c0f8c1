/**
 * A server as an agent sees it, on loopback: HTTP enrolment and the WebSocket, with switches for every kind of
 * misbehaviour. Keeps what it has "committed" over its own restarts, so tests can check that nothing was lost
 * or doubled. Events count as committed when they are acknowledged, as in the real server.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import {
  type AgentMessage,
  type DurableEvent,
  maxFrameBytes,
  parseAgentFrame,
  type ScheduleFire,
  type ScheduleSet,
  type ServerMessage,
} from "@restic-manager/protocol";
import { type WebSocket, WebSocketServer } from "ws";

type Hello = Extract<AgentMessage, { type: "hello" }>;
type CommandRun = Extract<ServerMessage, { type: "command.run" }>;
type ConfigUpdate = Extract<ServerMessage, { type: "config.update" }>;
type Waiter = { wanted: () => boolean; resolve: () => void };

const HOST_ID = "01KAQ2TZY8X6W4V2T0S9R7Q5PN";

export class FakeServer {
  /** Everything every agent ever sent, in order of arrival, resent events included. */
  readonly received: AgentMessage[] = [];
  /** Events as a database would hold them: once each, in order. */
  readonly committed: DurableEvent[] = [];
  readonly hellos: Hello[] = [];
  readonly bearers: (string | undefined)[] = [];
  /** Sent right after the welcome of every connection, in this order. */
  config: ConfigUpdate | undefined;
  schedules: ScheduleSet | undefined;
  commands: CommandRun[] = [];
  /** What a fire is answered with; default nothing at all. */
  answerFire: ((fire: ScheduleFire) => ServerMessage[]) | undefined;
  bearer = "test-bearer";
  heartbeatIntervalMs = 30_000;
  /** The version that a welcome chooses. */
  protocol = 2;
  /** How many pings came, on all connections. */
  pings = 0;
  /** What hello is answered with; default a welcome. `null` = nothing at all. */
  answerHello: ((hello: Hello) => ServerMessage | null) | undefined;
  /** Seen before anything else is done with a frame; `drop` cuts the connection, `ignore` swallows it. */
  onFrame: ((message: AgentMessage) => "drop" | "ignore" | "accept") | undefined;
  /** Answers every upgrade with this status, as a proxy that does not pass them. */
  answerUpgrade: number | undefined;
  acknowledge = true;
  ackedSeq = 0;
  /** Set before `start`: the server then speaks TLS. */
  tls: { key: string; cert: string } | undefined;
  #streamId: string | undefined;
  #http: Server | undefined;
  #sockets: WebSocketServer | undefined;
  #port = 0;
  #waiters: Waiter[] = [];
  readonly #live = new Set<WebSocket>();

  get url(): string {
    return `${this.tls === undefined ? "http" : "https"}://127.0.0.1:${this.#port}`;
  }

  get connections(): number {
    return this.#live.size;
  }

  /** Listens; after a stop on the same port as before. */
  async start(): Promise<void> {
    this.#sockets = new WebSocketServer({ noServer: true, maxPayload: maxFrameBytes });
    const answer = (request: IncomingMessage, response: ServerResponse) => this.onHttp(request, response);
    const http = this.tls === undefined ? createServer(answer) : createTlsServer(this.tls, answer);
    http.on("upgrade", (request, socket, head) => {
      if (this.answerUpgrade !== undefined) {
        socket.end(`HTTP/1.1 ${this.answerUpgrade} No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
        return;
      }
      this.bearers.push(request.headers.authorization);
      if (request.headers.authorization !== `Bearer ${this.bearer}`) {
        const body = '{"code":"link.bearer_unknown","message":"Enrol the host again."}';
        socket.end(
          `HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
        );
        this.#look();
        return;
      }
      this.#sockets?.handleUpgrade(request, socket, head, (opened) => this.#serve(opened));
    });
    this.#http = http;
    await new Promise<void>((resolve) => http.listen(this.#port, "127.0.0.1", resolve));
    this.#port = (http.address() as AddressInfo).port;
  }

  /** Goes away without a word; what was committed stays. */
  async stop(): Promise<void> {
    this.dropAll();
    this.#http?.closeAllConnections();
    await new Promise((resolve) => this.#http?.close(resolve) ?? resolve(undefined));
    this.#http = undefined;
  }

  /** Replaced by tests of enrolment. */
  onHttp: (request: IncomingMessage, response: ServerResponse) => void = (_request, response) => {
    response.writeHead(404).end();
  };

  dropAll(): void {
    for (const socket of this.#live) socket.terminate();
  }

  /** Stops reading: no pong, no answer, as when a cable is pulled. */
  freeze(): void {
    for (const socket of this.#live) socket.pause();
  }

  send(message: ServerMessage): void {
    this.sendRaw(JSON.stringify(message));
  }

  sendRaw(frame: string | Buffer): void {
    for (const socket of this.#live) socket.send(frame);
  }

  /** Waits until `wanted` holds; looked at after every frame. Rejects after `timeoutMs`. */
  async until(wanted: () => boolean, what: string, timeoutMs = 30_000): Promise<void> {
    if (wanted()) return;
    await new Promise<void>((resolve, reject) => {
      const waiter = {
        wanted,
        resolve: () => {
          clearTimeout(timer);
          resolve();
        },
      };
      const timer = setTimeout(() => {
        this.#waiters = this.#waiters.filter((other) => other !== waiter);
        reject(new Error(`never happened: ${what}; received ${this.received.map((m) => m.type).join(" ")}`));
      }, timeoutMs);
      this.#waiters.push(waiter);
    });
  }

  /** All messages of one type, in order of arrival. */
  all<T extends AgentMessage["type"]>(type: T): Extract<AgentMessage, { type: T }>[] {
    return this.received.filter(
      (message): message is Extract<AgentMessage, { type: T }> => message.type === type,
    );
  }

  #serve(socket: WebSocket): void {
    this.#live.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => {
      this.#live.delete(socket);
      this.#look();
    });
    socket.on("ping", () => {
      this.pings++;
      this.#look();
    });
    socket.on("message", (data) => this.#receive(socket, String(data)));
  }

  #receive(socket: WebSocket, frame: string): void {
    // What was already in the buffer when the connection was cut never reached the server.
    if (socket.readyState !== socket.OPEN) return;
    const parsed = parseAgentFrame(frame);
    if (!parsed.ok)
      throw new Error(`the agent sent an invalid frame: ${parsed.message} ${frame.slice(0, 500)}`);
    const verdict = this.onFrame?.(parsed.message) ?? "accept";
    this.received.push(parsed.message);
    if (verdict === "accept") this.#work(socket, parsed.message);
    if (verdict === "drop") socket.terminate();
    this.#look();
  }

  #work(socket: WebSocket, message: AgentMessage): void {
    if (message.type === "hello") this.#greet(socket, message);
    if (message.type === "schedule.fire")
      for (const answer of this.answerFire?.(message) ?? []) socket.send(JSON.stringify(answer));
    if (!("seq" in message) || message.type === "error") return;
    if (message.seq > this.ackedSeq) {
      this.committed.push(message);
      this.ackedSeq = message.seq;
    }
    if (this.acknowledge) socket.send(JSON.stringify({ type: "event.ack", seq: this.ackedSeq }));
  }

  #greet(socket: WebSocket, hello: Hello): void {
    this.hellos.push(hello);
    if (this.#streamId !== undefined && this.#streamId !== hello.stream_id) this.ackedSeq = 0;
    this.#streamId = hello.stream_id;
    const answer = this.answerHello === undefined ? this.welcome() : this.answerHello(hello);
    if (answer === null) return;
    const send = (message: ServerMessage) => socket.send(JSON.stringify(message));
    send(answer);
    if (answer.type !== "welcome") return;
    if (this.config !== undefined) send(this.config);
    if (this.schedules !== undefined) send(this.schedules);
    for (const command of this.commands) send(command);
  }

  welcome(): Extract<ServerMessage, { type: "welcome" }> {
    return {
      type: "welcome",
      protocol: this.protocol,
      server_version: "0.0.0-test",
      host_id: HOST_ID,
      host_name: "test-host",
      heartbeat_interval_ms: this.heartbeatIntervalMs,
      acked_seq: this.ackedSeq,
      sent_at: new Date().toISOString(),
    };
  }

  #look(): void {
    const done = this.#waiters.filter(({ wanted }) => wanted());
    this.#waiters = this.#waiters.filter((waiter) => !done.includes(waiter));
    for (const { resolve } of done) resolve();
  }
}
