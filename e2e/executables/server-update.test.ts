/** An update from the button to the new version's hello: the built server, and the agent's executable supervised. */
import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { agentScript, nameOf, signRelease } from "../../packages/agent/fixtures/update/release.ts";
import { removeFolder } from "../../packages/testkit/src/remove-folder.ts";
import { until } from "../../tools/demo/children.ts";
import { quickBuild } from "../../tools/package/quick.ts";
import { openSigningKey } from "../../tools/package/signing.ts";
import { LabHost, writeScript } from "../lab/host.ts";
import { Lab, plainEnvironment } from "../lab/lab.ts";
import { Supervisor } from "./supervisor.ts";

const better = "9.0.0";
const broken = "9.1.0";
/** The program of a hundred megabytes is fetched, hashed and started, up to four times, beside other work. */
const updateLimitMs = 150_000;

let lab: Lab;
let host: LabHost;
let supervisor: Supervisor;
/** While this file is missing, a backup waits before it begins. */
let gate: string;

beforeAll(async () => {
  lab = await Lab.create();
  gate = join(lab.folder, "gate");
  const program = join(await lab.makeFolder("bin"), "restic-manager-agent");
  await copyFile(await quickBuild("restic-manager-agent"), program);
  const newer = await readFile(await quickBuild("restic-manager-agent", { version: better }));
  await lab.startServer();
  await offer({ [better]: newer });
  await lab.signUp();
  const data = await lab.makeFolder("data");
  await writeFile(join(data, "one.txt"), "one");
  const resticPath = await writeScript(
    join(lab.folder, "waiting-restic"),
    `if [ "$1" = backup ]; then while [ ! -e '${gate}' ]; do sleep 0.05; done; fi\nexec '${lab.resticPath}' "$@"`,
  );
  host = new LabHost(lab, { name: "box", paths: [data], executable: program, resticPath });
  await host.enrol();
  const { PATH = "", HOME = "/" } = plainEnvironment();
  supervisor = new Supervisor({
    ...{ program, configFile: host.configFile, folder: await lab.makeFolder("supervisor") },
    ...{ env: { PATH, HOME }, startLimitMs: 60_000, onOutput: () => undefined },
  });
  await supervisor.start();
  await host.untilOnline();
  await host.initJob();
});
afterAll(async () => {
  await supervisor?.stop();
  await lab.close();
});

/** Puts a release into the server's data folder. */
async function offer(agents: Readonly<Record<string, Buffer>>): Promise<void> {
  const key = openSigningKey(resolve(import.meta.dirname, "../.."), process.env);
  const files = Object.entries(agents).map(([version, data]) => [
    nameOf("restic-manager-agent", version),
    data,
  ]);
  const release = signRelease(Object.fromEntries(files), (sums) => key.sign(Buffer.from(sums)));
  const folder = join(lab.dataFolder, "release");
  await removeFolder(folder);
  await mkdir(folder, { recursive: true });
  for (const [name, data] of release.files) await writeFile(join(folder, name), data);
  await writeFile(join(folder, "SHA256SUMS.sig"), `${release.signature}\n`);
  await writeFile(join(folder, "release.pub"), key.publicKey);
  await writeFile(join(folder, "SHA256SUMS"), release.sums);
}

const updateHost = async () => {
  const { job_id } = await lab.api.post<{ job_id: string }>(`/api/hosts/${host.id}/update`, {
    program: "agent",
  });
  return job_id;
};
const versionOfHost = async () =>
  (await lab.api.get<{ agent_version: string }>(`/api/hosts/${host.id}`)).agent_version;

it("an update waits for the backup that runs, and ends when the new version has said hello", async () => {
  const backup = await host.startBackup();
  await host.findRun(backup);
  const update = await until("the new release", 30_000, () => updateHost().catch(() => null));
  expect((await host.job(update)).status).toBe("queued");
  await writeFile(gate, "");
  expect(await host.finished(backup)).toMatchObject({ status: "succeeded", exit_code: 0 });
  expect(await host.finished(update, updateLimitMs)).toMatchObject({
    kind: "update",
    status: "succeeded",
    error: null,
  });
  expect(await versionOfHost()).toBe(better);
  for (const jobId of [backup, update]) {
    const lines = await host.log(jobId);
    expect(lines.map(({ n }) => n)).toEqual(lines.map((_, index) => index + 1));
    expect((await host.job(jobId)).log_lines).toBe(lines.length);
  }
  expect(supervisor.ends).toEqual([4]);
});

it("an update that does not start goes back, says so, and the host backs up as before", async () => {
  await offer({ [broken]: agentScript(broken, "exit 1") });
  const update = await until("the new release", 30_000, () => updateHost().catch(() => null));
  const end = await host.finished(update, updateLimitMs);
  expect(end).toMatchObject({ status: "failed", error: { code: "update.rolled_back" } });
  expect(end.error?.message).toContain(`The agent is ${better} again`);
  expect(await versionOfHost()).toBe(better);
  expect(await host.backUp()).toMatchObject({ status: "succeeded" });
});
