/**
 * An agent as the server sees it: enrolled through the real API, a real socket, frames encoded and parsed by the
 * protocol. It does nothing by itself: the test says what it sends and waits for what comes.
 */
import {
  type AgentMessage,
  encodeMessage,
  type Hello,
  parseServerFrame,
  type Reject,
  type ServerMessage,
  type Welcome,
} from "@restic-manager/protocol";
import { WebSocket } from "ws";
import { newId } from "../../server/src/platform/random.ts";
import type { TestServer } from "./server-start.ts";

export interface TestAgentOptions {
  /** The host's name; unique by default. */
  name?: string;
  tags?: string[];
  initialPaths?: string[];
  os?: string;
}

type OfType<T extends ServerMessage["type"]> = Extract<ServerMessage, { type: T }>;

/** How long a message may take before the test fails. */
const waitMs = 10_000;
let count = 0;

export class TestAgent {
  /** Where it dials; replicas of one server can be exchanged. */
  server: TestServer;
  readonly name: string;
  readonly hostId: string;
  readonly bearer: string;
  /** Names the outbox; another one is another disk. */
  streamId: string;
  /** Everything that came over the present connection, in order. */
  received: ServerMessage[] = [];
  private taken = new Set<ServerMessage>();
  private ws: WebSocket | null = null;
  private waiters: (() => boolean)[] = [];
  /** Set when the server sent what the protocol does not have: every wait then fails. */
  private invalid: string | null = null;
  private closing: { code: number; reason: string } | null = null;

  constructor(server: TestServer, identity: { name: string; hostId: string; bearer: string }) {
    this.server = server;
    this.name = identity.name;
    this.hostId = identity.hostId;
    this.bearer = identity.bearer;
    this.streamId = newId(server.clock.now());
  }

  get socket(): WebSocket {
    if (!this.ws) throw new Error("this agent never dialled");
    return this.ws;
  }

  /** The same bearer and stream once more, as on a copied disk or in a second program. It is not dialled yet. */
  copy(): TestAgent {
    const copy = new TestAgent(this.server, this);
    copy.streamId = this.streamId;
    return copy;
  }

  /** Opens a connection; the one before, if any, is left as it is. */
  async dial(): Promise<void> {
    const url = `${this.server.url.replace("http", "ws")}/ws/agent`;
    const ws = new WebSocket(url, { headers: { authorization: `Bearer ${this.bearer}` } });
    this.ws = ws;
    this.received = [];
    this.closing = null;
    ws.on("message", (data) => this.receive(ws, String(data)));
    ws.on("error", () => undefined);
    ws.on("close", (code, reason) => {
      if (ws !== this.ws) return;
      this.closing = { code, reason: String(reason) };
      this.look();
    });
    await new Promise((resolve, reject) => ws.once("open", resolve).once("error", reject));
  }

  /** Dials and says hello. */
  async connect(hello: Partial<Hello> = {}): Promise<Welcome> {
    await this.dial();
    return this.hello(hello);
  }

  /** Says hello. @throws Error when the answer is no welcome */
  async hello(overrides: Partial<Hello> = {}): Promise<Welcome> {
    const answer = await this.tryHello(overrides);
    if (answer.type !== "welcome") throw new Error(`refused: ${answer.code} ${answer.message}`);
    return answer;
  }

  async tryHello(overrides: Partial<Hello> = {}): Promise<Welcome | Reject> {
    this.send({ ...this.greeting(), ...overrides });
    return this.next("a welcome or reject", (message): message is Welcome | Reject => {
      return message.type === "welcome" || message.type === "reject";
    });
  }

  greeting(): Hello {
    return {
      type: "hello",
      protocol: { min: 1, max: 1 },
      agent_version: "0.1.0-test",
      restic_version: "0.19.1",
      restic_problem: null,
      hostname: this.name,
      os: "linux",
      arch: "x64",
      machine_id: `machine of ${this.name}`,
      boot_id: "boot",
      sent_at: new Date(this.server.clock.now()).toISOString(),
      stream_id: this.streamId,
      jobs: [],
    };
  }

  send(message: AgentMessage): void {
    this.socket.send(encodeMessage(message));
  }

  sendRaw(frame: string | Buffer): void {
    this.socket.send(frame);
  }

  /** The next message of this type that was not taken yet; others stay for later. */
  nextMessage<T extends ServerMessage["type"]>(type: T): Promise<OfType<T>> {
    return this.next(type, (message): message is OfType<T> => message.type === type);
  }

  /** Waits until events up to `seq` are acknowledged. */
  async acknowledged(seq: number): Promise<void> {
    await this.next(`event.ack of ${seq}`, (message): message is OfType<"event.ack"> => {
      return message.type === "event.ack" && message.seq >= seq;
    });
  }

  all<T extends ServerMessage["type"]>(type: T): OfType<T>[] {
    return this.received.filter((message): message is OfType<T> => message.type === type);
  }

  /** Resolves when the connection is closed, with the code that the server gave. */
  async closed(): Promise<{ code: number; reason: string }> {
    await this.wait("the connection closes", () => this.closing !== null);
    return this.closing ?? { code: 0, reason: "" };
  }

  /** Cuts the connection without a goodbye; the server learns of it a moment later. */
  async drop(): Promise<void> {
    this.socket.terminate();
    await this.closed();
  }

  private async next<M extends ServerMessage>(
    what: string,
    wanted: (message: ServerMessage) => message is M,
  ): Promise<M> {
    const fits = (message: ServerMessage): message is M => !this.taken.has(message) && wanted(message);
    await this.wait(what, () => this.received.some(fits) || this.closing !== null);
    const found = this.received.find(fits);
    if (!found) throw new Error(`closed with ${this.closing?.code} ${this.closing?.reason} before: ${what}`);
    this.taken.add(found);
    return found;
  }

  private receive(ws: WebSocket, frame: string): void {
    if (ws !== this.ws) return;
    const parsed = parseServerFrame(frame);
    if (parsed.ok) this.received.push(parsed.message);
    else this.invalid = `the server sent an invalid frame: ${parsed.message} ${frame}`;
    this.look();
  }

  private async wait(what: string, wanted: () => boolean): Promise<void> {
    const holds = () => this.invalid !== null || wanted();
    if (!holds()) await this.waitFor(what, holds);
    if (this.invalid !== null) throw new Error(this.invalid);
  }

  private waitFor(what: string, holds: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        const seen = this.received.map((message) => message.type).join(" ");
        reject(new Error(`never came: ${what}; received: ${seen}`));
      }, waitMs);
      this.waiters.push(() => {
        if (!holds()) return false;
        clearTimeout(timer);
        resolve();
        return true;
      });
    });
  }

  private look(): void {
    this.waiters = this.waiters.filter((waiter) => !waiter());
  }
}

/** Makes a host through the real API: a token, then the agent's trade. It is not dialled yet. */
export async function enrolTestAgent(server: TestServer, options: TestAgentOptions = {}): Promise<TestAgent> {
  const name = options.name ?? `host-${++count}`;
  const created = await server.admin.post("/api/enrollment-tokens", {
    hostname: name,
    repo_url: "/srv/repo",
    repo_password: "repository password",
    tags: options.tags ?? [],
    initial_paths: options.initialPaths ?? ["/etc"],
  });
  const platform = { os: options.os ?? "linux", arch: "x64", agent_version: "0.1.0-test" };
  const body = { token: created.body.token, hostname: name, ...platform };
  const enrolled = await server.anonymous().post("/api/agents/enroll", body);
  if (enrolled.status !== 200) throw new Error(`not enrolled: ${created.text} ${enrolled.text}`);
  const { host_id: hostId, bearer } = enrolled.body;
  return new TestAgent(server, { name, hostId: String(hostId), bearer: String(bearer) });
}

/** An enrolled agent with an open connection that has not said hello yet. */
export async function connectTestAgent(
  server: TestServer,
  options: TestAgentOptions = {},
): Promise<TestAgent> {
  const agent = await enrolTestAgent(server, options);
  await agent.dial();
  return agent;
}
