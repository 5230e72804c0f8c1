/** The agent's only source of randomness: jitter for the dialler, suffixes for temporary files. */
import { randomBytes } from "node:crypto";

export type Random = {
  /** Uniform in [0, 1). */
  fraction(): number;
  /** `bytes` random bytes as lower-case hex. */
  hex(bytes: number): string;
};

/** Randomness from the operating system. */
export function systemRandom(): Random {
  return {
    fraction: () => randomBytes(6).readUIntBE(0, 6) / 2 ** 48,
    hex: (bytes) => randomBytes(bytes).toString("hex"),
  };
}
