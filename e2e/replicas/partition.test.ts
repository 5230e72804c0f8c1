/**
 * A replica loses its database and nothing else: it runs on in a network namespace of its own, its agents' connections
 * stay, and every packet to the database gets lost. The other replica is whole.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "../../tools/demo/children.ts";
import { pause, report, sized, testTimeout } from "../chaos/faults.ts";
import type { ChaosHost } from "../chaos/host.ts";
import { Namespace } from "../lab/namespace.ts";
import { type Replica, ReplicaLab } from "../lab/replicas.ts";
import { addHosts, Load } from "./load.ts";

/** Issue 8 promises it. */
const movedWithinMs = 60_000;
const healedWithinMs = 60_000;

let replicas: ReplicaLab;
let namespace: Namespace;
let cut: Replica;
let whole: Replica;
let hosts: ChaosHost[];

beforeAll(async () => {
  namespace = await Namespace.create();
  replicas = await ReplicaLab.create([namespace.database.outside]);
  replicas.lab.cleanups.push(() => namespace.remove());
  const { postgres } = replicas;
  const database = `${namespace.database.outside}:${new URL(postgres.url).port}`;
  whole = await replicas.add({ name: "whole", host: namespace.clients.outside });
  cut = await replicas.add({
    name: "cut",
    host: namespace.clients.inside,
    namespace: namespace.name,
    database,
  });
  hosts = await addHosts(replicas, sized(4, 10), { name: "parted", spoken: 60, restSeconds: 0.1 });
}, testTimeout);
afterAll(() => replicas?.close());

const places = () => Promise.all(hosts.map(async ({ id }) => (await replicas.placeOf(id))?.name));

test("a replica is cut off from its database: its agents move within a minute, nothing is lost, and it heals", {
  timeout: 3 * testTimeout,
}, async () => {
  expect(new Set(await places())).toEqual(new Set(["cut", "whole"]));
  const load = new Load(replicas, hosts);
  await pause(2_000);
  await namespace.pullDatabase();
  const pulledAt = performance.now();
  for (const { id } of hosts) await replicas.untilAt(whole, id, movedWithinMs);
  const movedMs = performance.now() - pulledAt;
  expect(movedMs).toBeLessThan(movedWithinMs);
  for (const { id } of hosts) expect(await whole.api.get(`/api/hosts/${id}`)).toMatchObject({ online: true });
  expect((await fetch(`${cut.url}/healthz`)).ok, "the replica lives").toBe(true);
  expect(await cut.isReady()).toBe(false);
  await pause(3_000);
  await namespace.plugDatabase();
  await until("the replica is ready again", healedWithinMs, () => cut.isReady());
  report(`cut off from PostgreSQL: all agents moved after ${(movedMs / 1000).toFixed(1)} s`);
  await load.expectNothingLost("cut off and healed");
});

test("after that it does everything again, for agents that are at the other one too", {
  timeout: testTimeout,
}, async () => {
  for (const host of hosts) {
    const { job_id } = await cut.api.post<{ job_id: string }>(`/api/hosts/${host.id}/jobs`, {
      kind: "backup",
    });
    expect(await host.finished(job_id)).toMatchObject({ status: "succeeded" });
  }
});
