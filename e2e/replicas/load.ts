/** Backups on many hosts at once, asked for again and again while something is broken, and what must be true of them. */
import { expect } from "vitest";
import { pause, report } from "../chaos/faults.ts";
import { ChaosHost } from "../chaos/host.ts";
import { expectTruth } from "../chaos/truth.ts";
import { Refused } from "../lab/api.ts";
import type { Lab } from "../lab/lab.ts";
import type { ReplicaLab } from "../lab/replicas.ts";

/** Between two looks at a host's jobs. */
const lookEveryMs = 300;

/** Nobody answered, or somebody said that it does not work now: many hosts at once may also be too many questions. */
const isAway = (error: unknown): boolean =>
  error instanceof Refused ? error.status >= 500 || error.status === 429 : error instanceof TypeError;

/** Asks again while nobody can answer. @throws whatever else goes wrong, and the last failure after `limitMs` */
export async function patiently<T>(ask: () => Promise<T>, limitMs = 60_000): Promise<T> {
  const deadline = Date.now() + limitMs;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!isAway(error) || Date.now() > deadline) throw error;
    }
    await pause(lookEveryMs);
  }
}

/** Hosts whose agents are programs and dial the balancer, with their first job done. */
export async function addHosts(
  { lab }: ReplicaLab,
  count: number,
  wishes: { name: string; spoken: number; restSeconds: number },
): Promise<ChaosHost[]> {
  const numbers = Array.from({ length: count }, (_, index) => index + 1);
  const hosts = await Promise.all(
    numbers.map((number) => ChaosHost.enrolled(lab, { ...wishes, name: `${wishes.name}-${number}` })),
  );
  for (const host of hosts) host.startProgram();
  for (const host of hosts) await host.untilInitialised();
  return hosts;
}

/** On every host one backup after the other, until it is stopped. */
export class Load {
  private readonly lab: Lab;
  private readonly hosts: readonly ChaosHost[];
  private readonly asked: string[] = [];
  private readonly loops: Promise<void>[];
  private stopping = false;

  constructor({ lab }: ReplicaLab, hosts: readonly ChaosHost[]) {
    this.lab = lab;
    this.hosts = hosts;
    this.loops = hosts.map((host) => this.drive(host));
  }

  private async drive(host: ChaosHost): Promise<void> {
    while (!this.stopping) {
      // A job whose answer got lost may be there or not; only what was promised is counted on.
      if ((await patiently(() => host.openJobs())) < 2)
        this.asked.push(await patiently(() => host.startBackup()));
      await pause(lookEveryMs);
    }
  }

  /** Waits until everything has come to rest: every promised job succeeded, and nothing was lost or doubled. */
  async expectNothingLost(what: string): Promise<void> {
    this.stopping = true;
    await Promise.all(this.loops);
    const jobs = await expectTruth(this.lab, [...this.hosts]);
    for (const jobId of this.asked)
      expect(await this.lab.api.get(`/api/jobs/${jobId}`)).toMatchObject({ id: jobId, status: "succeeded" });
    report(`${what}: ${this.asked.length} backups asked for, ${jobs} jobs checked`);
  }
}
