/**
 * The key that signs releases (Ed25519): from the file that RM_SIGNING_KEY_FILE names, or one of this checkout, made once.
 * Agents believe what the key has signed that was baked into them, so who loses it can update no agent any more.
 */
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { VerifySignature } from "../../packages/protocol/src/release.ts";
import { writeFirst } from "./first-file.ts";

export interface SigningKey {
  readonly file: string;
  /** True for a key that was made here because none was named: nobody else's agents know it. */
  readonly isOfCheckout: boolean;
  /** SPKI in PEM. */
  readonly publicKey: string;
  /** Base64 of the raw signature. */
  sign(data: Uint8Array): string;
}

/** @throws Error with a sentence when the file that is named is missing or holds no Ed25519 key */
export function openSigningKey(root: string, environment: NodeJS.ProcessEnv): SigningKey {
  const named = environment.RM_SIGNING_KEY_FILE;
  const file = named ?? join(root, ".cache/package/signing.key");
  if (named === undefined && !existsSync(file)) makeKey(file);
  const key = readKey(file);
  return {
    file,
    isOfCheckout: named === undefined,
    publicKey: createPublicKey(key).export({ type: "spki", format: "pem" }).toString(),
    sign: (data) => sign(null, data, key).toString("base64"),
  };
}

/** Node's answer to whether a signature is good. */
export const verifyEd25519: VerifySignature = (publicKey, data, signature) =>
  verify(null, data, createPublicKey(publicKey), signature);

function readKey(file: string): KeyObject {
  try {
    const key = createPrivateKey(readFileSync(file));
    if (key.asymmetricKeyType === "ed25519") return key;
  } catch (cause) {
    throw new Error(`The signing key ${file} can't be read: it has to be a PKCS#8 key in PEM.`, { cause });
  }
  throw new Error(`The signing key ${file} is no Ed25519 key. Make one: openssl genpkey -algorithm ed25519.`);
}

function makeKey(file: string): void {
  const { privateKey } = generateKeyPairSync("ed25519");
  writeFirst(file, privateKey.export({ type: "pkcs8", format: "pem" }));
}
