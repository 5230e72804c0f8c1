/**
 * Programs that die in the middle: the agent or the server is killed while a backup runs. The restic that stands
 * at the agent's path is the real one, slowed, with numbered lines beside it on stderr; it is held still while
 * the other program is away, so that the moment of the crash does not depend on the speed of the machine.
 */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { until } from "../../tools/demo/children.ts";
import { LabHost, type LineJson, untilFileHolds, writeScript } from "../lab/host.ts";
import { killAtOnce, Lab, writeRandomFiles } from "../lab/lab.ts";
import { isRunning } from "../lab/leftovers.ts";

/** How many numbered lines the slow restic writes, and the one at which the crash comes. */
const spoken = 60;
const crashAt = 10;

let lab: Lab;
let paths: string[];
let slowRestic: string;

beforeAll(async () => {
  lab = await Lab.create();
  paths = [await writeRandomFiles(join(lab.folder, "sources"), 4, 1_500_000)];
  slowRestic = await writeSlowRestic();
  await lab.startServer();
  await lab.signUp();
});

afterAll(() => lab?.close());

/** Speaks while it lives; a backup is slow enough that it can not end before it has said everything. */
function writeSlowRestic(): Promise<string> {
  const speak = `( n=0; while [ $n -lt ${spoken} ]; do n=$((n+1)); echo "said $n of ${spoken}." >&2; sleep 0.05; done ) &`;
  const backup = `${speak}\n  exec '${lab.resticPath}' "$@" --limit-upload 1000`;
  return writeScript(
    join(lab.folder, "slow-restic"),
    `if [ "$1" = backup ]; then\n  ${backup}\nfi\nexec '${lab.resticPath}' "$@"`,
  );
}

const numbersSaid = (lines: LineJson[]): number[] =>
  lines.flatMap((line) => {
    const said = /^said (\d+) of/.exec(line.text)?.[1];
    return said === undefined ? [] : [Number(said)];
  });

const counting = (last: number): number[] => Array.from({ length: last }, (_, index) => index + 1);

/** A backup that is held still at line `crashAt`, with data already on its way. */
async function startHeldBackup(host: LabHost) {
  const jobId = await host.startBackup();
  const run = await host.findRun(jobId);
  await until("progress", 30_000, async () => ((await host.job(jobId)).progress?.bytes_done ?? 0) > 0);
  await untilFileHolds(run.stderrPath, `said ${crashAt} of`);
  process.kill(run.resticPid, "SIGSTOP");
  return { jobId, ...run };
}

/** Lets restic go on and checks that the job tells the truth to the last line. */
async function expectTruthfulEnd(host: LabHost, run: Awaited<ReturnType<typeof startHeldBackup>>) {
  await untilFileHolds(run.stderrPath, `said ${spoken} of`);
  expect(await isRunning(run.resticPid)).toBe(true);
  process.kill(run.resticPid, "SIGCONT");
  const job = await host.finished(run.jobId);
  expect(job).toMatchObject({ status: "succeeded", exit_code: 0, error: null });
  const lines = await host.log(run.jobId);
  expect(lines.map((line) => line.n)).toEqual(counting(job.log_lines ?? 0));
  expect(numbersSaid(lines)).toEqual(counting(spoken));
  const snapshots = JSON.parse(await host.restic("snapshots", "--json")) as { id: string }[];
  expect(snapshots.map((snapshot) => snapshot.id)).toEqual([job.summary?.snapshot_id]);
}

describe("killed in the middle of a backup", () => {
  test("the agent: restic runs on, the next agent adopts it, and the job ends truthfully", async () => {
    const host = await LabHost.add(lab, { name: "agent-dies", paths, resticPath: slowRestic });
    const run = await startHeldBackup(host);
    await host.killAgent();
    expect(await isRunning(run.resticPid)).toBe(true);
    await untilFileHolds(run.stderrPath, `said ${crashAt + 20} of`);
    await host.startAgent();
    await untilFileHolds(host.agentLog, "job taken up again");
    expect((await host.job(run.jobId)).status).toBe("running");
    await expectTruthfulEnd(host, run);
  });

  test("the agent, and restic ends before the next one comes: its end is told all the same", async () => {
    const host = await LabHost.add(lab, { name: "agent-late", paths, resticPath: slowRestic });
    const run = await startHeldBackup(host);
    await host.killAgent();
    await untilFileHolds(run.stderrPath, `said ${spoken} of`);
    process.kill(run.resticPid, "SIGCONT");
    await until("restic's end", 60_000, async () => !(await isRunning(run.resticPid)));
    await host.startAgent();
    const job = await host.finished(run.jobId);
    expect(job).toMatchObject({ status: "succeeded", exit_code: 0 });
    expect(numbersSaid(await host.log(run.jobId))).toEqual(counting(spoken));
  });

  test("the server: the backup runs on, and the next server on the same data has it all", async () => {
    const host = await LabHost.add(lab, { name: "server-dies", paths, resticPath: slowRestic });
    const run = await startHeldBackup(host);
    await killAtOnce(lab.server);
    await untilFileHolds(run.stderrPath, `said ${crashAt + 20} of`);
    await lab.startServer();
    await expectTruthfulEnd(host, run);
  });

  test("both at once, as when one machine loses its power supply but restic's does not", async () => {
    const host = await LabHost.add(lab, { name: "both-die", paths, resticPath: slowRestic });
    const run = await startHeldBackup(host);
    await Promise.all([host.killAgent(), killAtOnce(lab.server)]);
    await lab.startServer();
    await host.startAgent();
    await expectTruthfulEnd(host, run);
  });

  test("restic itself: the job fails and says that it was killed", async () => {
    const host = await LabHost.add(lab, { name: "restic-dies", paths, resticPath: slowRestic });
    const run = await startHeldBackup(host);
    process.kill(run.resticPid, "SIGKILL");
    const job = await host.finished(run.jobId);
    expect(job).toMatchObject({ status: "failed", error: { code: "restic.killed" } });
    expect(job.error?.message).toMatch(/SIGKILL/);
  });
});
