/**
 * One append-only file of lines, as the outbox needs it. Invariants: a failed append leaves no trace; a line
 * torn by a crash is cut off when the file is opened; reading is sequential and holds one window, so memory
 * does not grow with the file. Knows nothing of what a line means, and expects one caller at a time.
 */
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { syncDir } from "../platform/files.ts";

export type StoredLine = { text: string; startOffset: number; endOffset: number };

const WINDOW_BYTES = 64 * 1024;
const LINE_FEED = 0x0a;

export class OutboxFile {
  readonly #path: string;
  #file: FileHandle;
  #sizeBytes: number;
  #synced: boolean;
  #window: { startOffset: number; bytes: Buffer } = { startOffset: 0, bytes: Buffer.alloc(0) };

  private constructor(path: string, file: FileHandle, sizeBytes: number) {
    this.#path = path;
    this.#file = file;
    this.#sizeBytes = sizeBytes;
    this.#synced = true;
  }

  /** Opens or creates the file (0600) and cuts off a last line without an end. */
  static async open(path: string): Promise<OutboxFile> {
    const file = await open(path, "a+", 0o600).then(async (created) => {
      await created.close();
      return open(path, "r+");
    });
    const { size } = await file.stat();
    const opened = new OutboxFile(path, file, size);
    await opened.#cutTornLine();
    return opened;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Adds one line. When the disk refuses, the file is as before and the system's error is thrown. */
  async append(text: string): Promise<void> {
    const bytes = Buffer.from(`${text}\n`);
    try {
      await writeFully(this.#file, bytes, this.#sizeBytes);
    } catch (error) {
      // If even this fails, the next append writes over the rest, and what sticks out is skipped when loading.
      await this.#file.truncate(this.#sizeBytes).catch(() => undefined);
      throw error;
    }
    this.#sizeBytes += bytes.length;
    this.#synced = false;
  }

  /** Returns once everything appended so far survives a power cut. */
  async sync(): Promise<void> {
    if (this.#synced) return;
    await this.#file.datasync();
    this.#synced = true;
  }

  /** The line that starts at `offset`, or undefined at the end. */
  async readLine(offset: number): Promise<StoredLine | undefined> {
    if (offset >= this.#sizeBytes) return undefined;
    let wanted = WINDOW_BYTES;
    for (;;) {
      const { startOffset, bytes } = this.#window;
      const from = offset - startOffset;
      const end = from >= 0 && from < bytes.length ? bytes.indexOf(LINE_FEED, from) : -1;
      if (end !== -1) {
        const text = bytes.toString("utf8", from, end);
        return { text, startOffset: offset, endOffset: startOffset + end + 1 };
      }
      if (from === 0 && startOffset + bytes.length >= this.#sizeBytes && bytes.length > 0) return undefined;
      await this.#fillWindow(offset, wanted);
      wanted *= 2;
    }
  }

  /** Forgets everything before `offset`, which must be the start of a line or the end. Offsets shift by it. */
  async dropBefore(offset: number): Promise<void> {
    this.#window = { startOffset: 0, bytes: Buffer.alloc(0) };
    if (offset >= this.#sizeBytes) {
      await this.#file.truncate(0);
      this.#sizeBytes = 0;
      return;
    }
    const temporary = `${this.#path}.tmp`;
    await rm(temporary, { force: true });
    const next = await open(temporary, "wx+", 0o600);
    try {
      await copyFrom(this.#file, offset, this.#sizeBytes, next);
      await next.datasync();
      await rename(temporary, this.#path);
    } catch (error) {
      await next.close();
      throw error;
    }
    const before = this.#file;
    this.#file = next;
    this.#sizeBytes -= offset;
    // After a power cut the old file may be back: with events that the server has, and takes no second time.
    await Promise.allSettled([before.close(), syncDir(dirname(this.#path))]);
  }

  async close(): Promise<void> {
    await this.sync();
    await this.#file.close();
  }

  async #fillWindow(startOffset: number, wantedBytes: number): Promise<void> {
    const buffer = Buffer.alloc(Math.min(wantedBytes, this.#sizeBytes - startOffset));
    const { bytesRead } = await this.#file.read(buffer, 0, buffer.length, startOffset);
    if (bytesRead === 0) throw new Error(`${this.#path} was cut by somebody else.`);
    this.#window = { startOffset, bytes: buffer.subarray(0, bytesRead) };
  }

  async #cutTornLine(): Promise<void> {
    let end = this.#sizeBytes;
    const buffer = Buffer.alloc(WINDOW_BYTES);
    while (end > 0) {
      const start = Math.max(0, end - WINDOW_BYTES);
      const { bytesRead } = await this.#file.read(buffer, 0, end - start, start);
      const last = buffer.subarray(0, bytesRead).lastIndexOf(LINE_FEED);
      if (last !== -1) {
        end = start + last + 1;
        break;
      }
      end = start;
    }
    if (end === this.#sizeBytes) return;
    await this.#file.truncate(end);
    this.#sizeBytes = end;
  }
}

/** A write may stop half way (a disk that fills up does): only a complete one counts. */
async function writeFully(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}

async function copyFrom(from: FileHandle, start: number, end: number, to: FileHandle): Promise<void> {
  const buffer = Buffer.alloc(WINDOW_BYTES);
  for (let position = start; position < end; ) {
    const { bytesRead } = await from.read(buffer, 0, Math.min(WINDOW_BYTES, end - position), position);
    if (bytesRead === 0) throw new Error("The outbox file is shorter than expected.");
    await writeFully(to, buffer.subarray(0, bytesRead), position - start);
    position += bytesRead;
  }
}
