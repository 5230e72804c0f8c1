/**
 * An HTTP proxy on loopback that speaks CONNECT, as a company's does. Every target is led to one port of this
 * machine, so tests can ask for names that no DNS knows.
 */
import { createServer, type IncomingMessage, type Server } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";

export class ConnectProxy {
  /** Every CONNECT: the target that was asked for, and the login that came along. */
  readonly asked: { target: string; login: string | undefined }[] = [];
  /** `name:password`; undefined = everybody may. */
  login: string | undefined;
  /** Answers every CONNECT with this status instead of connecting. */
  refusal: number | undefined;
  readonly #server: Server;
  readonly #open = new Set<Socket>();
  readonly #port: number;

  /** `port` is where every target is led to. */
  constructor(port: number) {
    this.#port = port;
    this.#server = createServer((_request, response) => response.writeHead(405).end());
    this.#server.on("connect", (request, socket) => this.#lead(request, socket as Socket));
  }

  /** `http://127.0.0.1:PORT`. */
  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
  }

  async stop(): Promise<void> {
    for (const socket of this.#open) socket.destroy();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #lead(request: IncomingMessage, socket: Socket): void {
    const given = /^Basic (.+)$/.exec(request.headers["proxy-authorization"] ?? "")?.[1];
    const login = given === undefined ? undefined : Buffer.from(given, "base64").toString();
    this.asked.push({ target: request.url ?? "", login });
    const refusal = this.login === undefined || this.login === login ? this.refusal : 407;
    if (refusal !== undefined) {
      socket.end(`HTTP/1.1 ${refusal} No\r\nContent-Length: 0\r\n\r\n`);
      return;
    }
    const onward = connect(this.#port, "127.0.0.1", () => {
      socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
      socket.pipe(onward).pipe(socket);
    });
    for (const end of [socket, onward]) {
      this.#open.add(end);
      end.on("error", () => undefined);
      end.on("close", () => {
        this.#open.delete(end);
        socket.destroy();
        onward.destroy();
      });
    }
  }
}
