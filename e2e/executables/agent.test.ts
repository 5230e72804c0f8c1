/** The agent as hosts get it: one executable, with no Node and no sources beside it. */
import { execFile } from "node:child_process";
import { copyFile, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { productVersion } from "../../packages/protocol/src/version.ts";
import { quickBuild } from "../../tools/package/quick.ts";
import { LabHost, writeScript } from "../lab/host.ts";
import { Lab } from "../lab/lab.ts";
import { isRunning, listeningSockets, listPrograms } from "../lab/leftovers.ts";

const run = promisify(execFile);

let lab: Lab;
let agent: string;
let host: LabHost;
/** While this file is missing, a backup waits before it begins. */
let gate: string;
let resticPath: string;

beforeAll(async () => {
  lab = await Lab.create();
  // Alone in a folder, so that nothing of the project can be found beside it.
  const folder = await lab.makeFolder("bin");
  agent = join(folder, "restic-manager-agent");
  await copyFile(await quickBuild("restic-manager-agent"), agent);
  gate = join(lab.folder, "gate");
  await writeFile(gate, "");
  resticPath = await writeScript(
    join(lab.folder, "waiting-restic"),
    `if [ "$1" = backup ]; then while [ ! -e '${gate}' ]; do sleep 0.05; done; fi\nexec '${lab.resticPath}' "$@"`,
  );
  await lab.startServer();
  await lab.signUp();
});
afterAll(() => lab.close());

describe("the agent's executable", () => {
  it("is its own doctor, before it is enrolled", async () => {
    const args = [
      "doctor",
      "--json",
      "--server",
      lab.url,
      "--config",
      join(lab.folder, "none", "agent.yaml"),
    ];
    const { stdout } = await run(agent, args, { env: { PATH: process.env.PATH, RM_RESTIC: lab.resticPath } });
    const { healthy, findings } = JSON.parse(stdout) as { healthy: boolean; findings: { status: string }[] };
    expect(healthy).toBe(true);
    expect(findings.length).toBeGreaterThan(10);
  });

  it("tells its version, and refuses what it doesn't know with code 2", async () => {
    expect((await run(agent, ["--version"])).stdout).toBe(`${productVersion}\n`);
    await expect(run(agent, ["frobnicate"])).rejects.toMatchObject({ code: 2 });
  });

  it("enrols a host, connects and runs a backup with restic under its own runner", async () => {
    const data = await lab.makeFolder("data");
    await mkdir(join(data, "photos"));
    await writeFile(join(data, "photos", "one.txt"), "one");
    host = await LabHost.add(lab, {
      name: "box",
      paths: [data],
      executable: agent,
      resticPath,
      isQuick: true,
    });
    const { agent_version } = await lab.api.get<{ agent_version: string }>(`/api/hosts/${host.id}`);
    expect(agent_version).toBe(productVersion);
    const job = await host.backUp();
    expect(job).toMatchObject({ status: "succeeded", exit_code: 0, error: null });
    expect(job.summary).toMatchObject({ total_files: 1 });
    expect((await host.log(job.id)).length).toBeGreaterThan(0);
  });

  it("opens no debugger, neither at a signal nor at the environment's word", async () => {
    const pid = host.agent?.pid ?? 0;
    process.kill(pid, "SIGUSR1");
    expect((await host.backUp()).status).toBe("succeeded");
    expect(host.agent?.pid).toBe(pid);
    expect(await listeningSockets(pid)).toEqual([]);
    const { stderr } = await run(agent, ["--version"], { env: { NODE_OPTIONS: "--inspect=127.0.0.1:0" } });
    expect(stderr).toBe("");
  });

  it("is killed during a backup and, started again, brings its end", async () => {
    await rm(gate);
    const jobId = await host.startBackup();
    const { resticPid } = await host.findRun(jobId);
    const { argv } = (await listPrograms()).find(({ pid }) => pid === host.agent?.pid) ?? { argv: [] };
    expect(argv).toEqual([agent, "run", "--config", host.configFile]);
    await host.killAgent();
    expect(await isRunning(resticPid)).toBe(true);
    await host.startAgent();
    await writeFile(gate, "");
    expect(await host.finished(jobId)).toMatchObject({ status: "succeeded", exit_code: 0, error: null });
  });
});
