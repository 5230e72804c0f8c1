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
  const known = await findSealed(db);
  const box = createSecretBox(await loadKey(keyFile, known === undefined));
  // Of two replicas that start on an empty database one stores it first; the other has to have the same key.
  const sealed = known ?? (await storeSealed(db, box));
  try {
    box.open(sealed, place);
    return box;
  } catch (cause) {
    const message = `The key file ${keyFile} is not the one that this database was sealed with. Put the right one back; nothing was changed.`;
    throw new AppError("internal", "secrets.key_wrong", message, { cause });
  }
}

async function findSealed(db: Db): Promise<string | undefined> {
  const query = db.withTables<Tables>().selectFrom("server_facts").select("value");
  return (await query.where("name", "=", place.slot).executeTakeFirst())?.value;
}

/** @returns what is stored then: ours, or that of whoever was first */
async function storeSealed(db: Db, box: SecretBox): Promise<string> {
  await db
    .withTables<Tables>()
    .insertInto("server_facts")
    .values({ name: place.slot, value: box.seal(constant, place) })
    .onConflict((conflict) => conflict.column("name").doNothing())
    .execute();
  return (await findSealed(db)) ?? "";
}
