/**
 * A file as an answer: streamed from the disk, in parts where that is asked for, and not at all when the client has it.
 * What is sent is what was looked at: a file that was replaced since is refused, not served under the old digest.
 */
import { type FileHandle, open } from "node:fs/promises";
import { Readable } from "node:stream";
import type { FastifyReply, FastifyRequest } from "fastify";
import { AppError } from "../errors.ts";
import { chooseRange } from "./byte-range.ts";

/** A file as it was when somebody looked at it. */
export interface KnownFile {
  path: string;
  sizeBytes: number;
  /** Of the file system, in milliseconds with their fraction. */
  modifiedMs: number;
  /** Changes with the bytes; without quotes. */
  tag: string;
}

/**
 * Answers with the file. The type is the caller's to set.
 * @throws AppError `request.file_changed` when the file is not the one that is known any more
 */
export async function sendFile(
  request: FastifyRequest,
  reply: FastifyReply,
  file: KnownFile,
): Promise<FastifyReply> {
  const { headers } = request;
  const etag = `"${file.tag}"`;
  void reply.header("etag", etag).header("accept-ranges", "bytes").header("cache-control", "no-cache");
  const asked = { range: headers.range, ifRange: headers["if-range"], ifNoneMatch: headers["if-none-match"] };
  const chosen = chooseRange(asked as Parameters<typeof chooseRange>[0], etag, file.sizeBytes);
  if (chosen.kind === "not_modified") return reply.code(304).send();
  if (chosen.kind === "not_satisfiable") {
    void reply.header("content-range", `bytes */${file.sizeBytes}`);
    return reply.code(416).send();
  }
  const { start, end } = chosen.kind === "part" ? chosen : { start: 0, end: file.sizeBytes - 1 };
  if (chosen.kind === "part")
    void reply.code(206).header("content-range", `bytes ${start}-${end}/${file.sizeBytes}`);
  void reply.header("content-length", end - start + 1);
  // Without a stream the length would be set to that of an empty body.
  if (request.method === "HEAD" || file.sizeBytes === 0) return reply.send(Readable.from([]));
  const opened = await openKnown(file);
  return reply.send(opened.createReadStream({ start, end }));
}

async function openKnown(file: KnownFile): Promise<FileHandle> {
  const opened = await open(file.path, "r").catch(() => undefined);
  const stat = await opened?.stat();
  if (opened && stat?.isFile() && stat.size === file.sizeBytes && stat.mtimeMs === file.modifiedMs)
    return opened;
  await opened?.close();
  const message = "This file is being replaced on the server at this moment. Try again in a minute.";
  throw new AppError("unavailable", "request.file_changed", message);
}
