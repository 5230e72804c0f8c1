/**
 * One of two replicas is killed in the middle of everything, again and again. Agents are programs of their own and come
 * back through the balancer; the killed one is started again only once they are all at the other.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "../../tools/demo/children.ts";
import { pause, sized, testTimeout } from "../chaos/faults.ts";
import type { ChaosHost } from "../chaos/host.ts";
import { type Replica, ReplicaLab } from "../lab/replicas.ts";
import { addHosts, Load } from "./load.ts";

const rounds = sized(2, 20);
/** An agent whose connection breaks dials again within seconds. */
const backWithinMs = 30_000;

let replicas: ReplicaLab;
let a: Replica;
let b: Replica;
let hosts: ChaosHost[];

beforeAll(async () => {
  replicas = await ReplicaLab.create();
  a = await replicas.add({ name: "a" });
  b = await replicas.add({ name: "b" });
  hosts = await addHosts(replicas, sized(4, 10), { name: "orphaned", spoken: 60, restSeconds: 0.1 });
}, testTimeout);
afterAll(() => replicas?.close());

test("a replica is killed under load: its agents are at the other, and no job or line is lost or doubled", {
  timeout: testTimeout,
}, async () => {
  const load = new Load(replicas, hosts);
  let [victim, survivor] = [a, b];
  for (let round = 0; round < rounds; round++) {
    await pause(2_000);
    await victim.kill();
    for (const { id } of hosts) await replicas.untilAt(survivor, id, backWithinMs);
    for (const { id } of hosts)
      expect(await survivor.api.get(`/api/hosts/${id}`)).toMatchObject({ online: true });
    await pause(1_000);
    await victim.start();
    [victim, survivor] = [survivor, victim];
  }
  await load.expectNothingLost(`${rounds} replicas killed`);
});

test("all replicas are killed at once: what their rows still say is nobody's any more", {
  timeout: testTimeout,
}, async () => {
  const load = new Load(replicas, hosts);
  await pause(2_000);
  await Promise.all([a.kill(), b.kill()]);
  await Promise.all([a.start(), b.start()]);
  for (const { id } of hosts)
    await until("the agent at a replica that lives", backWithinMs, () => replicas.placeOf(id));
  await load.expectNothingLost("all replicas killed");
});

test("a cancel that was accepted is kept, though its replica is killed right after it", {
  timeout: testTimeout,
}, async () => {
  const [host] = hosts;
  if (host === undefined) throw new Error("there is no host");
  await host.hold();
  const jobId = await host.startBackup();
  await host.untilHeld();
  const place = (await replicas.placeOf(host.id)) ?? a;
  const other = place === a ? b : a;
  // Asked where the agent is not: what the other has to tell may never leave it.
  expect(await other.api.post(`/api/jobs/${jobId}/cancel`)).toMatchObject({ outcome: "requested" });
  await other.kill();
  expect(await host.finished(jobId)).toMatchObject({ status: "cancelled" });
  await host.release();
  await other.start();
});
