/**
 * The line between agent and server fails in every way a line can, while real restic works. The agent runs inside
 * the test, so that it dials again at once; the server is the built program.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Lab } from "../lab/lab.ts";
import { createChance, pause, report, sized, testTimeout, untilSoon } from "./faults.ts";
import { ChaosHost } from "./host.ts";
import { LinkProxy, type PassingMessage } from "./link-proxy.ts";
import { expectTruth } from "./truth.ts";

let lab: Lab;

beforeAll(async () => {
  lab = await Lab.create();
  await lab.startServer();
  await lab.signUp();
});
afterAll(() => lab?.close());

/** A host behind a proxy of its own, with its agent inside the test. */
async function addHost(name: string, spoken: number, restSeconds = 0.05) {
  const proxy = await LinkProxy.start(lab.url);
  const host = await ChaosHost.enrolled(lab, { name, dials: proxy.url, spoken, restSeconds });
  lab.cleanups.push(
    () => host.stopInTest(),
    () => proxy.stop(),
  );
  await host.startInTest();
  await host.untilInitialised();
  return { host, proxy };
}

const asItCame = ({ text }: PassingMessage) => ({ send: [text] });

/** A job from an agent that starts anew, so that hello and welcome are among the messages; cut after the k-th. */
async function backUpCutAfter(host: ChaosHost, proxy: LinkProxy, cutAt: number): Promise<number> {
  await host.stopInTest();
  const jobId = await host.startBackup();
  proxy.count = 0;
  proxy.onMessage = ({ text, number }) => ({ send: [text], cut: number === cutAt });
  await host.startInTest();
  await host.finished(jobId);
  // The acknowledgement of the end is a message too.
  await untilSoon("the agent forgets the job", 10_000, () => host.remembersNothing());
  return proxy.count;
}

describe("the line is cut", () => {
  test("after every single message of a backup job", { timeout: testTimeout }, async () => {
    const hosts = await Promise.all(["cut-a", "cut-b", "cut-c"].map((name) => addHost(name, 5)));
    const [first] = hosts;
    if (!first) throw new Error("no host");
    const messages = await backUpCutAfter(first.host, first.proxy, 0);
    expect(messages).toBeGreaterThan(10);
    const boundaries = Array.from({ length: messages + 1 }, (_, index) => index + 1);
    const walk = async ({ host, proxy }: (typeof hosts)[number]): Promise<void> => {
      for (let next = boundaries.shift(); next !== undefined; next = boundaries.shift())
        await backUpCutAfter(host, proxy, next);
    };
    await Promise.all(hosts.map(walk));
    const jobs = await expectTruth(
      lab,
      hosts.map(({ host }) => host),
    );
    report(`cut after each of ${messages + 1} messages: ${jobs} jobs`);
    for (const { host } of hosts) await host.stopInTest();
  });

  test("again and again while jobs run", { timeout: testTimeout }, async () => {
    const wanted = sized(50, 1000);
    const { host, proxy } = await addHost("reconnects", 40, 0.3);
    let jobs = 0;
    const chance = createChance("reconnects");
    const startedAt = performance.now();
    while (proxy.welcomes < wanted) {
      if ((await host.openJobs()) === 0) {
        await host.startBackup();
        jobs++;
      }
      const before = proxy.welcomes;
      await pause(chance() * 60);
      proxy.cutAll();
      await untilSoon("the next welcome", 10_000, () => proxy.welcomes > before);
    }
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
    await expectTruth(lab, [host]);
    report(`${proxy.welcomes} reconnects during ${jobs} jobs in ${seconds} s`);
    await host.stopInTest();
  });
});

describe("messages come", () => {
  test("twice, in both directions", { timeout: testTimeout }, async () => {
    const { host, proxy } = await addHost("doubled", 20);
    proxy.onMessage = ({ text }) => ({ send: [text, text] });
    proxy.cutAll();
    const jobs = sized(2, 10);
    for (let job = 0; job < jobs; job++) await host.backUp();
    proxy.onMessage = asItCame;
    await expectTruth(lab, [host]);
    await host.stopInTest();
  });

  test("late: acknowledgements are held back and then come in the wrong order", {
    timeout: testTimeout,
  }, async () => {
    const { host, proxy } = await addHost("late-acks", 60, 0.1);
    const held: string[] = [];
    proxy.onMessage = ({ text, type }) => {
      if (type !== "event.ack") return { send: [text] };
      held.unshift(text);
      return { send: held.length < 3 ? [] : held.splice(0) };
    };
    const jobIds = await Promise.all(Array.from({ length: sized(2, 10) }, () => host.startBackup()));
    for (const jobId of jobIds) await host.finished(jobId);
    proxy.onMessage = asItCame;
    proxy.cutAll();
    await expectTruth(lab, [host]);
    await host.stopInTest();
  });

  test("in the wrong order: no event gets lost", { timeout: testTimeout }, async () => {
    const { host, proxy } = await addHost("reordered", 60, 0.1);
    const swapped = swapSome(proxy);
    const jobIds = await Promise.all(Array.from({ length: sized(2, 20) }, () => host.startBackup()));
    const wanted = sized(4, 60);
    for (let before = -1; swapped.pairs < wanted; before = swapped.pairs) {
      // What is held back when nothing follows is as good as lost; a cable that is pulled gets things going again.
      if (swapped.pairs === before) proxy.cutAll();
      await pause(250);
    }
    proxy.onMessage = asItCame;
    proxy.cutAll();
    await expectTruth(lab, [host], { limitMs: testTimeout / 2 });
    report(`${swapped.pairs} pairs of messages swapped during ${jobIds.length} jobs`);
    await host.stopInTest();
  });
});

/** Lets some of the agent's messages be overtaken by the next one, except that hello always comes first. */
function swapSome(proxy: LinkProxy): { pairs: number } {
  const chance = createChance("wrong order");
  const swapped = { pairs: 0 };
  let held: string | null = null;
  proxy.onMessage = ({ text, type, direction }) => {
    if (type === "hello") held = null;
    if (type === "hello" || direction === "to_agent") return { send: [text] };
    if (held !== null) {
      const send = [text, held];
      held = null;
      swapped.pairs++;
      return { send };
    }
    if (chance() > 0.3) return { send: [text] };
    held = text;
    return { send: [] };
  };
  return swapped;
}
