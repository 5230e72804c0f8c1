/**
 * The end of a zip archive (PKWARE APPNOTE 6.3.10, 4.3.16 "End of central directory record"): without it an archive that
 * broke off can't be told from a whole one. restic writes no comment, so it is the last 22 bytes.
 */

const END_BYTES = 22;
const SIGNATURE = Buffer.from("PK\x05\x06", "latin1");

/** Looks at an archive that comes in pieces and lets each through. */
export class ZipEnd {
  #last: Buffer = Buffer.alloc(0);

  push(piece: Buffer): Buffer {
    const tail = piece.length < END_BYTES ? Buffer.concat([this.#last, piece]) : piece;
    // A copy: the piece's memory is not held until the next one comes.
    this.#last = Buffer.from(tail.subarray(Math.max(0, tail.length - END_BYTES)));
    return piece;
  }

  /** Whether what came ends as an archive does. */
  get isWhole(): boolean {
    return this.#last.length === END_BYTES && this.#last.subarray(0, SIGNATURE.length).equals(SIGNATURE);
  }
}
