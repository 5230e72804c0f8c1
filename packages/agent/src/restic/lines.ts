/**
 * Cuts a byte stream into lines with bounded memory. Lines are decoded whole, so a character that spans two
 * chunks stays whole; bytes that are not UTF-8 become U+FFFD. Knows nothing of what the lines mean.
 */

export type CutLine = {
  text: string;
  /** True when the line was longer than the bound and its rest was thrown away. */
  truncated: boolean;
  /** Offset in the stream of the first byte after this line and its line break. */
  endOffset: number;
};

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/** A cutter for one stream; `startOffset` is where the first chunk begins in it. */
export class LineCutter {
  readonly #maxLineBytes: number;
  #held: Buffer[] = [];
  #heldBytes = 0;
  #truncated = false;
  #offset: number;

  constructor(startOffset: number, maxLineBytes: number) {
    this.#offset = startOffset;
    this.#maxLineBytes = maxLineBytes;
  }

  /** The lines that end within `chunk`. The chunk may be reused by the caller once iteration is over. */
  *push(chunk: Uint8Array): Generator<CutLine> {
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(LINE_FEED, start);
      if (end === -1) break;
      this.#hold(chunk.subarray(start, end));
      this.#offset += end + 1 - start;
      start = end + 1;
      yield this.#take();
    }
    this.#hold(chunk.subarray(start));
    this.#offset += chunk.length - start;
  }

  /** What stands after the last line break, once the stream has ended; undefined when nothing does. */
  flush(): CutLine | undefined {
    return this.#heldBytes === 0 ? undefined : this.#take();
  }

  #hold(bytes: Uint8Array): void {
    const room = this.#maxLineBytes - this.#heldBytes;
    if (bytes.length > room) this.#truncated = true;
    if (room <= 0 || bytes.length === 0) return;
    const kept = Buffer.from(bytes.subarray(0, room));
    this.#held.push(kept);
    this.#heldBytes += kept.length;
  }

  #take(): CutLine {
    let bytes = Buffer.concat(this.#held);
    if (bytes.at(-1) === CARRIAGE_RETURN) bytes = bytes.subarray(0, -1);
    const line = { text: bytes.toString("utf8"), truncated: this.#truncated, endOffset: this.#offset };
    this.#held = [];
    this.#heldBytes = 0;
    this.#truncated = false;
    return line;
  }
}
