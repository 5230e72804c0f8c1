/**
 * The downloads that go over one connection. Invariants: a chunk is sent only when the server has asked for it, and only
 * when the one before has left for the network, so that heartbeats, events and progress pass between any two; a dump
 * ends with its connection or when the server has had enough; at its end the server is told whether it has the whole.
 */
import type { AgentMessage, DumpEnd, DumpStart } from "@restic-manager/protocol";
import { reasonOf } from "../platform/errors.ts";
import type { Log } from "../platform/log.ts";

/** Bytes, and in the end what is wrong with them; null when they are the whole. MUST end when `signal` aborts. */
export type DumpSource = (
  request: DumpStart,
  signal: AbortSignal,
) => AsyncGenerator<Uint8Array, DumpEnd["error"]>;

export type DumpLinesDeps = {
  read: DumpSource;
  log: Log;
  /** Resolves when the message has left for the network, or when it never will. MUST not reject. */
  send: (message: AgentMessage) => Promise<void>;
};

/**
 * 64 KiB as base64: far below what the socket may hold before progress is dropped, and below what V8 takes for large
 * (128 KiB). Strings above that stay until a rare kind of collection and made the server 60 MiB larger, not 25.
 */
export const DUMP_CHUNK_BYTES = 48 * 1024;
/** restic takes up to 150 MB for each. */
const AT_ONCE = 2;

type Line = { credit: number; onCredit: () => void; over: AbortController };

export class DumpLines {
  readonly #deps: DumpLinesDeps;
  readonly #lines = new Map<string, Line>();
  readonly #working = new Set<Promise<void>>();

  constructor(deps: DumpLinesDeps) {
    this.#deps = deps;
  }

  /** Begins to read; what is read is sent as credit comes. A request that is under way is not begun twice. */
  start(request: DumpStart): void {
    if (this.#lines.has(request.request_id)) return;
    if (this.#lines.size >= AT_ONCE) {
      const message = "This host already sends other downloads. Wait until one of them has ended.";
      void this.#deps.send(endOf(request, { code: "dump.busy", message }));
      return;
    }
    const line: Line = { credit: 0, onCredit: () => undefined, over: new AbortController() };
    this.#lines.set(request.request_id, line);
    const work = this.#work(request, line).finally(() => {
      this.#lines.delete(request.request_id);
      this.#working.delete(work);
    });
    this.#working.add(work);
  }

  /** So many chunks more may be sent. */
  grant(requestId: string, chunks: number): void {
    const line = this.#lines.get(requestId);
    if (line === undefined) return;
    line.credit += chunks;
    line.onCredit();
  }

  /** Nobody wants the rest. */
  cancel(requestId: string): void {
    const line = this.#lines.get(requestId);
    line?.over.abort();
    line?.onCredit();
  }

  /** The connection is over: nothing more can be sent. Resolves when everything that was read has ended. */
  async stop(): Promise<void> {
    for (const requestId of this.#lines.keys()) this.cancel(requestId);
    await Promise.all(this.#working);
  }

  /** MUST not reject: nobody awaits it but `stop`. */
  async #work(request: DumpStart, line: Line): Promise<void> {
    const error = await this.#sendAll(request, line).catch((thrown: unknown) => {
      this.#deps.log.warn({ reason: reasonOf(thrown) }, "a download failed");
      return {
        code: "dump.failed",
        message: `The agent could not read on: ${reasonOf(thrown)}`.slice(0, 2000),
      };
    });
    if (!line.over.signal.aborted) await this.#deps.send(endOf(request, error));
  }

  async #sendAll(request: DumpStart, line: Line): Promise<DumpEnd["error"]> {
    const source = this.#deps.read(request, line.over.signal);
    const packer = new Packer();
    let n = 0;
    const send = async (chunk: Buffer) => {
      await untilCredit(line);
      if (line.over.signal.aborted) return;
      line.credit -= 1;
      const { request_id } = request;
      await this.#deps.send({ type: "dump.chunk", request_id, n, data: chunk.toString("base64") });
      n += 1;
    };
    try {
      for (;;) {
        const piece = await source.next();
        if (line.over.signal.aborted) return null;
        if (piece.done) {
          const rest = packer.rest();
          if (piece.value === null && rest.length > 0) await send(rest);
          return piece.value;
        }
        for (const chunk of packer.push(piece.value)) await send(chunk);
      }
    } finally {
      await source.return(null);
    }
  }
}

async function untilCredit(line: Line): Promise<void> {
  while (line.credit === 0 && !line.over.signal.aborted)
    await new Promise<void>((resolve) => {
      line.onCredit = resolve;
    });
}

const endOf = ({ request_id }: DumpStart, error: DumpEnd["error"]): DumpEnd => ({
  type: "dump.end",
  request_id,
  error,
});

/** Makes chunks of one size out of pieces of any. */
class Packer {
  #buffer = Buffer.alloc(DUMP_CHUNK_BYTES);
  #filled = 0;

  /** The chunks that are full now. Each is to be used before the next is taken. */
  *push(piece: Uint8Array): Generator<Buffer> {
    for (let from = 0; from < piece.length; ) {
      const part = piece.subarray(from, from + DUMP_CHUNK_BYTES - this.#filled);
      this.#buffer.set(part, this.#filled);
      this.#filled += part.length;
      from += part.length;
      if (this.#filled < DUMP_CHUNK_BYTES) return;
      yield this.#buffer;
      this.#filled = 0;
    }
  }

  rest(): Buffer {
    return this.#buffer.subarray(0, this.#filled);
  }
}
