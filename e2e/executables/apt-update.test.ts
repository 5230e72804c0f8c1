/**
 * A host that came by apt, whole: its machine subscribes to the server's own repository, installs, enrols, backs up under a
 * real systemd; then the server's button updates it, and apt does it.
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { productVersion } from "../../packages/protocol/src/version.ts";
import { until } from "../../tools/demo/children.ts";
import { getTool, toolCacheFolder } from "../../tools/get-restic/get-tool.ts";
import { tools } from "../../tools/get-restic/tools.ts";
import { LabHost, writeScript } from "../lab/host.ts";
import { Lab } from "../lab/lab.ts";
import { Machine } from "../lab/machine.ts";
import { apt, installed, publish, subscribe } from "./apt-repository.ts";

const next = "9.0.0";

let lab: Lab;
let machine: Machine;
let host: LabHost;
let release: string;
let restic: { path: string; version: string };

beforeAll(async () => {
  lab = await Lab.create();
  release = join(lab.dataFolder, "release");
  await mkdir(lab.dataFolder, { recursive: true, mode: 0o700 });
  restic = await getTool(tools.restic, {
    environment: process.env,
    cacheFolder: toolCacheFolder,
    say: () => undefined,
  });
  await publish(release, { version: productVersion, restic });
  machine = await Machine.boot({ init: "systemd" });
  // As on any Debian that was not stripped: systemd-run waits for what it started over the bus.
  await machine.shell("systemctl start dbus.socket dbus.service");
  await lab.startServer();
  await lab.signUp();
}, 120_000);
afterAll(async () => {
  await machine?.close();
  await lab?.close();
});

const agentVersion = async () =>
  (await lab.api.get<{ agent_version: string }>(`/api/hosts/${host.id}`)).agent_version;

describe("a host that came by apt", () => {
  it("installs from the server's own repository, enrols and backs up as a service", async () => {
    await subscribe(machine, release, `${lab.url}/apt`);
    await apt(machine, "update");
    await apt(machine, "install restic-manager-agent");
    expect(await machine.shell("restic-manager-agent --version")).toBe(`${productVersion}\n`);
    host = new LabHost(lab, { name: "debian", paths: ["/etc/apt"], repository: "/srv/repository" });
    const env = { RM_TOKEN: await host.createToken(), RM_SERVER: lab.url };
    await machine.shell("restic-manager-agent enrol --hostname debian", env);
    await machine.shell("systemctl start restic-manager-agent");
    await until("the host", 60_000, async () => {
      const { hosts } = await lab.api.get<{ hosts: { id: string; online: boolean }[] }>("/api/hosts");
      host.id = hosts.find(({ online }) => online)?.id ?? "";
      return host.id !== "";
    });
    expect(await agentVersion()).toBe(productVersion);
    expect(await host.initJob()).toMatchObject({ status: "succeeded" });
    expect(await host.backUp()).toMatchObject({ status: "succeeded", error: null });
  });

  it("is updated by the server's button, through apt, and backs up as before", async () => {
    await publish(release, { version: next, restic });
    const order = { program: "agent" };
    const { job_id } = await until("the new release", 30_000, () =>
      lab.api.post<{ job_id: string }>(`/api/hosts/${host.id}/update`, order).catch(() => null),
    );
    const end = await host.finished(job_id, 120_000);
    expect({ end, log: await host.log(job_id) }).toMatchObject({
      end: { kind: "update", status: "succeeded", error: null },
    });
    expect(await agentVersion()).toBe(next);
    expect(await installed(machine)).toContain(`restic-manager-agent ${next} installed\n`);
    expect(await host.backUp()).toMatchObject({ status: "succeeded", error: null });
  });

  it("gets its restic through apt, too, and tells the new version", async () => {
    await publish(release, { version: next, restic: await newerRestic("9.0.0") });
    const { job_id } = await until("the new release", 30_000, () =>
      lab.api
        .post<{ job_id: string }>(`/api/hosts/${host.id}/update`, { program: "restic" })
        .catch(() => null),
    );
    const end = await host.finished(job_id, 120_000);
    expect({ end, log: await host.log(job_id) }).toMatchObject({
      end: { kind: "update", status: "succeeded", error: null },
    });
    expect(await installed(machine)).toContain("restic-manager-restic 9.0.0 installed\n");
    const { restic_version } = await lab.api.get<{ restic_version: string }>(`/api/hosts/${host.id}`);
    expect(restic_version).toBe("9.0.0");
    expect(await host.backUp()).toMatchObject({ status: "succeeded", error: null });
  });
});

/** One that says this version and leaves the work to the real one. */
async function newerRestic(version: string): Promise<{ path: string; version: string }> {
  const said = `echo '{"message_type":"version","version":"${version}"}'`;
  const script = `[ "$1" != version ] || { ${said}; exit 0; }\nexec '${restic.path}' "$@"`;
  return { path: await writeScript(join(lab.folder, "newer-restic"), script), version };
}
