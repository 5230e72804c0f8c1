/**
 * Every message by direction, and the one way from bytes to a message. Append-only: prefer a new type to a
 * changed one; golden frames in fixtures/v1 parse for ever.
 */
import { z } from "zod";
import { configUpdate } from "./config.ts";
import { dumpCancel, dumpChunk, dumpCredit, dumpEnd, dumpStart } from "./dump.ts";
import { fsEntries, fsList } from "./files.ts";
import { hello, reject, welcome } from "./handshake.ts";
import {
  commandAck,
  commandCancel,
  commandRun,
  jobFinished,
  jobProgress,
  jobStarted,
  logStream,
} from "./jobs.ts";
import { errorMessage, eventAck, goodbye, heartbeat } from "./link.ts";
import { repoStats } from "./repository.ts";
import { repositoryTest, repositoryTested } from "./repository-test.ts";
import { scheduleAck, scheduleFire, scheduleFired, scheduleRan, scheduleSet } from "./schedules.ts";
import { snapshotsAdded, snapshotsReport } from "./snapshots.ts";
import {
  treeCancel,
  treeList,
  treeMatches,
  treePage,
  treeSearch,
  treeVersionList,
  treeVersions,
} from "./tree.ts";

/** The largest frame in bytes; `ws` closes a connection with 1009 beyond it. */
export const maxFrameBytes = 1024 * 1024;

/** Agent → server and kept in the outbox until acknowledged. Each carries `seq`. */
export const durableEvent = z.discriminatedUnion("type", [
  jobStarted,
  logStream,
  snapshotsReport,
  snapshotsAdded,
  scheduleRan,
  repoStats,
  jobFinished,
]);

/** Agent → server. */
export const agentMessage = z.discriminatedUnion("type", [
  hello,
  heartbeat,
  commandAck,
  jobProgress,
  scheduleAck,
  scheduleFire,
  fsEntries,
  repositoryTested,
  dumpChunk,
  dumpEnd,
  treePage,
  treeMatches,
  treeVersionList,
  ...durableEvent.options,
  errorMessage,
]);

/** Server → agent. */
export const serverMessage = z.discriminatedUnion("type", [
  welcome,
  reject,
  configUpdate,
  commandRun,
  commandCancel,
  scheduleSet,
  scheduleFired,
  fsList,
  repositoryTest,
  dumpStart,
  dumpCredit,
  dumpCancel,
  treeList,
  treeSearch,
  treeVersions,
  treeCancel,
  eventAck,
  goodbye,
  errorMessage,
]);

/** Either direction; made once, because making it costs more than using it. */
const anyMessage = z.union([agentMessage, serverMessage]);

export type AgentMessage = z.infer<typeof agentMessage>;
export type ServerMessage = z.infer<typeof serverMessage>;
export type DurableEvent = z.infer<typeof durableEvent>;

export type ParsedFrame<M> =
  | { ok: true; message: M }
  | {
      ok: false;
      code: "protocol.not_json" | "protocol.unknown_type" | "protocol.invalid_message";
      /** Says which field is wrong; never repeats a value, which could be a secret. */
      message: string;
      type?: string;
      seq?: number;
    };

/** The part that every message shares: enough to answer a frame that can't be used. */
const envelope = z.object({ type: z.string().max(64), seq: z.int().min(0).nullish() });

/** Bytes → a message of that union, or which field is wrong. Never throws. */
export function parseFrame<M>(union: z.ZodDiscriminatedUnion & z.ZodType<M>, frame: string): ParsedFrame<M> {
  let value: unknown;
  try {
    value = JSON.parse(frame);
  } catch {
    return { ok: false, code: "protocol.not_json", message: "The frame is not JSON." };
  }
  const parsed = union.safeParse(value);
  if (parsed.success) return { ok: true, message: parsed.data };
  const head = envelope.safeParse(value);
  if (!head.success) {
    return { ok: false, code: "protocol.invalid_message", message: "The frame has no usable type." };
  }
  const known = {
    type: head.data.type,
    ...(typeof head.data.seq === "number" ? { seq: head.data.seq } : {}),
  };
  const issue = parsed.error.issues[0];
  if (issue?.code === "invalid_union" && issue.path.join(".") === "type") {
    return {
      ok: false,
      code: "protocol.unknown_type",
      message: "This message type is unknown here.",
      ...known,
    };
  }
  const where = issue ? issue.path.join(".") : "";
  return {
    ok: false,
    code: "protocol.invalid_message",
    message: `The field "${where}" is not valid.`,
    ...known,
  };
}

/** Parses what an agent sent. Never throws, whatever the bytes. */
export const parseAgentFrame = (frame: string): ParsedFrame<AgentMessage> => parseFrame(agentMessage, frame);

/** Parses what a server sent. Never throws, whatever the bytes. */
export const parseServerFrame = (frame: string): ParsedFrame<ServerMessage> =>
  parseFrame(serverMessage, frame);

/**
 * Validates what we are about to send and turns it into a frame.
 * @throws ZodError for a message that breaks its own schema, RangeError for one beyond `maxFrameBytes`:
 * both are mistakes in our code.
 */
export function encodeMessage(message: AgentMessage | ServerMessage): string {
  const valid = anyMessage.parse(message);
  const frame = JSON.stringify(valid);
  if (Buffer.byteLength(frame) > maxFrameBytes)
    throw new RangeError(`${message.type} is larger than a frame may be`);
  return frame;
}
