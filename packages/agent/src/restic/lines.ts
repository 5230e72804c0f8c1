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
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
    let start = 0;
    for (;;) {
      const end = bytes.indexOf(LINE_FEED, start);
      if (end === -1) break;
      this.#offset += end + 1 - start;
      const isWhole = this.#heldBytes === 0 && end - start <= this.#maxLineBytes;
      // Nearly every line lies in one chunk: copying each would leave as much garbage as the whole stream has bytes.
      if (isWhole) yield this.#line(bytes, start, end, false);
      else {
        this.#hold(bytes.subarray(start, end));
        yield this.#take();
      }
      start = end + 1;
    }
    this.#hold(bytes.subarray(start));
    this.#offset += bytes.length - start;
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
    const bytes = Buffer.concat(this.#held);
    const line = this.#line(bytes, 0, bytes.length, this.#truncated);
    this.#held = [];
    this.#heldBytes = 0;
    this.#truncated = false;
    return line;
  }

  #line(bytes: Buffer, start: number, end: number, truncated: boolean): CutLine {
    const last = end > start && bytes[end - 1] === CARRIAGE_RETURN ? end - 1 : end;
    return { text: bytes.toString("utf8", start, last), truncated, endOffset: this.#offset };
  }
}
