/**
 * Follows one growing file line by line. Reads in small pieces and waits for its consumer, so memory stays
 * bounded whatever is in the file and however slow the consumer is. Does not watch: the caller says when.
 */
import { type FileHandle, open } from "node:fs/promises";
import { type CutLine, LineCutter } from "./lines.ts";

const CHUNK_BYTES = 64 * 1024;

/** One call of `advance` reads at most this many pieces, so that one loud stream cannot starve the other. */
const MAX_CHUNKS_PER_TURN = 16;

/** restic's longest sane line is a status with file names; snapshots documents do not come this way. */
const MAX_LINE_BYTES = 1024 * 1024;

export class FileTail {
  readonly #path: string;
  readonly #onLine: (line: CutLine) => Promise<void>;
  readonly #cutter: LineCutter;
  readonly #buffer = Buffer.alloc(CHUNK_BYTES);
  #position: number;
  #file: FileHandle | undefined;

  constructor(path: string, startOffset: number, onLine: (line: CutLine) => Promise<void>) {
    this.#path = path;
    this.#position = startOffset;
    this.#cutter = new LineCutter(startOffset, MAX_LINE_BYTES);
    this.#onLine = onLine;
  }

  /**
   * Hands over the complete lines that are there now; resolves to true when there may be more at once. Stops
   * between lines when `signal` aborts.
   */
  async advance(signal?: AbortSignal): Promise<boolean> {
    this.#file ??= await open(this.#path, "r");
    for (let turn = 0; turn < MAX_CHUNKS_PER_TURN; turn += 1) {
      const { bytesRead } = await this.#file.read(this.#buffer, 0, CHUNK_BYTES, this.#position);
      if (bytesRead === 0) return false;
      this.#position += bytesRead;
      for (const line of this.#cutter.push(this.#buffer.subarray(0, bytesRead))) {
        if (signal?.aborted === true) return false;
        await this.#onLine(line);
      }
    }
    return true;
  }

  /** Hands over an unfinished last line. Only once nobody writes any more. */
  async finish(): Promise<void> {
    const rest = this.#cutter.flush();
    if (rest !== undefined) await this.#onLine(rest);
  }

  async close(): Promise<void> {
    await this.#file?.close();
    this.#file = undefined;
  }
}
