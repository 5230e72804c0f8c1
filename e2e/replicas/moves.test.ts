/**
 * An agent whose line is cut again and again is at another replica each time, while the one before may still store what
 * it sent or believe that it is there. Each event is taken in once, whoever does it.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { createChance, pause, report, sized, testTimeout, untilSoon } from "../chaos/faults.ts";
import { ChaosHost } from "../chaos/host.ts";
import { LinkProxy } from "../chaos/link-proxy.ts";
import { expectTruth } from "../chaos/truth.ts";
import { ReplicaLab } from "../lab/replicas.ts";

const moves = sized(30, 600);

let replicas: ReplicaLab;
let proxy: LinkProxy;
let host: ChaosHost;

beforeAll(async () => {
  replicas = await ReplicaLab.create();
  const { lab } = replicas;
  for (const name of ["a", "b"]) await replicas.add({ name });
  proxy = await LinkProxy.start(lab.url);
  host = await ChaosHost.enrolled(lab, { name: "moving", dials: proxy.url, spoken: 60, restSeconds: 0.2 });
  lab.cleanups.push(
    () => host.stopInTest(),
    () => proxy.stop(),
  );
  await host.startInTest();
  await host.untilInitialised();
}, testTimeout);
afterAll(() => replicas?.close());

test("an agent moves between replicas under load: no job or line is lost or doubled", {
  timeout: testTimeout,
}, async () => {
  const chance = createChance("moves");
  const seen = new Set<string | undefined>();
  const first = proxy.welcomes;
  let jobs = 0;
  while (proxy.welcomes - first < moves) {
    if ((await host.openJobs()) === 0) {
      await host.startBackup();
      jobs++;
    }
    const before = proxy.welcomes;
    await pause(chance() * 150);
    proxy.cutAll();
    await untilSoon("the next welcome", 10_000, () => proxy.welcomes > before);
    seen.add((await replicas.placeOf(host.id))?.name);
  }
  expect(seen).toEqual(new Set(["a", "b"]));
  await expectTruth(replicas.lab, [host]);
  report(`${proxy.welcomes - first} moves between replicas during ${jobs} jobs`);
  await host.stopInTest();
});
