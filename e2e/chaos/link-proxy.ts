/**
 * Stands between agents and the server and understands where a message ends: it can cut the connection after any of
 * them, double them, hold them back or change their order. What it does not touch it passes on as it came.
 */
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { WebSocket, WebSocketServer } from "ws";

export interface PassingMessage {
  direction: "to_server" | "to_agent";
  type: string;
  text: string;
  /** Counts the messages of all connections, both ways, since `count` was last set to 0. */
  number: number;
}

/** What becomes of a message: these texts go on in its place, and then perhaps the line is cut. */
export interface Deed {
  send: string[];
  cut?: boolean;
}

interface Line {
  agent: WebSocket;
  server: WebSocket;
}

export class LinkProxy {
  /** How many connections were opened through here. */
  connections = 0;
  /** How many of them got as far as the server's welcome. */
  welcomes = 0;
  count = 0;
  onMessage: (message: PassingMessage) => Deed = ({ text }) => ({ send: [text] });
  private readonly target: string;
  private readonly http: Server;
  private readonly upgrades = new WebSocketServer({ noServer: true });
  private readonly lines = new Set<Line>();

  private constructor(target: string) {
    this.target = target;
    this.http = createServer((_request, response) => response.writeHead(404).end());
    this.http.on("upgrade", (request, socket, head) => this.connect(request, socket, head));
  }

  /** @param target the server's address, `http://…` */
  static async start(target: string): Promise<LinkProxy> {
    const proxy = new LinkProxy(target);
    await new Promise<void>((resolve) => proxy.http.listen(0, "127.0.0.1", resolve));
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.http.address() as AddressInfo).port}`;
  }

  cutAll(): void {
    for (const line of this.lines) cut(line);
  }

  async stop(): Promise<void> {
    this.cutAll();
    this.http.closeAllConnections();
    await new Promise((resolve) => this.http.close(resolve));
  }

  private connect(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const authorization = request.headers.authorization ?? "";
    socket.on("error", () => undefined);
    const server = new WebSocket(`${this.target.replace("http", "ws")}${request.url}`, {
      headers: { authorization },
    });
    // The server is away or refuses: for the agent it is a connection that fails.
    server.on("error", () => socket.destroy());
    server.once("open", () => {
      this.upgrades.handleUpgrade(request, socket, head, (agent) => this.join({ agent, server }));
    });
  }

  private join(line: Line): void {
    this.connections++;
    this.lines.add(line);
    const { agent, server } = line;
    for (const [from, to, direction] of [
      [agent, server, "to_server"],
      [server, agent, "to_agent"],
    ] as const) {
      from.on("error", () => undefined);
      from.on("message", (data) => this.pass(line, to, direction, String(data)));
      from.on("close", (code, reason) => {
        this.lines.delete(line);
        // 1005 and 1006 say that no code came: the other side must learn it in the same way.
        if (code === 1005 || code === 1006) to.terminate();
        else to.close(code, reason);
      });
    }
  }

  private pass(line: Line, to: WebSocket, direction: PassingMessage["direction"], text: string): void {
    // The cut comes in the middle of what arrived together: the rest of it is lost.
    if (!this.lines.has(line)) return;
    this.count++;
    const { type } = JSON.parse(text) as { type: string };
    if (type === "welcome") this.welcomes++;
    const deed = this.onMessage({ direction, type, text, number: this.count });
    if (deed.cut) this.lines.delete(line);
    const last = deed.send.pop();
    for (const message of deed.send) to.send(message);
    const done = (): void => void (deed.cut && cut(line));
    if (last === undefined) done();
    else to.send(last, done);
  }
}

/** Without a closing frame, as when a cable is pulled and both ends notice. */
function cut({ agent, server }: Line): void {
  agent.terminate();
  server.terminate();
}
