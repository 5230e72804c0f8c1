/** Counts what a piece of code asks of the database. */
import type { KyselyPlugin } from "kysely";
import type { Db } from "../../server/src/platform/db/db.ts";

/** The same database; every query that goes through it is counted by its kind, such as `SelectQueryNode`. */
export function countQueries(db: Db): { db: Db; kinds: string[] } {
  const kinds: string[] = [];
  const plugin: KyselyPlugin = {
    transformQuery({ node }) {
      kinds.push(node.kind);
      return node;
    },
    transformResult: async ({ result }) => result,
  };
  return { db: db.withPlugin(plugin), kinds };
}
