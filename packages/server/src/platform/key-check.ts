/**
 * Ties a database to its key file: the first start stores a sealed constant, every later start opens it, so that
 * a wrong or missing key stops the start instead of the first backup.
 */
import type { Db } from "./db/db.ts";
import { AppError } from "./errors.ts";
import { createSecretBox, loadKey, type SecretBox } from "./secrets.ts";

type Tables = { server_facts: { name: string; value: string } };

const place = { row: "server_facts", slot: "key_check" };
const constant = "restic-manager";

/**
 * @param keyFile where the key is, or is to be made for a database that never sealed anything
 * @throws AppError `secrets.key_missing`, `secrets.key_invalid` or `secrets.key_wrong`, a sentence that says what to do
 */
export async function openSecretBox(db: Db, keyFile: string): Promise<SecretBox> {
  const facts = db.withTables<Tables>();
  const known = await facts
    .selectFrom("server_facts")
    .select("value")
    .where("name", "=", place.slot)
    .executeTakeFirst();
  const box = createSecretBox(await loadKey(keyFile, known === undefined));
  if (known === undefined) {
    await facts
      .insertInto("server_facts")
      .values({ name: place.slot, value: box.seal(constant, place) })
      .execute();
    return box;
  }
  try {
    box.open(known.value, place);
    return box;
  } catch (cause) {
    const message = `The key file ${keyFile} is not the one that this database was sealed with. Put the right one back; nothing was changed.`;
    throw new AppError("internal", "secrets.key_wrong", message, { cause });
  }
}
