/** The only place that draws random numbers: ids, tokens and passwords. */
import { createHash, randomBytes, randomInt } from "node:crypto";

const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/** A new ULID (https://github.com/ulid/spec): 48 bits of time, 80 bits of randomness, sortable by time. */
export function newId(nowMs: number): string {
  let time = "";
  for (let rest = nowMs, i = 0; i < 10; i++, rest = Math.floor(rest / 32)) time = crockford[rest % 32] + time;
  let random = "";
  for (const byte of randomBytes(16)) random += crockford[byte % 32];
  return time + random;
}

/** A bearer or one-time token: 256 random bits in base64url. */
export const newToken = (): string => randomBytes(32).toString("base64url");

/** A whole number of 32 bits, to draw a sample by. */
export const newSeed = (): number => randomInt(2 ** 32);

/** Tokens are stored as this and nothing else: SHA-256 in hex. Enough for 256 random bits; no salt is needed. */
export const hashToken = (token: string): string => createHash("sha256").update(token).digest("hex");

/** A password that a person may have to type once: 24 characters without look-alikes, about 139 bits. */
export function newPassword(): string {
  const alphabet = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
  let password = "";
  while (password.length < 24) {
    // Bytes beyond the largest multiple of the alphabet are drawn again, so that every letter is equally likely.
    for (const byte of randomBytes(32)) {
      if (byte < 256 - (256 % alphabet.length) && password.length < 24)
        password += alphabet[byte % alphabet.length];
    }
  }
  return password;
}
