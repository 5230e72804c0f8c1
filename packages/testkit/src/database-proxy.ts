/**
 * Stands on loopback between a server and PostgreSQL. Frozen, it forwards nothing and closes nothing, as a network that
 * drops packets: neither side is told. Swallowing, it keeps back what PostgreSQL sends of NOTIFY, and nothing else.
 */
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/** NotificationResponse of https://www.postgresql.org/docs/current/protocol-message-formats.html: one byte, then its length. */
const notification = "A".charCodeAt(0);

export class DatabaseProxy {
  /** Whether notifications are lost. */
  swallowing = false;
  readonly #server: Server;
  readonly #target: URL;
  readonly #open = new Set<Socket>();
  #frozen = false;
  #port = 0;

  /** @param url of the database, by a Unix socket as testkit's clusters have it */
  constructor(url: string) {
    this.#target = new URL(url);
    this.#server = createServer((socket) => this.#lead(socket));
  }

  /** The same database through the proxy. */
  get url(): string {
    const url = new URL(this.#target);
    url.searchParams.delete("host");
    url.hostname = "127.0.0.1";
    url.port = String(this.#port);
    return url.href;
  }

  /** Listens; again on the same port, after it was stopped. */
  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(this.#port, "127.0.0.1", resolve));
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  freeze(): void {
    this.#frozen = true;
    for (const socket of this.#open) socket.pause();
  }

  thaw(): void {
    this.#frozen = false;
    for (const socket of this.#open) socket.resume();
  }

  /** Refuses from now on, and closes what is open. */
  async stop(): Promise<void> {
    for (const socket of this.#open) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #lead(socket: Socket): void {
    const path = `${this.#target.searchParams.get("host")}/.s.PGSQL.5432`;
    const onward = connect(path);
    this.#forward(socket, onward, (chunk) => chunk);
    this.#forward(onward, socket, this.#withoutNotifications());
  }

  /** Takes what PostgreSQL sends apart into whole messages. */
  #withoutNotifications(): (chunk: Buffer) => Buffer {
    let rest: Buffer = Buffer.alloc(0);
    return (chunk) => {
      rest = Buffer.concat([rest, chunk]);
      const kept: Buffer[] = [];
      while (rest.length >= 5) {
        const size = 1 + rest.readUInt32BE(1);
        if (rest.length < size) break;
        if (!this.swallowing || rest[0] !== notification) kept.push(rest.subarray(0, size));
        rest = rest.subarray(size);
      }
      return Buffer.concat(kept);
    };
  }

  #forward(from: Socket, to: Socket, keep: (chunk: Buffer) => Buffer): void {
    this.#open.add(from);
    from.on("data", (chunk) => to.write(keep(chunk)));
    from.on("error", () => undefined);
    from.on("close", () => {
      this.#open.delete(from);
      if (!this.#frozen) to.destroy();
    });
    if (this.#frozen) from.pause();
  }
}
