/**
 * A replica's machine is suspended while backups run, for longer than it counts as alive, and wakes up in the belief that
 * nothing happened: that it leads, that its agents are its own, that it may store what it has read. None of it may count.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { lostAfterMs } from "../../packages/server/src/platform/replicas/replicas.ts";
import { until } from "../../tools/demo/children.ts";
import { pause } from "../chaos/faults.ts";
import type { ChaosHost } from "../chaos/host.ts";
import { type Replica, ReplicaLab } from "../lab/replicas.ts";
import { addHosts, Load } from "../replicas/load.ts";

/** An agent gives a connection up after two and a half heartbeats of silence, and dials again within seconds. */
const movedWithinMs = 110_000;

let replicas: ReplicaLab;
let frozen: Replica;
let other: Replica;
let hosts: ChaosHost[];

beforeAll(async () => {
  replicas = await ReplicaLab.create();
  // The first one leads.
  frozen = await replicas.add({ name: "frozen" });
  other = await replicas.add({ name: "other" });
  hosts = await addHosts(replicas, 3, { name: "suspended", spoken: 60, restSeconds: 0.1 });
});
afterAll(() => replicas?.close());

const places = () => Promise.all(hosts.map(async ({ id }) => (await replicas.placeOf(id))?.name));

test("a replica that wakes up after it was given up: nothing is lost or doubled", async () => {
  expect(await places()).toContain("frozen");
  const load = new Load(replicas, hosts);
  await pause(2_000);
  frozen.freeze();
  await pause(lostAfterMs + 5_000);
  await until("the other replica is ready", 20_000, () => other.isReady());
  frozen.thaw();
  await until("the replica is ready again", 30_000, () => frozen.isReady());
  await pause(2_000);
  await load.expectNothingLost("frozen for less than its agents' patience");
});

test("a replica that wakes up when its agents are at the other: nothing is lost or doubled", async () => {
  const load = new Load(replicas, hosts);
  await pause(2_000);
  frozen.freeze();
  for (const { id } of hosts) await replicas.untilAt(other, id, movedWithinMs);
  await pause(2_000);
  frozen.thaw();
  await until("the replica is ready again", 30_000, () => frozen.isReady());
  await pause(2_000);
  for (const { id } of hosts)
    expect(await frozen.api.get(`/api/hosts/${id}`)).toMatchObject({ online: true });
  await load.expectNothingLost("frozen until its agents were elsewhere");
});
