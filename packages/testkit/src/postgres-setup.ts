/** Vitest's global setup of the project "stores": one PostgreSQL for all files. */
import { startPostgres } from "./postgres-cluster.ts";

export default async function setup(): Promise<() => Promise<void>> {
  const cluster = await startPostgres();
  process.env.RM_TEST_POSTGRES_URL = cluster.url;
  return () => cluster.stop();
}
