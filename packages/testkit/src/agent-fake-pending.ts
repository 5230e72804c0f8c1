/**
 * A server as a machine sees it that announces itself, on loopback: takes announcements and proofs, and answers as the
 * test says. Checks no signature itself; hands everything to the test.
 */
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import {
  type AnnounceRequest,
  announceRequest,
  encodePending,
  type PendingAgentMessage,
  type PendingServerMessage,
  parsePendingAgentFrame,
} from "@restic-manager/protocol";
import { type WebSocket, WebSocketServer } from "ws";

export type HttpAnswer = { status: number; body: unknown; headers?: Record<string, string> };

const PENDING_ID = "01KAQ2TZY8X6W4V2T0S9R7Q5PN";

export class FakePendingServer {
  readonly announced: AnnounceRequest[] = [];
  readonly proofs: PendingAgentMessage[] = [];
  /** Nonces in the order in which they were given out. */
  readonly nonces: string[] = [];
  /** What an announcement is answered with; a pending id and a new nonce by default. */
  answer: ((count: number) => HttpAnswer | undefined) | undefined;
  /** What a proof is answered with; `drop` cuts the connection. Default: it waits. */
  decide: ((count: number) => PendingServerMessage | "drop") | undefined;
  /** HTTP status instead of an upgrade. */
  refuseUpgrade: number | undefined;
  readonly #live = new Set<WebSocket>();
  #http: Server | undefined;
  #port = 0;

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async start(): Promise<void> {
    const sockets = new WebSocketServer({ noServer: true });
    const http = createServer((request, response) => {
      void readBody(request).then((text) => {
        const { status, body, headers } = this.#announce(text);
        response.writeHead(status, { "content-type": "application/json", ...headers });
        response.end(JSON.stringify(body));
      });
    });
    http.on("upgrade", (request, socket, head) => {
      if (this.refuseUpgrade !== undefined) {
        socket.end(`HTTP/1.1 ${this.refuseUpgrade} No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
      } else sockets.handleUpgrade(request, socket, head, (opened) => this.#serve(opened));
    });
    this.#http = http;
    await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
    this.#port = (http.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    this.dropAll();
    this.#http?.closeAllConnections();
    await new Promise((resolve) => this.#http?.close(resolve) ?? resolve(undefined));
  }

  dropAll(): void {
    for (const socket of this.#live) socket.terminate();
  }

  send(message: PendingServerMessage): void {
    for (const socket of this.#live) socket.send(encodePending(message));
  }

  #announce(text: string): HttpAnswer {
    this.announced.push(announceRequest.parse(JSON.parse(text)));
    const given = this.answer?.(this.announced.length);
    if (given !== undefined) return given;
    const nonce = `nonce-${this.announced.length}`;
    this.nonces.push(nonce);
    return { status: 200, body: { pending_id: PENDING_ID, nonce, expires_at: "2026-11-23T05:00:00.000Z" } };
  }

  #serve(socket: WebSocket): void {
    this.#live.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => this.#live.delete(socket));
    socket.on("message", (data) => {
      const parsed = parsePendingAgentFrame(String(data));
      if (!parsed.ok) throw new Error(`the agent sent an invalid frame: ${String(data)}`);
      this.proofs.push(parsed.message);
      const decided = this.decide?.(this.proofs.length) ?? {
        ...{ type: "pending.waiting", expires_at: "2026-11-23T05:00:00.000Z" },
      };
      if (decided === "drop") socket.terminate();
      else socket.send(encodePending(decided as PendingServerMessage));
    });
  }
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}
