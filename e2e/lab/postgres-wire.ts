/**
 * Stands between one replica and PostgreSQL and understands where a message of the server's ends
 * (https://www.postgresql.org/docs/current/protocol-message-formats.html), so that it can swallow notifications as if
 * they had never been sent. It can also be a long way: what the replica says then arrives later. Everything else passes
 * as it came. The connection must not be encrypted.
 */
import { connect, createServer, type Server, type Socket } from "node:net";

/** The type of a NotificationResponse. */
const notification = "A".charCodeAt(0);
/** A message is its type, its length in four bytes without the type, and the rest. */
const headBytes = 5;

export class PostgresWire {
  /** Whether notifications are swallowed. */
  deaf = false;
  /** How many were. */
  swallowed = 0;
  /** How long everything from the replica is on its way, in ms. */
  delayMs = 0;
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();

  private constructor(target: { host: string; port: number }) {
    this.server = createServer((client) => this.join(client, connect(target)));
  }

  /** @param target `ADDRESS:PORT` of PostgreSQL. Listens on `port` of the loopback. */
  static async start(target: string, port: number): Promise<PostgresWire> {
    const [host = "", targetPort = ""] = target.split(":");
    const wire = new PostgresWire({ host, port: Number(targetPort) });
    await new Promise<void>((resolve) => wire.server.listen(port, "127.0.0.1", resolve));
    return wire;
  }

  async stop(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private join(client: Socket, database: Socket): void {
    for (const [one, other] of [
      [client, database],
      [database, client],
    ] as const) {
      this.sockets.add(one);
      one.on("error", () => undefined);
      one.on("close", () => {
        this.sockets.delete(one);
        other.destroy();
      });
    }
    client.on("data", (data: Buffer) => {
      if (this.delayMs === 0) database.write(data);
      else setTimeout(() => database.write(data), this.delayMs);
    });
    let rest: Buffer = Buffer.alloc(0);
    database.on("data", (data: Buffer) => {
      rest = Buffer.concat([rest, data]);
      while (rest.length >= headBytes && rest.length > rest.readInt32BE(1)) {
        const length = 1 + rest.readInt32BE(1);
        this.pass(rest.subarray(0, length), client);
        rest = rest.subarray(length);
      }
    });
  }

  private pass(message: Buffer, client: Socket): void {
    if (this.deaf && message[0] === notification) this.swallowed++;
    else client.write(message);
  }
}
