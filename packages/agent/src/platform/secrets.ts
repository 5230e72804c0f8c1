/**
 * The agent's secrets on disk: one file of sealed slots. Invariants: every value is sealed with the slot's name
 * as additional data, so that values cannot be swapped; the file is replaced in one step and is 0600; a file
 * that cannot be read is an error and is never overwritten (it may hold the only copy of a password).
 */
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { z } from "zod";
import { AgentError } from "./errors.ts";
import { readTextIfExists, writeFileAtomic } from "./files.ts";

/** AES-256-GCM with the nonce and tag lengths that NIST SP 800-38D recommends. */
const CIPHER = "aes-256-gcm";
export const SECRETS_KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

const FORMAT_VERSION = 1;
const envelope = z.object({ version: z.int() });
const fileSchema = z.strictObject({
  version: z.literal(FORMAT_VERSION),
  slots: z.record(z.string(), z.base64()),
});

export class Secrets {
  readonly #path: string;
  readonly #key: Buffer;
  readonly #values: Map<string, string>;

  private constructor(path: string, key: Buffer, values: Map<string, string>) {
    this.#path = path;
    this.#key = key;
    this.#values = values;
  }

  /**
   * Opens the file, or starts with nothing when there is none.
   * @throws AgentError `secrets.unreadable` when it is damaged, newer than this agent, or sealed with another key.
   */
  static async open(path: string, key: Buffer): Promise<Secrets> {
    const text = await readTextIfExists(path);
    const values = text === undefined ? new Map<string, string>() : openAll(path, key, text);
    return new Secrets(path, key, values);
  }

  /** The value in a slot, or undefined when nothing was ever put there. */
  find(slot: string): string | undefined {
    return this.#values.get(slot);
  }

  /** Puts a value into a slot and on the disk. When writing fails, the old value stays in both. */
  async put(slot: string, value: string): Promise<void> {
    const next = new Map(this.#values).set(slot, value);
    const slots = Object.fromEntries(
      [...next].map(([name, plain]) => [name, seal(this.#key, name, plain)] as const),
    );
    await writeFileAtomic(this.#path, JSON.stringify({ version: FORMAT_VERSION, slots }));
    this.#values.set(slot, value);
  }
}

/** A new key for a secrets file, base64. */
export function createSecretsKey(): string {
  return randomBytes(SECRETS_KEY_BYTES).toString("base64");
}

function openAll(path: string, key: Buffer, text: string): Map<string, string> {
  const file = parseFile(path, text);
  const values = new Map<string, string>();
  for (const [slot, sealed] of Object.entries(file.slots)) {
    try {
      values.set(slot, unseal(key, slot, sealed));
    } catch (cause) {
      throw unreadable(
        path,
        "it was sealed with another key, or damaged; restore the agent.yaml that belongs to it",
        cause,
      );
    }
  }
  return values;
}

function parseFile(path: string, text: string): z.infer<typeof fileSchema> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw unreadable(path, "it is damaged", cause);
  }
  const head = envelope.safeParse(value);
  if (head.success && head.data.version > FORMAT_VERSION) {
    throw unreadable(path, "it was written by a newer agent; install that one again");
  }
  const parsed = fileSchema.safeParse(value);
  if (!parsed.success) throw unreadable(path, "it is damaged");
  return parsed.data;
}

function unreadable(path: string, why: string, cause?: unknown): AgentError {
  const message = `The secrets file ${path} can't be read: ${why}. Nothing was changed; to start anew, move it away and enrol this host again.`;
  return new AgentError("secrets.unreadable", message, { cause });
}

function additionalData(slot: string): Buffer {
  return Buffer.from(`restic-manager/agent-secrets/v${FORMAT_VERSION}/${slot}`);
}

function seal(key: Buffer, slot: string, plain: string): string {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(additionalData(slot));
  const sealed = Buffer.concat([cipher.update(plain, "utf8"), cipher.final()]);
  return Buffer.concat([nonce, cipher.getAuthTag(), sealed]).toString("base64");
}

function unseal(key: Buffer, slot: string, sealed: string): string {
  const bytes = Buffer.from(sealed, "base64");
  const nonce = bytes.subarray(0, NONCE_BYTES);
  const tag = bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES);
  const decipher = createDecipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(additionalData(slot));
  decipher.setAuthTag(tag);
  const plain = [decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES)), decipher.final()];
  return Buffer.concat(plain).toString("utf8");
}
