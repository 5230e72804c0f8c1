/**
 * Fetches one file of a release from the server into a file, and goes on where it stopped when the line breaks. The
 * server is not believed: whoever asked for the file checks its digest. Invariants: nothing is written beyond the bound,
 * and nothing when the disk has no room for all of it; the way and the certificate are those of the link; no redirect
 * is followed.
 */
import { open as openFile } from "node:fs/promises";
import { type Agent as HttpAgent, request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { type Clock, slept } from "../platform/clock.ts";
import { reasonOf } from "../platform/errors.ts";
import { fileSizeBytes, hasErrorCode, removeTree } from "../platform/files.ts";
import { explainError } from "./explain.ts";
import type { Network } from "./network.ts";

export type DownloadDeps = {
  clock: Clock;
  /** The server's address, as for the link. */
  server: string;
  network: Network;
};

export type Download = {
  /** Its name below `/install/`. */
  name: string;
  /** What the whole file must have; lets the server see that it still is the same file. */
  sha256: string;
  /** Where it goes. What is there already is taken for its beginning. */
  path: string;
  maxBytes: number;
  signal: AbortSignal;
  /** Asked once the size is known: why there is no room for `missingBytes` more of `totalBytes`, or undefined. */
  findNoRoom: (missingBytes: number, totalBytes: number) => Promise<string | undefined>;
  onProgress: (doneBytes: number, totalBytes: number) => void;
  /** A line for the job's log. */
  onTrouble: (sentence: string) => Promise<void>;
};

export type DownloadEnd =
  | { kind: "done"; sizeBytes: number }
  | { kind: "aborted" }
  | { kind: "no_room"; message: string }
  | { kind: "not_found" }
  | { kind: "failed"; reason: string };

/** Silence of this length is a broken line. */
const STALL_MS = 60_000;
/** Tries without a single byte more, each after a longer wait: some two minutes in all. */
const MAX_EMPTY_TRIES = 8;
const FIRST_WAIT_MS = 1_000;
const MAX_WAIT_MS = 30_000;

type Try =
  | { kind: "whole"; sizeBytes: number }
  | { kind: "broken"; reason: string }
  | Exclude<DownloadEnd, { kind: "done" }>;

/** Never rejects: why there is no file is an outcome. */
export async function download(deps: DownloadDeps, file: Download): Promise<DownloadEnd> {
  for (let emptyTries = 0; ; ) {
    const before = await fileSizeBytes(file.path);
    const tried = await fetchOnce(deps, file, before);
    if (file.signal.aborted) return { kind: "aborted" };
    if (tried.kind === "whole") return { kind: "done", sizeBytes: tried.sizeBytes };
    if (tried.kind !== "broken") return tried;
    emptyTries = (await fileSizeBytes(file.path)) > before ? 0 : emptyTries + 1;
    if (emptyTries >= MAX_EMPTY_TRIES) return { kind: "failed", reason: tried.reason };
    if (emptyTries <= 1)
      await file.onTrouble(`The download broke off (${tried.reason}); it goes on in a moment.`);
    const waitMs = Math.min(MAX_WAIT_MS, FIRST_WAIT_MS * 2 ** emptyTries);
    if (!(await slept(deps.clock, waitMs, file.signal))) return { kind: "aborted" };
  }
}

async function fetchOnce(deps: DownloadDeps, file: Download, have: number): Promise<Try> {
  try {
    const response = await ask(deps, file, have);
    try {
      return await take(file, response, have);
    } finally {
      response.destroy();
    }
  } catch (error) {
    if (hasErrorCode(error, "ENOSPC") || hasErrorCode(error, "EDQUOT"))
      return { kind: "no_room", message: "The disk became full." };
    return { kind: "broken", reason: reasonOf(error) };
  }
}

async function take(file: Download, response: IncomingMessage, have: number): Promise<Try> {
  const { statusCode } = response;
  if (statusCode === 404) return { kind: "not_found" };
  // What we have is not the beginning of what is there.
  if (statusCode === 416) await removeTree(file.path);
  if (statusCode !== 200 && statusCode !== 206) return { kind: "broken", reason: `HTTP ${statusCode}` };
  const from = statusCode === 206 ? have : 0;
  if (statusCode === 206 && !startsAt(response, have))
    return { kind: "failed", reason: "it is another part of the file" };
  const length = Number(response.headers["content-length"]);
  if (!Number.isSafeInteger(length))
    return { kind: "failed", reason: "the server does not say how large the file is" };
  const total = from + length;
  if (total > file.maxBytes)
    return { kind: "failed", reason: `${total} bytes are more than such a file can have (${file.maxBytes})` };
  const message = await file.findNoRoom(length, total);
  if (message !== undefined) return { kind: "no_room", message };
  await write(file, response, from, total);
  const size = await fileSizeBytes(file.path);
  return size === total
    ? { kind: "whole", sizeBytes: size }
    : { kind: "broken", reason: "the line was closed" };
}

function startsAt(response: IncomingMessage, offset: number): boolean {
  return (response.headers["content-range"] ?? "").startsWith(`bytes ${offset}-`);
}

/** Chunk by chunk, so that what came before the line broke is on the disk. */
async function write(file: Download, response: IncomingMessage, from: number, total: number): Promise<void> {
  const target = await openFile(file.path, from === 0 ? "w" : "a", 0o600);
  try {
    let done = from;
    for await (const chunk of response as AsyncIterable<Buffer>) {
      done += chunk.length;
      // A server that sends more than it said would fill the disk.
      if (done > total) throw new Error("the server sends more than it said");
      await target.writeFile(chunk);
      file.onProgress(done, total);
    }
  } finally {
    await target.close();
  }
}

async function ask(
  { server, network }: DownloadDeps,
  file: Download,
  have: number,
): Promise<IncomingMessage> {
  const url = releaseUrl(server, file.name);
  try {
    return await open(url, await network.agentFor(url), { have, sha256: file.sha256, signal: file.signal });
  } catch (error) {
    throw explainError(error, { target: url, proxy: network.proxyFor(url) });
  }
}

/** The address of a file of the release below the server's address. */
export function releaseUrl(server: string, name: string): URL {
  const url = new URL(server);
  url.pathname = `${url.pathname.replace(/\/+$/, "")}/install/${encodeURIComponent(name)}`;
  return url;
}

function open(
  url: URL,
  agent: HttpAgent,
  { have, sha256, signal }: { have: number; sha256: string; signal: AbortSignal },
): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const send = url.protocol === "https:" ? httpsRequest : httpRequest;
  const part = have === 0 ? {} : { range: `bytes=${have}-`, "if-range": `"${sha256}"` };
  const request = send(url, {
    headers: { "accept-encoding": "identity", ...part },
    agent,
    signal,
  });
  request.setTimeout(STALL_MS, () => request.destroy(new Error(`no byte in ${STALL_MS / 1000} seconds`)));
  request.once("response", resolve);
  // Also after the response began: the stream that is read then fails with it.
  request.on("error", reject);
  request.end();
  return promise;
}
