/**
 * A machine that announces itself, as the server sees it: a key of its own, the real API, a real socket. The test says
 * what it signs and when.
 */
import { createHash, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import {
  announceProof,
  encodePending,
  type PendingServerMessage,
  parsePendingServerFrame,
} from "@restic-manager/protocol";
import { WebSocket } from "ws";
import type { TestAnswer } from "./server-client.ts";
import type { TestServer } from "./server-start.ts";

/** How long a message may take before the test fails. */
const waitMs = 10_000;

export interface Announcement {
  pendingId: string;
  nonce: string;
}

export class AnnouncedMachine {
  readonly hostname: string;
  readonly key: KeyObject;
  readonly publicKey: string;
  readonly fingerprint: string;
  private readonly server: TestServer;

  constructor(server: TestServer, hostname: string) {
    this.server = server;
    this.hostname = hostname;
    const { publicKey, privateKey } = generateKeyPairSync("ed25519");
    const spki = publicKey.export({ format: "der", type: "spki" });
    this.key = privateKey;
    this.publicKey = spki.toString("base64");
    this.fingerprint = `SHA256:${createHash("sha256").update(spki).digest("base64").replace("=", "")}`;
  }

  /** The name of the server by which the machine reaches it. */
  get serverName(): string {
    return new URL(this.server.url).host;
  }

  tryAnnounce(more: Record<string, unknown> = {}, headers: Record<string, string> = {}): Promise<TestAnswer> {
    const machine = { hostname: this.hostname, os: "linux", arch: "x64", agent_version: "0.1.0-test" };
    const body = { ...machine, restic_version: "0.19.1", public_key: this.publicKey, ...more };
    return this.server.anonymous().post("/api/agents/announce", body, headers);
  }

  async announce(more: Record<string, unknown> = {}): Promise<Announcement> {
    const answer = await this.tryAnnounce(more);
    if (answer.status !== 200) throw new Error(`not announced: ${answer.text}`);
    return { pendingId: String(answer.body.pending_id), nonce: String(answer.body.nonce) };
  }

  sign(proof: Announcement & { serverName?: string; key?: KeyObject }): string {
    const { serverName = this.serverName, key = this.key } = proof;
    return sign(null, Buffer.from(announceProof({ ...proof, serverName })), key).toString("base64");
  }

  /** Opens a socket and says nothing. @param headers what somebody in between would write there */
  async dial(headers: Record<string, string> = {}): Promise<PendingSocket> {
    const ws = new WebSocket(`${this.server.url.replace("http", "ws")}/ws/agent/pending`, { headers });
    const socket = new PendingSocket(ws);
    await new Promise((resolve, reject) => ws.once("open", resolve).once("error", reject));
    return socket;
  }

  /** Opens a socket and sends a proof. */
  async prove(
    announced: Announcement,
    wrong: { serverName?: string; signature?: string; pendingId?: string } = {},
    headers: Record<string, string> = {},
  ): Promise<PendingSocket> {
    const socket = await this.dial(headers);
    const { serverName = this.serverName, pendingId = announced.pendingId } = wrong;
    const signature = wrong.signature ?? this.sign({ ...announced, serverName });
    socket.ws.send(
      encodePending({ type: "pending.prove", pending_id: pendingId, server_name: serverName, signature }),
    );
    return socket;
  }

  /** Announces itself and waits, its key proved. */
  async wait(more: Record<string, unknown> = {}): Promise<{ pendingId: string; socket: PendingSocket }> {
    const announced = await this.announce(more);
    const socket = await this.prove(announced);
    await socket.next("pending.waiting");
    return { pendingId: announced.pendingId, socket };
  }
}

type OfType<T extends PendingServerMessage["type"]> = Extract<PendingServerMessage, { type: T }>;

/** One connection of a machine that waits. */
export class PendingSocket {
  readonly ws: WebSocket;
  readonly received: PendingServerMessage[] = [];
  private closed = false;
  private waiters: (() => boolean)[] = [];

  constructor(ws: WebSocket) {
    this.ws = ws;
    ws.on("error", () => undefined);
    ws.on("message", (data) => {
      const parsed = parsePendingServerFrame(String(data));
      if (!parsed.ok) throw new Error(`the server sent an invalid frame: ${String(data)}`);
      this.received.push(parsed.message);
      this.look();
    });
    ws.on("close", () => {
      this.closed = true;
      this.look();
    });
  }

  /** The first message of that type. */
  async next<T extends PendingServerMessage["type"]>(type: T): Promise<OfType<T>> {
    const find = () => this.received.find((message): message is OfType<T> => message.type === type);
    await this.until(`a ${type}`, () => this.closed || find() !== undefined);
    const found = find();
    if (!found) throw new Error(`closed before ${type}: ${JSON.stringify(this.received)}`);
    return found;
  }

  async end(): Promise<void> {
    await this.until("the end of the connection", () => this.closed);
  }

  /** Cuts the connection without a word. */
  async drop(): Promise<void> {
    this.ws.terminate();
    await this.end();
  }

  private until(what: string, holds: () => boolean): Promise<void> {
    if (holds()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new Error(`never came: ${what}; received ${JSON.stringify(this.received)}`));
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
