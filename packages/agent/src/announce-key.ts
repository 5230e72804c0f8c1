/**
 * The key with which a machine announces itself. Made once and kept, so that a second run is the same machine to the
 * server and shows the same fingerprint. 0600; one that can't be read is an error and is never replaced.
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
} from "node:crypto";
import { AgentError } from "./platform/errors.ts";
import { readTextIfExists, writeFileAtomic } from "./platform/files.ts";

export type AnnounceKey = {
  /** SubjectPublicKeyInfo, base64. */
  publicKey: string;
  /** `SHA256:` and the SHA-256 of the SubjectPublicKeyInfo, base64 without padding. */
  fingerprint: string;
  /** Ed25519 over the text's UTF-8, base64. */
  sign: (text: string) => string;
};

/** Reads the key, or makes it. Throws AgentError `announce.key_unreadable`. */
export async function openAnnounceKey(path: string): Promise<AnnounceKey> {
  const key = (await readKey(path)) ?? (await makeKey(path));
  const publicKey = createPublicKey(key).export({ format: "der", type: "spki" });
  const digest = createHash("sha256").update(publicKey).digest("base64");
  return {
    publicKey: publicKey.toString("base64"),
    fingerprint: `SHA256:${digest.replaceAll("=", "")}`,
    sign: (text) => sign(null, Buffer.from(text), key).toString("base64"),
  };
}

async function readKey(path: string): Promise<KeyObject | undefined> {
  let cause: unknown;
  try {
    const text = await readTextIfExists(path);
    if (text === undefined) return undefined;
    const key = createPrivateKey(text);
    if (key.asymmetricKeyType === "ed25519") return key;
  } catch (error) {
    cause = error;
  }
  const message = `The key of this machine in ${path} can't be read. Put it back, or remove the file to announce this machine as another one.`;
  throw new AgentError("announce.key_unreadable", message, { cause });
}

async function makeKey(path: string): Promise<KeyObject> {
  const { privateKey } = generateKeyPairSync("ed25519");
  await writeFileAtomic(path, String(privateKey.export({ format: "pem", type: "pkcs8" })));
  return privateKey;
}
