/**
 * An agent whose line is cut again and again is at another replica each time, while the one before still stores what it
 * sent: the way to the database is long, and the line is often cut right after something was sent. Each event is taken
 * in once, whoever does it.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { createChance, pause, report, sized, testTimeout } from "../chaos/faults.ts";
import { ChaosHost } from "../chaos/host.ts";
import { LinkProxy } from "../chaos/link-proxy.ts";
import { expectTruth } from "../chaos/truth.ts";
import { ReplicaLab } from "../lab/replicas.ts";

const moves = sized(20, 300);
/** A transaction has some ways to go; the agent is at the other replica within two. */
const wayMs = 20;

let replicas: ReplicaLab;
let proxy: LinkProxy;
let host: ChaosHost;

beforeAll(async () => {
  replicas = await ReplicaLab.create();
  const { lab } = replicas;
  for (const name of ["a", "b"]) {
    const { wire, database } = await replicas.addWire();
    await replicas.add({ name, database });
    wire.delayMs = wayMs;
  }
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
  timeout: 2 * testTimeout,
}, async () => {
  const chance = createChance("moves");
  const seen = new Set<string | undefined>();
  const first = proxy.welcomes;
  let jobs = 0;
  proxy.onMessage = ({ text, direction, type }) => ({
    send: [text],
    cut: direction === "to_server" && type !== "hello" && chance() < 0.3,
  });
  while (proxy.welcomes - first < moves) {
    if ((await host.openJobs()) === 0) {
      await host.startBackup();
      jobs++;
    }
    await pause(100);
    seen.add((await replicas.placeOf(host.id))?.name);
  }
  proxy.onMessage = ({ text }) => ({ send: [text] });
  expect([...seen]).toEqual(expect.arrayContaining(["a", "b"]));
  await expectTruth(replicas.lab, [host]);
  report(`${proxy.welcomes - first} moves between replicas during ${jobs} jobs`);
  await host.stopInTest();
});
