/**
 * The database that two replicas share goes away while backups run, by a fast shutdown and by a crash, and comes back
 * seconds later. The servers are not touched: they have to find it again by themselves.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "../../tools/demo/children.ts";
import { pause, sized, testTimeout } from "../chaos/faults.ts";
import type { ChaosHost } from "../chaos/host.ts";
import { Refused } from "../lab/api.ts";
import { ReplicaLab } from "../lab/replicas.ts";
import { addHosts, Load } from "./load.ts";

/** From the database's return to servers that are ready. */
const readyWithinMs = 20_000;

let replicas: ReplicaLab;
let hosts: ChaosHost[];

beforeAll(async () => {
  replicas = await ReplicaLab.create();
  await replicas.add({ name: "a" });
  await replicas.add({ name: "b" });
  hosts = await addHosts(replicas, sized(3, 8), { name: "restarted", spoken: 60, restSeconds: 0.1 });
}, testTimeout);
afterAll(() => replicas?.close());

test.each([
  ["fast", 3],
  ["immediate", 3],
  // Long enough for the replicas to send their agents away, who find nobody better.
  ["fast", 20],
] as const)(
  "PostgreSQL is restarted under load (%s, away for %i s)",
  {
    timeout: 2 * testTimeout,
  },
  async (how, awaySeconds) => {
    const load = new Load(replicas, hosts);
    await pause(2_000);
    await replicas.postgres.shutDown(how);
    await pause((awaySeconds * 1_000) / 2);
    for (const { api } of replicas.replicas) {
      const refusal = await api.get("/api/hosts").catch((error: unknown) => error);
      expect(refusal).toBeInstanceOf(Refused);
      expect(refusal).toMatchObject({ status: 503, code: "database.away" });
    }
    await pause((awaySeconds * 1_000) / 2);
    await replicas.postgres.startAgain();
    for (const replica of replicas.replicas)
      await until(`replica ${replica.name} is ready again`, readyWithinMs, () => replica.isReady());
    await pause(2_000);
    await load.expectNothingLost(`PostgreSQL restarted (${how}, away for ${awaySeconds} s)`);
  },
);
