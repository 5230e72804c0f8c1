/**
 * Passwords to argon2id hashes and back, in the PHC string format, so that every hash says how it was made and the
 * parameters can rise later. Knows nothing of users.
 */
import { argon2, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";
import { AppError } from "../../platform/errors.ts";
import { newToken } from "../../platform/random.ts";

/** Cost of one hash. */
export interface Argon2Cost {
  memoryKib: number;
  passes: number;
  parallelism: number;
}

export interface PasswordHasher {
  /** A PHC string, such as `$argon2id$v=19$m=19456,t=2,p=1$salt$hash`. */
  hash(password: string): Promise<string>;
  /** False for a stored text that is no hash of ours; takes as long as `hash` with the stored cost. */
  verify(password: string, stored: string): Promise<boolean>;
  /** Whether the stored hash was made at another cost than new ones are. */
  isOutdated(stored: string): boolean;
  /** A well-formed hash at the present cost that no password opens, for names that do not exist. */
  readonly decoy: string;
}

/** The least that OWASP's Password Storage Cheat Sheet asks of argon2id; about 35 ms on one present core. */
export const recommendedCost: Argon2Cost = { memoryKib: 19_456, passes: 2, parallelism: 1 };

const hashBytes = 32;
/** 19 MiB each: two at a time keep a flood of sign-ins below 40 MiB and leave threads for file work. */
const maxRunning = 2;
/** Beyond this a sign-in would wait for more than a second or two: better to say so. */
const maxWaiting = 64;

const derive = promisify(argon2);

/** @throws AppError `auth.busy` from `hash` and `verify` when too many wait */
export function createPasswordHasher(cost: Argon2Cost = recommendedCost): PasswordHasher {
  const limit = createLimit(maxRunning, maxWaiting);
  const run = (password: string, salt: Buffer, at: Argon2Cost): Promise<Buffer> =>
    limit(() =>
      derive("argon2id", {
        // The same characters typed on another keyboard may arrive composed differently (NIST SP 800-63B, 5.1.1.2).
        message: password.normalize("NFKC"),
        nonce: salt,
        parallelism: at.parallelism,
        tagLength: hashBytes,
        memory: at.memoryKib,
        passes: at.passes,
      }),
    );
  return {
    async hash(password) {
      const salt = newSalt();
      return format(cost, salt, await run(password, salt, cost));
    },
    async verify(password, stored) {
      const known = parse(stored);
      if (!known) return false;
      return timingSafeEqual(await run(password, known.salt, known.cost), known.hash);
    },
    isOutdated(stored) {
      const known = parse(stored)?.cost;
      return (
        known?.memoryKib !== cost.memoryKib ||
        known.passes !== cost.passes ||
        known.parallelism !== cost.parallelism
      );
    },
    decoy: decoyAt(cost),
  };
}

const newSalt = (): Buffer => Buffer.from(newToken(), "base64url").subarray(0, 16);
const decoyAt = (cost: Argon2Cost): string => format(cost, newSalt(), Buffer.from(newToken(), "base64url"));
const unpadded = (bytes: Buffer): string => bytes.toString("base64").replace(/=+$/, "");

function format(cost: Argon2Cost, salt: Buffer, hash: Buffer): string {
  const parameters = `m=${cost.memoryKib},t=${cost.passes},p=${cost.parallelism}`;
  return `$argon2id$v=19$${parameters}$${unpadded(salt)}$${unpadded(hash)}`;
}

const phc =
  /^\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,3}),p=(\d{1,2})\$([A-Za-z0-9+/]{22})\$([A-Za-z0-9+/]{43})$/;

function parse(stored: string): { cost: Argon2Cost; salt: Buffer; hash: Buffer } | null {
  const [, memory, passes, parallelism, salt, hash] = phc.exec(stored) ?? [];
  if (salt === undefined || hash === undefined) return null;
  return {
    cost: { memoryKib: Number(memory), passes: Number(passes), parallelism: Number(parallelism) },
    salt: Buffer.from(salt, "base64"),
    hash: Buffer.from(hash, "base64"),
  };
}

/** Runs at most `running` at a time, in order; refuses when `waiting` already wait. */
function createLimit(running: number, waiting: number): <T>(work: () => Promise<T>) => Promise<T> {
  const queue: (() => void)[] = [];
  let free = running;
  return async (work) => {
    if (free === 0) {
      if (queue.length >= waiting) {
        throw new AppError(
          "unavailable",
          "auth.busy",
          "Too many people sign in at once. Try again in a moment.",
        );
      }
      // Whoever ends hands its place over, so `free` stays as it is.
      await new Promise<void>((resolve) => queue.push(resolve));
    } else free--;
    try {
      return await work();
    } finally {
      const next = queue.shift();
      if (next) next();
      else free++;
    }
  };
}
