/** Column types that differ between the engines, spelled once. */
import { type RawBuilder, sql } from "kysely";
import type { Engine } from "../src/platform/db/db.ts";

/** Raw bytes. */
export const bytes = (engine: Engine): RawBuilder<unknown> =>
  engine === "postgres" ? sql`bytea` : sql`blob`;
