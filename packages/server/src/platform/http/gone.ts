/** Whether somebody still waits for an answer. */
import type { FastifyReply } from "fastify";

/** Aborts when the connection ends before the answer is out: a page that was left, a client that gave up. */
export function abortWhenGone(reply: FastifyReply): AbortSignal {
  const gone = new AbortController();
  reply.raw.once("close", () => {
    if (!reply.raw.writableFinished) gone.abort();
  });
  return gone.signal;
}
