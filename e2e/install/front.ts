/**
 * What stands before a server in the tests of the installer: passes everything on, and can be made to hand out other files
 * than the server's, or to answer as a broken server, a proxy or a stranger would.
 */
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import {
  createServer as createHttpServer,
  type IncomingMessage,
  request,
  type Server,
  type ServerResponse,
} from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import type { Duplex } from "node:stream";

/** Answers a request itself and says true, or leaves it alone. */
export type Fault = (request: IncomingMessage, response: ServerResponse) => boolean;

export interface FrontWishes {
  /** Port of the server behind. */
  serverPort: number;
  tls?: { key: string; cert: string };
}

export class Front {
  fault: Fault = () => false;
  /** Files at /install/ that are handed out instead of the server's. */
  folder: string | null = null;
  port = 0;
  private readonly wishes: FrontWishes;
  private readonly server: Server;
  private readonly sockets = new Set<Socket | Duplex>();

  private constructor(wishes: FrontWishes) {
    this.wishes = wishes;
    const answer = (asked: IncomingMessage, response: ServerResponse) => void this.answer(asked, response);
    this.server = wishes.tls ? createHttpsServer(wishes.tls, answer) : createHttpServer(answer);
    this.server.on("connection", (socket) => this.keep(socket));
    this.server.on("upgrade", (asked, socket, head) => this.tunnel(asked, socket, head));
  }

  static async start(wishes: FrontWishes): Promise<Front> {
    const front = new Front(wishes);
    await new Promise<void>((listening) => front.server.listen(0, "127.0.0.1", listening));
    const address = front.server.address();
    front.port = typeof address === "object" && address !== null ? address.port : 0;
    return front;
  }

  get url(): string {
    return `${this.wishes.tls ? "https" : "http"}://127.0.0.1:${this.port}`;
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((closed) => this.server.close(closed));
  }

  private keep(socket: Socket | Duplex): void {
    this.sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.once("close", () => this.sockets.delete(socket));
  }

  private async answer(asked: IncomingMessage, response: ServerResponse): Promise<void> {
    if (this.fault(asked, response)) return;
    const [, name] = /^\/install\/([\w.+-]+)$/.exec(asked.url ?? "") ?? [];
    if (name === undefined || this.folder === null) return this.passOn(asked, response);
    const path = join(this.folder, name);
    const found = await stat(path).catch(() => null);
    if (found === null) {
      response.writeHead(404, { "content-type": "application/json" });
      response.end(
        JSON.stringify({ code: "artefacts.not_found", message: `There is no file ${name} here.` }),
      );
      return;
    }
    response.writeHead(200, { "content-length": found.size });
    createReadStream(path).pipe(response);
  }

  private passOn(asked: IncomingMessage, response: ServerResponse): void {
    const { serverPort } = this.wishes;
    const { method, url, headers } = asked;
    const passed = request(
      { host: "127.0.0.1", port: serverPort, method, path: url, headers },
      (answered) => {
        // A fault may have set another date.
        const { date, ...others } = answered.headers;
        response.writeHead(
          answered.statusCode ?? 502,
          response.hasHeader("date") ? others : { date, ...others },
        );
        answered.pipe(response);
      },
    );
    passed.on("error", () => response.destroy());
    asked.pipe(passed);
  }

  private tunnel(asked: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.keep(socket);
    const behind = connect(this.wishes.serverPort, "127.0.0.1");
    this.keep(behind);
    const headers = asked.rawHeaders.reduce(
      (text, part, index) => `${text}${part}${index % 2 === 0 ? ": " : "\r\n"}`,
      "",
    );
    behind.write(`${asked.method} ${asked.url} HTTP/1.1\r\n${headers}\r\n`);
    behind.write(head);
    behind.pipe(socket).pipe(behind);
    socket.once("close", () => behind.destroy());
    behind.once("close", () => socket.destroy());
  }
}
