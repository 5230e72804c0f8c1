/**
 * As much of the tar format as one archive out of several needs (POSIX.1-2001, "pax Interchange Format"): the end of an
 * archive taken off, and the head of a regular file. What a folder's archive holds is restic's own and passes untouched.
 */

const BLOCK_BYTES = 512;
/** The two blocks of zeros that end an archive. */
const END_BYTES = 2 * BLOCK_BYTES;
/** What the fixed fields of a head can hold: 11 and 7 octal digits, 100 bytes of a name. */
const MAX_SIZE = 8 ** 11 - 1;
const MAX_ID = 8 ** 7 - 1;
const MAX_NAME_BYTES = 100;

export const ARCHIVE_END: Buffer = Buffer.alloc(END_BYTES);

export type TarFile = {
  /** Bytes, without a slash in front. */
  name: Buffer;
  sizeBytes: number;
  mode: number;
  uid: number;
  gid: number;
  modifiedAtMs: number;
};

/** What stands before a file's bytes. What the fixed fields can't hold goes into an extended head of its own. */
export function fileHead(file: TarFile): Buffer {
  const name = file.name.subarray(0, MAX_NAME_BYTES);
  const records = [
    ...(file.name.length > MAX_NAME_BYTES ? [record("path", file.name)] : []),
    ...(file.sizeBytes > MAX_SIZE ? [record("size", Buffer.from(String(file.sizeBytes)))] : []),
    ...(file.uid > MAX_ID ? [record("uid", Buffer.from(String(file.uid)))] : []),
    ...(file.gid > MAX_ID ? [record("gid", Buffer.from(String(file.gid)))] : []),
  ];
  const own = head({ ...file, name }, "0");
  if (records.length === 0) return own;
  const extension = Buffer.concat(records);
  const about = { name, sizeBytes: extension.length, mode: 0o644, uid: 0, gid: 0, modifiedAtMs: 0 };
  return Buffer.concat([head(about, "x"), extension, filling(extension.length), own]);
}

/** What fills a file's last block. */
export function filling(sizeBytes: number): Buffer {
  return Buffer.alloc((BLOCK_BYTES - (sizeBytes % BLOCK_BYTES)) % BLOCK_BYTES);
}

function head(file: TarFile, type: "0" | "x"): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES);
  const octal = (value: number, digits: number, max: number) =>
    `${(value > max ? 0 : Math.max(0, Math.floor(value))).toString(8).padStart(digits, "0")}\0`;
  file.name.copy(block, 0);
  block.write(octal(file.mode, 7, MAX_ID), 100);
  block.write(octal(file.uid, 7, MAX_ID), 108);
  block.write(octal(file.gid, 7, MAX_ID), 116);
  block.write(octal(file.sizeBytes, 11, MAX_SIZE), 124);
  block.write(octal(file.modifiedAtMs / 1000, 11, MAX_SIZE), 136);
  block.write(" ".repeat(8), 148);
  block.write(type, 156);
  block.write("ustar\x0000", 257, "latin1");
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return block;
}

/** `length key=value\n`, where the length counts its own digits. */
function record(key: string, value: Buffer): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`), value, Buffer.from("\n")]);
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}

/** Takes the end off an archive that comes in pieces, so that another can follow. */
export class OpenEnd {
  #held: Buffer = Buffer.alloc(0);
  #totalBytes = 0;

  /** What is certain not to be the end. */
  push(piece: Buffer): Buffer {
    this.#totalBytes += piece.length;
    const all = Buffer.concat([this.#held, piece]);
    const keep = Math.min(all.length, END_BYTES);
    // A copy: the piece's memory is not held until the next one comes.
    this.#held = Buffer.from(all.subarray(all.length - keep));
    return all.subarray(0, all.length - keep);
  }

  /** Whether what came was an archive up to its end. */
  get isWhole(): boolean {
    return this.#totalBytes % BLOCK_BYTES === 0 && this.#held.equals(ARCHIVE_END);
  }
}
