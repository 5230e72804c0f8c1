/** From the settings to a database that answers and has this build's schema. */
import { mkdir } from "node:fs/promises";
import { type Migration, sql } from "kysely";
import type { Logger } from "pino";
import type { Clock } from "../clock.ts";
import { AppError } from "../errors.ts";
import type { Engine } from "./db.ts";
import { asDatabaseAway } from "./failures.ts";
import { migrate } from "./migrate.ts";
import { type OpenDatabase, openDatabase } from "./open.ts";
import { migrationLimits, openPostgres } from "./postgres.ts";

/** How long a start waits for a PostgreSQL that is not there yet: both may have been started at once. */
const waitForDatabaseMs = 60_000;
const waitPauseMs = 1_000;
/** What waiting does not mend: no such user or database, or a wrong password. */
const refusals = /^(28...|3D000|42501)$/;

export interface PrepareInput {
  dataDir: string;
  databaseUrl: string | undefined;
  databasePool: number;
  migrations: (engine: Engine) => Record<string, Migration>;
  log: Logger;
  clock: Clock;
}

/** @throws AppError with a sentence for the operator when the server must not start */
export async function prepareDatabase(input: PrepareInput): Promise<OpenDatabase> {
  const { dataDir, databaseUrl, log } = input;
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  if (databaseUrl) {
    await migratePostgres({ ...input, databaseUrl });
    return openDatabase(dataDir, databaseUrl, input.databasePool);
  }
  const database = openDatabase(dataDir, undefined);
  report(log, await migrate({ ...database, migrations: input.migrations(database.engine) }));
  return database;
}

/** On connections of its own, whose statements may take as long as a large table needs. */
async function migratePostgres(input: PrepareInput & { databaseUrl: string }): Promise<void> {
  const db = openPostgres(input.databaseUrl, { limits: migrationLimits });
  try {
    await waitForDatabase(() => sql`SELECT 1`.execute(db), input);
    report(input.log, await migrate({ db, engine: "postgres", migrations: input.migrations("postgres") }));
  } finally {
    await db.destroy();
  }
}

/**
 * Asks until the database answers.
 * @throws AppError `database.refused` at once when it answers that it won't, `database.away` after a minute
 */
export async function waitForDatabase(
  ask: () => Promise<unknown>,
  { log, clock }: Pick<PrepareInput, "log" | "clock">,
): Promise<void> {
  const until = clock.now() + waitForDatabaseMs;
  for (;;) {
    const error = await ask().then(
      () => null,
      (thrown: unknown) => thrown,
    );
    if (error === null) return;
    const away = asDatabaseAway(error);
    if (!away) throw error;
    const why = causeOf(away.cause);
    if (refusals.test(why.code)) {
      const message = `PostgreSQL refuses the server: ${why.text}. Correct RM_DATABASE_URL, or what the database lets in.`;
      throw new AppError("internal", "database.refused", message, { cause: away });
    }
    if (clock.now() >= until) {
      const message = `PostgreSQL does not answer: ${why.text}. See that it runs and that RM_DATABASE_URL is where it is.`;
      throw new AppError("unavailable", "database.away", message, { cause: away });
    }
    log.warn({ reason: why.text }, "waiting for PostgreSQL");
    await clock.sleep(waitPauseMs);
  }
}

/** `localhost` may be two addresses, each with a failure of its own. */
function causeOf(cause: unknown): { code: string; text: string } {
  const first: unknown = cause instanceof AggregateError ? cause.errors[0] : cause;
  const { code = "", message = "" } = (first ?? {}) as { code?: unknown; message?: unknown };
  return { code: String(code), text: String(message || code) };
}

function report(log: Logger, { applied, backup }: { applied: string[]; backup: string | null }): void {
  if (applied.length > 0) log.info({ applied, backup }, "database brought to this version's schema");
}
