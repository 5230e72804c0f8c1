/**
 * The key of a machine that announced itself: its fingerprint, and whether a proof was signed with it. Exactly one
 * encoding of a key is taken, so that a key has one fingerprint.
 */
import { createHash, createPublicKey, type KeyObject, verify } from "node:crypto";
import { announceProof } from "@restic-manager/protocol";
import { AppError } from "../../platform/errors.ts";

/** SubjectPublicKeyInfo of an Ed25519 key is these bytes and the 32 of the key (RFC 8410). */
const prefix = Buffer.from("302a300506032b6570032100", "hex");
const keyBytes = 32;

/**
 * `SHA256:` and the SHA-256 of the key's SubjectPublicKeyInfo, base64 without padding.
 * @param publicKey SubjectPublicKeyInfo, base64
 * @throws AppError `pending.key_invalid`
 */
export function fingerprintOf(publicKey: string): string {
  const digest = createHash("sha256").update(decode(publicKey)).digest("base64");
  return `SHA256:${digest.replaceAll("=", "")}`;
}

/** Whether the holder of the key signed this proof. */
export function isProof(
  publicKey: string,
  proof: { nonce: string; serverName: string; pendingId: string; signature: string },
): boolean {
  const signature = Buffer.from(proof.signature, "base64");
  return verify(null, Buffer.from(announceProof(proof)), keyOf(publicKey), signature);
}

const keyOf = (publicKey: string): KeyObject =>
  createPublicKey({ key: decode(publicKey), format: "der", type: "spki" });

function decode(publicKey: string): Buffer {
  const bytes = Buffer.from(publicKey, "base64");
  const isKey = bytes.length === prefix.length + keyBytes && bytes.subarray(0, prefix.length).equals(prefix);
  if (isKey && bytes.toString("base64") === publicKey) return bytes;
  const message = "The announced key is not an Ed25519 key in SubjectPublicKeyInfo, base64.";
  throw new AppError("invalid", "pending.key_invalid", message);
}
