/**
 * Downloads on their way from an agent to a browser. Invariants: nothing is stored; of each no more than `maxDumpCredit`
 * chunks are here or on their way, because the agent is asked for another one only when one has left; what is not the
 * whole breaks the stream, so that it can't be taken for it; the agent is told when nobody wants the rest.
 */
import { Readable } from "node:stream";
import {
  type DumpChunk,
  type DumpEnd,
  type DumpStart,
  maxDumpCredit,
  maxFrameBytes,
  type ServerMessage,
} from "@restic-manager/protocol";
import type { Clock } from "../../platform/clock.ts";
import { AppError } from "../../platform/errors.ts";
import { away, tooOld } from "./agent-link.requests.ts";

export type DumpQuestion = Pick<DumpStart, "snapshot_id" | "paths" | "format">;

/** Each is a restic on the host. */
const maxOfHost = 2;
/** Together they hold 12 MiB of our agents' chunks, and never more than 64. */
const maxOfServer = 16;
/** How long the agent may take for the next chunk. restic opens a loaded repository over a WAN in half a minute. */
const agentSilentMs = 90_000;
/** How long the browser may take for the next chunk: a person who pauses a download is back by then, or never. */
const browserSilentMs = 10 * 60_000;

interface DumpRequest {
  hostId: string;
  id: string;
  question: DumpQuestion;
  /** Aborts when nobody waits for the bytes any more. */
  gone: AbortSignal;
  /** @returns false when the host is not connected */
  send(message: ServerMessage): boolean;
}

export class AgentDumps {
  private readonly clock: Clock;
  private readonly dumps = new Map<string, Dump>();

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /**
   * Resolves when the first bytes are there, or the end of a file that has none.
   * @throws AppError `hosts.offline`, `agent.no_answer`, `agent.too_old`, `downloads.too_many`, `downloads.too_long`, or what the agent says
   */
  async open(request: DumpRequest): Promise<Readable> {
    const { hostId, id, question } = request;
    const ofHost = [...this.dumps.values()].filter((dump) => dump.hostId === hostId);
    if (ofHost.length >= maxOfHost || this.dumps.size >= maxOfServer) throw tooMany();
    const start: ServerMessage = { type: "dump.start", request_id: id, ...question };
    if (Buffer.byteLength(JSON.stringify(start)) > maxFrameBytes) throw tooLong();
    const dump = new Dump(request, this.clock, () => this.dumps.delete(id));
    this.dumps.set(id, dump);
    if (request.send(start)) dump.begin();
    else dump.stream.destroy(away());
    return dump.opened;
  }

  /** Only the host that was asked can answer. What comes late is dropped. */
  receive(hostId: string, message: DumpChunk | DumpEnd): void {
    const dump = this.dumps.get(message.request_id);
    if (dump?.hostId !== hostId) return;
    if (message.type === "dump.chunk") dump.take(message);
    else dump.end(message.error);
  }

  /** The host's agent does not know messages of this type. */
  refuse(hostId: string, type: string): void {
    if (type !== "dump.start") return;
    for (const dump of [...this.dumps.values()]) if (dump.hostId === hostId) dump.stream.destroy(tooOld());
  }

  /** The host's connection ended. */
  abandon(hostId: string): void {
    for (const dump of [...this.dumps.values()]) if (dump.hostId === hostId) dump.stream.destroy(away());
  }
}

class Dump {
  readonly hostId: string;
  readonly stream: Readable;
  /** Settles with the first bytes. */
  readonly opened: Promise<Readable>;
  private readonly request: DumpRequest;
  private readonly clock: Clock;
  private readonly over = new AbortController();
  private readonly first = Promise.withResolvers<Readable>();
  private readonly waiting: Buffer[] = [];
  /** Chunks that were asked for and have not come. */
  private asked = 0;
  private received = 0;
  private ended = false;
  /** The stream has room. */
  private wanted = false;
  /** Counts what moves, so that standing still is noticed. */
  private moves = 0;

  constructor(request: DumpRequest, clock: Clock, onClosed: () => void) {
    this.request = request;
    this.clock = clock;
    this.hostId = request.hostId;
    this.opened = this.first.promise;
    this.stream = new Readable({
      read: () => this.flow(true),
      destroy: (error, done) => {
        this.close(error);
        onClosed();
        done(error);
      },
    });
    // A failure before the first bytes is the answer to the request, not to the stream's reader.
    this.stream.on("error", (error) => this.first.reject(error));
  }

  begin(): void {
    const { gone } = this.request;
    const leave = () =>
      this.stream.destroy(new AppError("conflict", "downloads.left", "Nobody waits for it."));
    if (gone.aborted) leave();
    else gone.addEventListener("abort", leave, { signal: this.over.signal });
    this.ask(maxDumpCredit);
    void this.watch();
  }

  take({ n, data }: DumpChunk): void {
    const bytes = Buffer.from(data, "base64");
    const isWhole = bytes.length === Buffer.byteLength(data, "base64");
    if (this.ended || this.asked === 0 || n !== this.received || !isWhole) {
      this.stream.destroy(
        broken("agent.dump_broken", "The host's agent sent bytes that nobody had asked for."),
      );
      return;
    }
    this.asked -= 1;
    this.received += 1;
    this.waiting.push(bytes);
    this.first.resolve(this.stream);
    this.flow(this.wanted);
  }

  end(error: DumpEnd["error"]): void {
    this.ended = true;
    if (error) this.stream.destroy(broken(error.code, error.message));
    this.first.resolve(this.stream);
    this.flow(this.wanted);
  }

  /** Hands over the next chunk when there is room, and asks for another in its place. */
  private flow(wanted: boolean): void {
    this.moves += 1;
    this.wanted = wanted;
    if (!wanted || this.stream.destroyed) return;
    const chunk = this.waiting.shift();
    if (chunk) {
      this.wanted = false;
      if (!this.ended) this.ask(1);
      this.stream.push(chunk);
    } else if (this.ended) this.stream.push(null);
  }

  private ask(chunks: number): void {
    this.asked += chunks;
    this.request.send({ type: "dump.credit", request_id: this.request.id, chunks });
  }

  private close(error: Error | null): void {
    this.over.abort();
    this.waiting.length = 0;
    if (!this.ended) this.request.send({ type: "dump.cancel", request_id: this.request.id });
    if (error) this.first.reject(error);
  }

  /** Ends a download that stands still: somebody holds a restic on the host, and a place here. */
  private async watch(): Promise<void> {
    const { signal } = this.over;
    while (!signal.aborted) {
      const { moves } = this;
      const waitsForAgent = this.received === 0 || this.wanted;
      await this.clock.sleep(waitsForAgent ? agentSilentMs : browserSilentMs, signal);
      if (signal.aborted || moves !== this.moves) continue;
      this.stream.destroy(
        waitsForAgent ? noAnswer() : broken("downloads.stalled", "Nobody took the next bytes."),
      );
    }
  }
}

const broken = (code: string, message: string): AppError => {
  const missing = code === "dump.not_found" || code === "dump.snapshot_gone";
  return new AppError(missing ? "not_found" : "unprocessable", code, message);
};

const tooMany = (): AppError =>
  new AppError(
    "rate_limited",
    "downloads.too_many",
    "Other downloads are under way. Wait until one of them has ended, then try again.",
  );

const tooLong = (): AppError =>
  new AppError(
    "unprocessable",
    "downloads.too_long",
    "These are too many selections for one download. Choose the folder above them, or restore them to a host.",
  );

const noAnswer = (): AppError =>
  new AppError(
    "timeout",
    "agent.no_answer",
    "The host's agent sent nothing for too long. Its repository may be slow or away, or the agent older than this server: try again.",
  );
