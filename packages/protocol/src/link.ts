/** Messages that keep the link itself alive and honest. */
import { z } from "zod";
import { code, count, instant, text } from "./primitives.ts";

/**
 * Agent → server, beside the ping of every `heartbeat_interval_ms`, in version 1 of the protocol only: a server of that
 * version does not count pings. Volatile.
 */
export const heartbeat = z.object({ type: z.literal("heartbeat"), sent_at: instant });

/** Server → agent: every event of the stream up to and including `seq` is committed; the agent forgets them. */
export const eventAck = z.object({ type: z.literal("event.ack"), seq: count });

/**
 * Either direction: a frame could not be used. `seq` names the event that was refused for good, if it was one:
 * the agent sets it aside instead of resending it for ever.
 * Codes: `protocol.not_json`, `protocol.unknown_type`, `protocol.invalid_message`, and those of the
 * slices whose events are refused, such as `jobs.unknown`.
 */
export const errorMessage = z.object({
  type: z.literal("error"),
  code,
  message: text(2000),
  of_type: text(64).nullish(),
  seq: count.nullish(),
});

/** Server → agent: the server stops or the host was removed; `retry` false means that dialling again is useless. */
export const goodbye = z.object({
  type: z.literal("goodbye"),
  code,
  message: text(2000),
  retry: z.boolean(),
});
