/**
 * A host for fault tests: a repository that is quick to open, and in restic's place a shell program that runs the
 * real one but keeps a ledger of its own. The ledger is what the product's word is compared with: which jobs restic
 * was started for, and with which exit code it ended. The agent is a program (that can be killed) or part of the
 * test (that dials again at once).
 */
import { access, mkdir, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { loadConfig } from "../../packages/agent/src/config.ts";
import { systemClock } from "../../packages/agent/src/platform/clock.ts";
import { createLog } from "../../packages/agent/src/platform/log.ts";
import { systemRandom } from "../../packages/agent/src/platform/random.ts";
import { type RunningAgent, startAgent } from "../../packages/agent/src/start.ts";
import { createQuickRepository } from "../../packages/testkit/src/quick-repository.ts";
import { startChild, until } from "../../tools/demo/children.ts";
import { LabHost, writeScript } from "../lab/host.ts";
import { agentProgram, type Lab, plainEnvironment } from "../lab/lab.ts";

/** One run of restic, as restic's stand-in noted it. `code` is null while it runs, or when it was killed. */
export interface LedgerEntry {
  jobId: string;
  code: number | null;
}

export interface ChaosWishes {
  name: string;
  /** Where the agent dials; the server itself when left out. */
  dials?: string;
  /** Lines that restic's stand-in says before its work, and the seconds it rests after each fifth. */
  spoken?: number;
  restSeconds?: number;
}

export class ChaosHost extends LabHost {
  readonly spoken: number;
  /** Everything that an agent inside the test logged. */
  readonly agentLines: string[] = [];
  private readonly where: Lab;
  private readonly dials: string;
  private inTest: RunningAgent | null = null;

  private constructor(lab: Lab, wishes: ChaosWishes) {
    const folder = join(lab.folder, `around-${wishes.name}`);
    super(lab, { name: wishes.name, paths: [join(folder, "source")], resticPath: join(folder, "restic") });
    this.where = lab;
    this.spoken = wishes.spoken ?? 10;
    this.dials = wishes.dials ?? lab.url;
  }

  /** Enrols the host; its agent is not started yet. `prepare` runs before anything is written to its folder. */
  static async enrolled(
    lab: Lab,
    wishes: ChaosWishes,
    prepare?: (host: ChaosHost) => Promise<void>,
  ): Promise<ChaosHost> {
    const host = new ChaosHost(lab, wishes);
    await mkdir(join(host.around, "source"), { recursive: true });
    await writeFile(join(host.around, "source", "file"), `of ${host.name}`);
    await createQuickRepository(host.repository, host.password);
    await host.writeStandIn(wishes.restSeconds ?? 0.05);
    await mkdir(host.dataFolder, { recursive: true, mode: 0o700 });
    await prepare?.(host);
    await host.enrol();
    const config = await readFile(host.configFile, "utf8");
    await writeFile(host.configFile, config.replace(lab.url, host.dials));
    return host;
  }

  /** What belongs to the host but not to its agent: source, stand-in, ledger. */
  get around(): string {
    return join(this.where.folder, `around-${this.name}`);
  }

  private async writeStandIn(restSeconds: number): Promise<void> {
    const real = this.where.resticPath;
    const [ledger, hold] = [join(this.around, "ledger"), join(this.around, "hold")];
    await writeFile(ledger, "");
    const speak = `n=0
  while [ $n -lt ${this.spoken} ]; do
    n=$((n+1)); echo "said $n of ${this.spoken}." >&2
    [ $((n % 5)) = 0 ] && sleep ${restSeconds}
    while [ -e '${hold}' ]; do : > '${hold}-reached'; sleep 0.02; done
  done`;
    await writeScript(
      join(this.around, "restic"),
      `if [ "$1" = backup ]; then
  job=$(printf '%s\\n' "$@" | sed -n 's|.*/jobs/\\([0-9A-Z]*\\)/.*|\\1|p' | head -n 1)
  echo "start $job" >> '${ledger}'
  ${speak}
  '${real}' "$@"; code=$?
  echo "end $job $code" >> '${ledger}'
  exit $code
fi
exec '${real}' "$@"`,
    );
  }

  /** Lets the next backup stop after its first line until `release`. */
  async hold(): Promise<void> {
    // A restic that looked just before a release may have made its mark once more after it.
    await rm(join(this.around, "hold-reached"), { force: true });
    await writeFile(join(this.around, "hold"), "");
  }

  async release(): Promise<void> {
    await rm(join(this.around, "hold"), { force: true });
    await rm(join(this.around, "hold-reached"), { force: true });
  }

  async untilHeld(): Promise<void> {
    const mark = join(this.around, "hold-reached");
    await until("restic is held", 30_000, () =>
      access(mark).then(
        () => true,
        () => false,
      ),
    );
  }

  /** Waits until restic is held and the server was told that it runs, which comes later. */
  async untilHeldAndTold(jobId: string): Promise<void> {
    await this.untilHeld();
    await until("the job runs", 30_000, async () => (await this.job(jobId)).status === "running");
  }

  async readLedger(): Promise<LedgerEntry[]> {
    const entries: LedgerEntry[] = [];
    for (const line of (await readFile(join(this.around, "ledger"), "utf8")).split("\n")) {
      const [word, jobId = "", code] = line.split(" ");
      if (word === "start") entries.push({ jobId, code: null });
      const begun = entries.findLast((entry) => entry.jobId === jobId);
      if (word === "end" && begun) begun.code = Number(code);
    }
    return entries;
  }

  /** Starts the agent as a program, without waiting for its connection: it may be killed before it has one. */
  startProgram(): void {
    const args = [agentProgram, "run", "--config", this.configFile];
    const options = { env: plainEnvironment(), logFile: this.agentLog };
    this.agent = this.where.keep(startChild(process.execPath, args, options));
  }

  /** Starts the agent inside the test; it dials again within a fraction of a second whatever happens. */
  async startInTest(): Promise<void> {
    const { config } = await loadConfig(this.configFile);
    const write = (line: string): void => void this.agentLines.push(line);
    this.inTest = await startAgent(config, {
      clock: systemClock(),
      random: { ...systemRandom(), fraction: () => 0.002 },
      machine: { hostname: this.name, os: "linux", arch: "x64", machineId: null, bootId: null },
      createLog: (redact) => createLog({ level: "info", redact, destination: { write } }),
      runnerCommand: { file: process.execPath, args: [agentProgram, "runner"] },
      executablePath: agentProgram,
      env: plainEnvironment(),
      platform: process.platform,
    });
  }

  async stopInTest(): Promise<void> {
    await this.inTest?.stop();
    this.inTest = null;
  }

  /** Waits for the job that the first connection makes. */
  async untilInitialised(): Promise<void> {
    const init = await this.initJob();
    if (init.status !== "succeeded") throw new Error(`init ${init.status}: ${init.error?.message}`);
  }

  /** The ids of the snapshots that the server shows. */
  async listedSnapshots(): Promise<string[]> {
    const path = `/api/hosts/${this.id}/snapshots?limit=1000`;
    const { snapshots } = await this.where.api.get<{ snapshots: { id: string }[] }>(path);
    return snapshots.map(({ id }) => id);
  }

  /** How many of its jobs are not over. */
  async openJobs(): Promise<number> {
    const { jobs } = await this.where.api.get<{ jobs: { status: string }[] }>(`/api/hosts/${this.id}/jobs`);
    return jobs.filter(({ status }) => ["queued", "dispatched", "running"].includes(status)).length;
  }

  /** restic can't open a cache on a full disk; with its cache elsewhere it notices nothing. */
  async moveCacheAway(): Promise<void> {
    const [cache, elsewhere] = [join(this.dataFolder, "cache"), join(this.around, "cache")];
    await rm(cache, { recursive: true, force: true });
    await mkdir(elsewhere, { recursive: true });
    await symlink(elsewhere, cache);
  }

  /** The agent knows that the server has the ends of all its jobs. */
  async remembersNothing(): Promise<boolean> {
    return (await readdir(join(this.dataFolder, "jobs"))).length === 0;
  }
}
