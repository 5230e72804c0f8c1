/**
 * Brings a database to this build's schema, or refuses one that is newer. A SQLite file is copied beside itself
 * before its first pending migration, so that an operator can always go back one version.
 */
import { type Migration, Migrator, sql } from "kysely";
import { AppError } from "../errors.ts";
import type { Db, Engine } from "./db.ts";

export interface MigrateInput {
  db: Db;
  engine: Engine;
  migrations: Record<string, Migration>;
  /** Path of the SQLite file to copy first; none for memory and PostgreSQL, whose operator has backups of their own. */
  file?: string;
}

export interface MigrateResult {
  applied: string[];
  /** The copy that was made before, if one was. */
  backup: string | null;
}

/** @throws AppError `database.newer`, `database.read_only` or `database.migration_failed`, each a sentence that says what to do */
export async function migrate(input: MigrateInput): Promise<MigrateResult> {
  const schema = await currentSchema(input);
  const names = await appliedNames(input.db, schema);
  const unknown = names.find((name) => !(name in input.migrations));
  if (unknown) {
    const message = `The database was written by a newer restic-manager (it has ${unknown}). Start that version, or restore the copy made before the upgrade.`;
    throw new AppError("internal", "database.newer", message);
  }
  const pending = Object.keys(input.migrations).filter((name) => !names.includes(name));
  if (pending.length === 0) {
    await checkWritable(input.db);
    return { applied: [], backup: null };
  }
  const last = names.at(-1);
  const backup = input.file && last ? `${input.file}.before-${pending[0]}` : null;
  if (backup)
    await sql`VACUUM INTO ${sql.lit(backup)}`.execute(input.db).catch(refuse(`copied to ${backup}`));
  const migrator = new Migrator({
    db: input.db,
    provider: { getMigrations: async () => input.migrations },
    // Without it Kysely takes the tables of any schema of a shared database for its own.
    ...(schema === undefined ? {} : { migrationTableSchema: schema }),
  });
  // Of two replicas that start at once one waits for the other, and then finds nothing left to do.
  const { error, results = [] } = await migrator.migrateToLatest();
  if (error) refuse("brought to this version's schema")(error);
  return { applied: results.map((result) => result.migrationName), backup };
}

/** The schema that new tables go to; none on SQLite, and none when nothing of the search path exists. */
async function currentSchema({ db, engine }: MigrateInput): Promise<string | undefined> {
  if (engine === "sqlite") return undefined;
  const { rows } = await sql<{ name: string | null }>`SELECT current_schema() AS name`.execute(db);
  return rows[0]?.name ?? undefined;
}

/** Reads Kysely's own table, which a fresh database does not have yet. */
async function appliedNames(db: Db, schema: string | undefined): Promise<string[]> {
  const tables = await db.introspection.getTables({ withInternalKyselyTables: true });
  if (!tables.some((table) => table.name === "kysely_migration" && table.schema === schema)) return [];
  const { rows } = await sql<{ name: string }>`SELECT name FROM kysely_migration ORDER BY name`.execute(db);
  return rows.map((row) => row.name);
}

/** A write that changes nothing: a read-only file or standby must stop the start, not the first backup's result. */
async function checkWritable(db: Db): Promise<void> {
  await sql`UPDATE kysely_migration SET name = name WHERE name = ''`.execute(db).catch(refuse("written"));
}

const refuse =
  (what: string) =>
  (cause: unknown): never => {
    const text = cause instanceof Error ? cause.message : String(cause);
    if (/readonly|read-only/i.test(text)) {
      const message =
        "The database is read-only. Give the server's user write access to the file and its folder.";
      throw new AppError("internal", "database.read_only", message, { cause });
    }
    const message = `The database could not be ${what}: ${text}`;
    throw new AppError("internal", "database.migration_failed", message, { cause });
  };
