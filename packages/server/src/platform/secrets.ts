/**
 * Sealing of secrets at rest: a stolen database without its key file is useless.
 * AES-256-GCM (NIST SP 800-38D) with a random 96-bit nonce; row and slot are additional data, so a sealed
 * value that is copied to another row or slot does not open.
 */
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { link, open, readFile, rm } from "node:fs/promises";
import { AppError } from "./errors.ts";
import { newToken } from "./random.ts";

/** Where a sealed value lives: the row's id and what it is there. */
export interface SealedPlace {
  row: string;
  slot: string;
}

export interface SecretBox {
  /** Text → `v1.<nonce>.<ciphertext and tag>`, base64url. */
  seal(plaintext: string, place: SealedPlace): string;
  /** @throws AppError `secrets.unreadable` when the key, the row or the slot differs, or a bit changed */
  open(sealed: string, place: SealedPlace): string;
}

const keyBytes = 32;
const tagBytes = 16;
const additionalData = (place: SealedPlace) => Buffer.from(JSON.stringify([place.row, place.slot]));

export function createSecretBox(key: Buffer): SecretBox {
  return {
    seal(plaintext, place) {
      const nonce = randomBytes(12);
      const cipher = createCipheriv("aes-256-gcm", key, nonce, { authTagLength: tagBytes }).setAAD(
        additionalData(place),
      );
      const sealed = Buffer.concat([cipher.update(plaintext, "utf8"), cipher.final(), cipher.getAuthTag()]);
      return `v1.${nonce.toString("base64url")}.${sealed.toString("base64url")}`;
    },
    open(sealed, place) {
      try {
        const [version, nonce, body] = sealed.split(".");
        if (version !== "v1" || !nonce || !body) throw new Error("unknown format");
        const bytes = Buffer.from(body, "base64url");
        const decipher = createDecipheriv("aes-256-gcm", key, Buffer.from(nonce, "base64url"), {
          authTagLength: tagBytes,
        });
        decipher.setAAD(additionalData(place)).setAuthTag(bytes.subarray(-tagBytes));
        return Buffer.concat([decipher.update(bytes.subarray(0, -tagBytes)), decipher.final()]).toString(
          "utf8",
        );
      } catch (cause) {
        const message = "A stored secret can't be read with this key file. Put the right key file back.";
        throw new AppError("internal", "secrets.unreadable", message, { cause });
      }
    },
  };
}

/**
 * Reads the key file, or makes it (0600) when the database holds no secrets yet.
 * @param keyFile path of 32 random bytes in base64
 * @param mayCreate whether nothing was ever sealed; otherwise a missing key must stop the start
 * @throws AppError `secrets.key_missing` or `secrets.key_invalid`, in a sentence that says what to do
 */
export async function loadKey(keyFile: string, mayCreate: boolean): Promise<Buffer> {
  const text = await readFile(keyFile, "utf8").catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === "ENOENT") return null;
    throw new AppError(
      "internal",
      "secrets.key_invalid",
      `The key file ${keyFile} can't be read: ${cause.code}.`,
      { cause },
    );
  });
  if (text !== null) {
    const key = Buffer.from(text.trim(), "base64");
    if (key.length === keyBytes) return key;
    const message = `The key file ${keyFile} is damaged: it must hold 32 bytes in base64. Restore it from your backup.`;
    throw new AppError("internal", "secrets.key_invalid", message);
  }
  if (!mayCreate) {
    const message = `The key file ${keyFile} is missing, but the database holds secrets sealed with it. Restore the file, or set RM_SECRET_KEY_FILE to where it is.`;
    throw new AppError("internal", "secrets.key_missing", message);
  }
  return createKey(keyFile);
}

/** Written beside its place and then put there whole: of several replicas that start at once, one's key is everybody's. */
async function createKey(keyFile: string): Promise<Buffer> {
  const written = `${keyFile}.${newToken()}`;
  try {
    const file = await open(written, "wx", 0o600);
    try {
      await file.writeFile(`${randomBytes(keyBytes).toString("base64")}\n`);
      await file.chmod(0o600);
      await file.sync();
    } finally {
      await file.close();
    }
    await link(written, keyFile).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw error;
    });
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const message = `The key file ${keyFile} can't be made: ${code}. Give the server's user a folder that it may write to.`;
    throw new AppError("internal", "secrets.key_invalid", message, { cause });
  } finally {
    await rm(written, { force: true });
  }
  return loadKey(keyFile, false);
}
