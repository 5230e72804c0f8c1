/**
 * How a machine without a token asks to become a host: `POST /api/agents/announce` names it and its key, then
 * `GET /ws/agent/pending` takes the proof that it has the key, and hands the bearer over once somebody accepted.
 * Nothing but these messages is said on that socket: it belongs to nobody yet. FROZEN as the handshake is.
 */
import { z } from "zod";
import { type ParsedFrame, parseFrame } from "./messages.ts";
import { code, hostName, id, instant, text } from "./primitives.ts";

/** No control characters: these are shown to a person who decides by them. */
const shown = (maxLength: number) =>
  text(maxLength)
    .min(1)
    .regex(/^[^\p{C}]+$/u);

/** An Ed25519 key as SubjectPublicKeyInfo (RFC 8410), base64: 44 bytes. */
const publicKey = z.string().regex(/^[A-Za-z0-9+/]{59}=$/);

export const announceRequest = z.strictObject({
  hostname: hostName,
  os: shown(32),
  arch: shown(32),
  agent_version: shown(64),
  restic_version: shown(64).nullish(),
  public_key: publicKey,
  /** As in `hello`. */
  machine_id: shown(128).nullish(),
  /** What the person at the machine wants to say. */
  note: shown(200).nullish(),
  /** The announcement that is being repeated: what became of it is then told instead of making another. */
  pending_id: id.nullish(),
});
export type AnnounceRequest = z.infer<typeof announceRequest>;

export const announceResponse = z.object({
  pending_id: id,
  /** Good for one proof. */
  nonce: text(128).min(1),
  expires_at: instant,
});
export type AnnounceResponse = z.infer<typeof announceResponse>;

/** The server's name as it is signed: host and, unless it is the scheme's own, port. */
const serverName = z
  .string()
  .max(300)
  .regex(/^[^\s\p{C}/]+$/u);

/** Agent → server, first and once: the signature over `announceProof` by the announced key. */
export const pendingProve = z.object({
  type: z.literal("pending.prove"),
  pending_id: id,
  /** The name that the agent dialled. */
  server_name: serverName,
  /** Ed25519, base64: 64 bytes. */
  signature: z.string().regex(/^[A-Za-z0-9+/]{86}==$/),
});

/** Server → agent: the key is proved; now a person decides. */
export const pendingWaiting = z.object({ type: z.literal("pending.waiting"), expires_at: instant });

/** Server → agent: accepted. Sent again after each new proof until the host has connected with its bearer once. */
export const pendingAccepted = z.object({
  type: z.literal("pending.accepted"),
  host_id: id,
  host_name: hostName,
  /** A fresh one each time; the ones before are void. The server keeps only its SHA-256. */
  bearer: text(256).min(1),
  /** As in the answer to an enrolment. */
  cert_pin: text(128).nullable(),
});

/** Server → agent: no. `retry`: announcing once more may help. */
export const pendingRefused = z.object({
  type: z.literal("pending.refused"),
  code,
  message: text(2000),
  retry: z.boolean(),
});

export const pendingAgentMessage = z.discriminatedUnion("type", [pendingProve]);
export const pendingServerMessage = z.discriminatedUnion("type", [
  pendingWaiting,
  pendingAccepted,
  pendingRefused,
]);
export type PendingAgentMessage = z.infer<typeof pendingAgentMessage>;
export type PendingServerMessage = z.infer<typeof pendingServerMessage>;

/** The longest frame of these; more is no proof. */
export const maxPendingFrameBytes = 8192;

/**
 * The text that a proof signs. It holds the nonce, so that it is good once; the name of the server that the agent
 * dialled, so that whoever stands in between can't pass it on; and the announcement, so that it is good for no other.
 */
export const announceProof = (proof: { nonce: string; serverName: string; pendingId: string }): string =>
  `restic-manager announce v1\n${proof.nonce}\n${proof.serverName}\n${proof.pendingId}`;

/** The server's name in a proof, from the address that was dialled or that the server goes by. */
export const serverNameOf = (address: URL): string => address.host;

/** Parses what an agent sent that waits to be accepted. Never throws, whatever the bytes. */
export const parsePendingAgentFrame = (frame: string): ParsedFrame<PendingAgentMessage> =>
  parseFrame(pendingAgentMessage, frame);

/** Parses what a server sent to such an agent. Never throws, whatever the bytes. */
export const parsePendingServerFrame = (frame: string): ParsedFrame<PendingServerMessage> =>
  parseFrame(pendingServerMessage, frame);

const anyPending = z.union([pendingAgentMessage, pendingServerMessage]);

/** @throws ZodError for a message that breaks its own schema: a mistake in our code */
export const encodePending = (message: PendingAgentMessage | PendingServerMessage): string =>
  JSON.stringify(anyPending.parse(message));
