/**
 * A new, empty restic repository whose key is cheap to derive. restic makes its own so that opening costs most of a
 * second, on purpose; tests that open repositories hundreds of times would measure nothing else. The format is
 * https://restic.readthedocs.io/en/stable/100_references.html; real restic reads and writes the result.
 */
import { createCipheriv, createHash, randomBytes, scryptSync } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** One key of restic: AES-256 for the bytes, Poly1305-AES for their authentication. */
interface Key {
  encrypt: Buffer;
  macK: Buffer;
  macR: Buffer;
}

/** The least that is still a valid cost of scrypt. */
const scryptCost = { N: 2, r: 8, p: 1 };
/** Any irreducible polynomial will do: it only says where files are cut. This one is from restic's documentation. */
const chunkerPolynomial = "25b468838dcb75";

/** Writes the repository into `folder`, which is made. `password` opens it. */
export async function createQuickRepository(folder: string, password: string): Promise<void> {
  for (const name of ["data", "index", "keys", "locks", "snapshots"])
    await mkdir(join(folder, name), { recursive: true, mode: 0o700 });
  const key: Key = { encrypt: randomBytes(32), macK: randomBytes(16), macR: clamp(randomBytes(16)) };
  const keyFile = Buffer.from(JSON.stringify(sealKey(key, password)));
  const name = createHash("sha256").update(keyFile).digest("hex");
  await writeFile(join(folder, "keys", name), keyFile);
  const config = { version: 2, id: randomBytes(32).toString("hex"), chunker_polynomial: chunkerPolynomial };
  await writeFile(join(folder, "config"), seal(key, Buffer.from(JSON.stringify(config))));
}

/** The content of a file in `keys/`: the repository's key under one that the password gives. */
function sealKey(key: Key, password: string): object {
  const salt = randomBytes(64);
  const derived = scryptSync(password, salt, 64, scryptCost);
  const user = {
    encrypt: derived.subarray(0, 32),
    macK: derived.subarray(32, 48),
    macR: clamp(derived.subarray(48, 64)),
  };
  const inner = {
    mac: { k: key.macK.toString("base64"), r: key.macR.toString("base64") },
    encrypt: key.encrypt.toString("base64"),
  };
  return {
    ...{ created: new Date().toISOString(), username: "test", hostname: "test", kdf: "scrypt" },
    ...scryptCost,
    salt: salt.toString("base64"),
    data: seal(user, Buffer.from(JSON.stringify(inner))).toString("base64"),
  };
}

/** IV ‖ ciphertext ‖ MAC. */
function seal(key: Key, plain: Buffer): Buffer {
  const iv = randomBytes(16);
  const cipher = createCipheriv("aes-256-ctr", key.encrypt, iv);
  const sealed = Buffer.concat([cipher.update(plain), cipher.final()]);
  return Buffer.concat([iv, sealed, poly1305Aes(key, iv, sealed)]);
}

/** https://cr.yp.to/mac.html; Node has Poly1305 only inside ChaCha20. Slow, and of no use outside of tests. */
function poly1305Aes(key: Key, nonce: Buffer, message: Buffer): Buffer {
  const cipher = createCipheriv("aes-128-ecb", key.macK, null);
  const mask = littleEndian(cipher.setAutoPadding(false).update(nonce));
  const prime = (1n << 130n) - 5n;
  const r = littleEndian(key.macR);
  let sum = 0n;
  for (let at = 0; at < message.length; at += 16) {
    const block = Buffer.concat([message.subarray(at, at + 16), Buffer.from([1])]);
    sum = ((sum + littleEndian(block)) * r) % prime;
  }
  const tag = (sum + mask) % (1n << 128n);
  return Buffer.from(tag.toString(16).padStart(32, "0"), "hex").reverse();
}

const littleEndian = (bytes: Buffer): bigint =>
  BigInt(`0x${Buffer.from(bytes).reverse().toString("hex") || "0"}`);

/** Poly1305's r has some bits that are always zero. */
function clamp(r: Buffer): Buffer {
  const clamped = Buffer.from(r);
  for (const at of [3, 7, 11, 15]) clamped[at] = (clamped[at] ?? 0) & 15;
  for (const at of [4, 8, 12]) clamped[at] = (clamped[at] ?? 0) & 252;
  return clamped;
}
