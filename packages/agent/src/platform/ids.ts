/** ULIDs (https://github.com/ulid/spec): 48 bits of time, 80 bits of randomness, sortable as text. */
import type { Random } from "./random.ts";

const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const TIME_CHARS = 10;
const RANDOM_CHARS = 16;

/** A new id for the instant `nowMs` (epoch milliseconds). */
export function createId(nowMs: number, random: Random): string {
  return base32(BigInt(nowMs), TIME_CHARS) + base32(BigInt(`0x${random.hex(10)}`), RANDOM_CHARS);
}

function base32(value: bigint, length: number): string {
  let text = "";
  for (let rest = value; text.length < length; rest >>= 5n) text = ALPHABET.charAt(Number(rest & 31n)) + text;
  return text;
}
