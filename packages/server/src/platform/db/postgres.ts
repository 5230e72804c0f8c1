/** PostgreSQL behind the same stores. Big integers arrive as numbers: ours are milliseconds, sizes and counts below 2^53. */
import { Kysely, PostgresDialect } from "kysely";
import pg from "pg";
import type { Db } from "./db.ts";

const int8Oid = 20;

/** @param url `postgres://…`; it may hold a password, so it is never logged */
export function openPostgres(url: string, schema?: string): Db {
  const pool = new pg.Pool({
    connectionString: url,
    max: 10,
    // A search path of its own lets tests share one cluster.
    ...(schema ? { options: `-c search_path=${schema}` } : {}),
    types: {
      getTypeParser: (oid: number, format?: "text" | "binary") =>
        oid === int8Oid ? Number : pg.types.getTypeParser(oid, format as "text"),
    },
  });
  // Without a listener a lost idle connection would end the program; the pool replaces it by itself.
  pool.on("error", () => undefined);
  // The same for a connection in use: its query fails by itself, or the next one of its transaction.
  pool.on("connect", (client) => client.on("error", () => undefined));
  return new Kysely({ dialect: new PostgresDialect({ pool }) });
}
