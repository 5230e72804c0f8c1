/** Counts what a piece of code asks of the database. */
import type { KyselyPlugin, QueryId } from "kysely";
import type { Db } from "../../server/src/platform/db/db.ts";

/** The same database; every query that is run through it is noted by its kind, such as `SelectQueryNode`. */
export function countQueries(db: Db): { db: Db; kinds: string[] } {
  const kinds: string[] = [];
  // A query inside another is transformed on its own, but only the outer one is run and has a result.
  const known = new WeakMap<QueryId, string>();
  const plugin: KyselyPlugin = {
    transformQuery({ node, queryId }) {
      known.set(queryId, node.kind);
      return node;
    },
    async transformResult({ result, queryId }) {
      kinds.push(known.get(queryId) ?? "unknown");
      return result;
    },
  };
  return { db: db.withPlugin(plugin), kinds };
}
