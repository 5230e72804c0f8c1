/**
 * A small HTTP balancer for laboratories with several replicas. As a real one it asks each replica's /readyz again and
 * again, gives what is new to those that answered well in turn, tries the next where nobody listens, and leaves
 * connections alone once they are made: a replica that is ready no more keeps its agents until it sends them away.
 */
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import { connect } from "node:net";
import type { Duplex } from "node:stream";

export interface Target {
  host: string;
  port: number;
}

const lookEveryMs = 500;
const answerWithinMs = 1000;
/** A replica on a machine with other work is silent now and then; one that says it is not ready is believed at once. */
const silencesUntilAway = 2;
/** Nobody listens there, or nobody can be reached: nothing was sent, so another may be asked. */
const nobody = new Set(["ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH", "ETIMEDOUT"]);

const nameOf = ({ host, port }: Target): string => `${host}:${port}`;

export class Balancer {
  private readonly targets: () => readonly Target[];
  private readonly http: Server;
  private readonly ready = new Set<string>();
  /** How often in a row nobody answered. */
  private readonly silences = new Map<string, number>();
  private isLooking = false;
  private readonly lines = new Set<Duplex>();
  private readonly looking: NodeJS.Timeout;
  /** Counted apart, so that agents are spread evenly whatever is asked meanwhile. */
  private readonly turns = { request: 0, connection: 0 };

  private constructor(targets: () => readonly Target[]) {
    this.targets = targets;
    this.http = createServer((incoming, outgoing) => void this.answer(incoming, outgoing));
    this.http.on("upgrade", (incoming, socket, head) => this.upgrade(incoming, socket, head));
    this.looking = setInterval(() => void this.look(), lookEveryMs);
  }

  /** Listens on the loopback. */
  static async start(port: number, targets: () => readonly Target[]): Promise<Balancer> {
    const balancer = new Balancer(targets);
    await new Promise<void>((resolve) => balancer.http.listen(port, "127.0.0.1", resolve));
    return balancer;
  }

  /** Asks all replicas whether they are ready. One look at a time: two at once would count one silence twice. */
  private async look(): Promise<void> {
    if (this.isLooking) return;
    this.isLooking = true;
    await Promise.all(this.targets().map((target) => this.ask(target)));
    this.isLooking = false;
  }

  private async ask(target: Target): Promise<void> {
    const name = nameOf(target);
    const signal = AbortSignal.timeout(answerWithinMs);
    const answer = await fetch(`http://${name}/readyz`, { signal }).catch(() => null);
    const silences = answer === null ? (this.silences.get(name) ?? 0) + 1 : 0;
    this.silences.set(name, silences);
    if (answer?.ok) this.ready.add(name);
    else if (answer !== null || silences >= silencesUntilAway) this.ready.delete(name);
    await answer?.body?.cancel().catch(() => undefined);
  }

  async stop(): Promise<void> {
    clearInterval(this.looking);
    for (const line of this.lines) line.destroy();
    this.http.closeAllConnections();
    await new Promise((resolve) => this.http.close(resolve));
  }

  /** In which order the replicas are tried: those that are ready in turn, then the others. */
  private order(kind: "request" | "connection"): Target[] {
    const all = this.targets();
    const ready = all.filter((target) => this.ready.has(nameOf(target)));
    const first = ready.length === 0 ? 0 : this.turns[kind]++ % ready.length;
    const rest = all.filter((target) => !ready.includes(target));
    return [...ready.slice(first), ...ready.slice(0, first), ...rest];
  }

  private async answer(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const parts: Buffer[] = [];
    for await (const part of incoming) parts.push(part as Buffer);
    for (const target of this.order("request"))
      if (await pass(target, incoming, Buffer.concat(parts), outgoing)) return;
    outgoing.writeHead(502).end("no replica could be reached");
  }

  private upgrade(incoming: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { method, url, rawHeaders } = incoming;
    const headers = rawHeaders.map((text, index) => (index % 2 === 0 ? `${text}: ` : `${text}\r\n`)).join("");
    const opening = Buffer.concat([Buffer.from(`${method} ${url} HTTP/1.1\r\n${headers}\r\n`), head]);
    this.join(socket, opening, this.order("connection"));
  }

  private join(socket: Duplex, opening: Buffer, [target, ...others]: Target[]): void {
    if (target === undefined) {
      socket.end("HTTP/1.1 502 Bad Gateway\r\nconnection: close\r\n\r\n");
      return;
    }
    const line = connect(target);
    let joined = false;
    line.on("connect", () => {
      joined = true;
      for (const [from, to] of [
        [socket, line],
        [line, socket],
      ] as const) {
        this.lines.add(from);
        from.on("close", () => {
          this.lines.delete(from);
          to.destroy();
        });
        from.pipe(to);
      }
      line.write(opening);
    });
    socket.on("error", () => line.destroy());
    line.on("error", () => {
      if (joined) socket.destroy();
      else this.join(socket, opening, others);
    });
  }
}

/** @returns false when nobody could be reached there, so that nothing has happened yet */
function pass(
  target: Target,
  incoming: IncomingMessage,
  body: Buffer,
  outgoing: ServerResponse,
): Promise<boolean> {
  const { method = "GET", url = "/", headers } = incoming;
  return new Promise((done) => {
    const asked = request({ ...target, method, path: url, headers, agent: false }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
      answer.pipe(outgoing);
      answer.on("error", () => outgoing.destroy());
      done(true);
    });
    asked.setTimeout(30_000, () => asked.destroy());
    outgoing.on("close", () => asked.destroy());
    asked.on("error", (error: NodeJS.ErrnoException) => {
      if (nobody.has(error.code ?? "")) return done(false);
      if (outgoing.headersSent) outgoing.destroy();
      else outgoing.writeHead(502).end("the replica went away");
      done(true);
    });
    asked.end(body);
  });
}
