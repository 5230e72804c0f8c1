/**
 * install.sh on a throw-away machine with a real systemd: from the command that "Add host" shows to a host that is online
 * and backs up, over an upgrade in the middle of a backup, until nothing is left.
 */
import { cp } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { productVersion } from "../../packages/protocol/src/version.ts";
import { until } from "../../tools/demo/children.ts";
import type { LabHost } from "../lab/host.ts";
import { makeRelease } from "./release.ts";
import { Stage, unit } from "./stage.ts";

const former = "0.0.9";

interface PendingHost {
  id: string;
  fingerprint: string;
  /** Null until the machine has proved its key. */
  server_name: string | null;
}

let stage: Stage;
let host: LabHost;
/** The release of the former version. */
let older: string;

beforeAll(async () => {
  stage = await Stage.set({ init: "systemd", version: former });
  older = join(stage.lab.folder, "older");
});
afterAll(() => stage?.close());

const shell = (line: string) => stage.machine.shell(line);
const mainPid = async () => (await shell(`systemctl show -p MainPID --value ${unit}`)).trim();
const agentVersion = async () =>
  (await stage.lab.api.get<{ agent_version: string }>(`/api/hosts/${host.id}`)).agent_version;

test("the command of Add host makes a machine a host that is online", async () => {
  host = await stage.addHost("web-01", ["/etc/apt"]);
  await host.untilOnline();
  expect(await agentVersion()).toBe(former);
  expect(await shell(`systemctl is-enabled ${unit} && systemctl is-active ${unit}`)).toBe(
    "enabled\nactive\n",
  );
  expect(await shell("restic-manager-agent status")).toMatch(
    /^Online: http:\/\/127\.0\.0\.1:\d+ has this host since/,
  );
  expect(
    await shell("stat -c '%a %U' /etc/restic-manager /etc/restic-manager/agent.yaml /var/lib/restic-manager"),
  ).toBe("700 root\n600 root\n700 root\n");
});

test("its first backup runs with the restic that the server gave", async () => {
  expect(await shell("command -v restic || echo none on PATH")).toBe("none on PATH\n");
  const job = await host.backUp();
  expect(job).toMatchObject({ status: "succeeded", exit_code: 0, error: null });
});

test("a second run changes nothing, and leaves another token unused", async () => {
  const before = await mainPid();
  const { id, token } = await stage.lab.api.post<{ id: string; token: string }>("/api/enrollment-tokens", {
    hostname: "web-02",
    repo_url: "/srv/other",
  });
  const { code, output } = await stage.install({ RM_TOKEN: token });
  expect(output).toContain(`The agent ${former} is installed already.`);
  expect(output).toContain("The token was not used, and is still good (--force enrols anew).");
  expect(code).toBe(0);
  expect(await mainPid()).toBe(before);
  expect(await stage.lab.api.get(`/api/enrollment-tokens/${id}`)).toMatchObject({ state: "waiting" });
});

test("an upgrade in the middle of a backup keeps the enrolment and the restic that runs; uninstall waits for its end", async () => {
  await shell(
    `cd /opt/restic-manager/bin && mv restic restic.real && cat >restic <<'END'
#!/bin/sh
if [ "$1" = backup ]; then while [ ! -e /run/gate ]; do sleep 0.1; done; fi
exec /opt/restic-manager/bin/restic.real "$@"
END
chmod 755 restic`,
  );
  const jobId = await host.startBackup();
  const restic = await until("restic's start", 20_000, async () =>
    (await stage.machine.run(["pgrep", "-f", "bin/restic backup"])).output.trim(),
  );
  const before = await mainPid();
  await cp(stage.release, older, { recursive: true });
  await makeRelease(stage.release, stage.lab.resticPath);
  await until("the server's notice of its new files", 20_000, async () => {
    const sums = await fetch(`${stage.front.url}/install/SHA256SUMS`);
    return (await sums.text()).includes(`restic-manager-agent-${productVersion}-`);
  });
  const { code, output } = await stage.install({}, "", "busybox sh");
  expect(output).toContain(`The agent was upgraded: ${former} to ${productVersion}.`);
  expect(output).toContain(`This host stays enrolled at ${stage.front.url}.`);
  expect(code).toBe(0);
  expect(await mainPid()).not.toBe(before);
  expect(await shell(`ps -o pid= -p ${restic.split("\n")[0]}`)).not.toBe("");
  expect(await agentVersion()).toBe(productVersion);
  const refused = await stage.install({}, "uninstall");
  expect(refused.output).toMatch(
    /^Failed: a job of the agent still runs \(process \d+\)\.\n {2}Wait for its end/,
  );
  expect(refused.code).toBe(1);
  await shell("touch /run/gate");
  expect(await host.finished(jobId)).toMatchObject({ status: "succeeded", exit_code: 0, error: null });
  await shell("mv /opt/restic-manager/bin/restic.real /opt/restic-manager/bin/restic");
});

test("an older agent on the server does not replace a newer one", async () => {
  stage.front.folder = older;
  const { code, output } = await stage.install({});
  stage.front.folder = null;
  expect(output).toContain(
    `The agent ${productVersion} is installed, which is newer than the server's ${former}`,
  );
  expect(code).toBe(0);
  expect(await shell("restic-manager-agent --version")).toBe(`${productVersion}\n`);
});

test("uninstall leaves the configuration and the state, and with them the host comes back", async () => {
  const { code, output } = await stage.install({}, "uninstall");
  expect(output).toContain(
    "Its configuration (/etc/restic-manager) and state (/var/lib/restic-manager) are left",
  );
  expect(code).toBe(0);
  expect(await shell(`systemctl cat ${unit} 2>&1 || true`)).toContain("No files found");
  expect(await stage.left()).toEqual(["/etc/restic-manager", "/var/lib/restic-manager"]);
  const again = await stage.install({});
  expect(again.output).toContain("This host stays enrolled");
  expect(again.output).toContain("Online: ");
  expect(again.code).toBe(0);
  await host.untilOnline();
});

test("uninstall --purge leaves nothing", async () => {
  const { code, output } = await stage.install({}, "uninstall --purge");
  expect(output).toContain("The host's entry and its backups stay at the server.");
  expect(code).toBe(0);
  expect(await stage.left()).toEqual([]);
  expect(await shell("pgrep -f '[r]estic-manager' || echo none")).toBe("none\n");
});

test("without a token the host announces itself, and is online once somebody has compared and accepted it", async () => {
  const installing = stage.install({ RM_HOSTNAME: "db-01" });
  const pending = await until("the announcement", 60_000, async () => {
    const { pending_hosts } = await stage.lab.api.get<{ pending_hosts: PendingHost[] }>("/api/pending-hosts");
    return pending_hosts.find(({ server_name }) => server_name !== null);
  });
  await stage.lab.api.post(`/api/pending-hosts/${pending.id}/accept`, {
    ...{ hostname: "db-01", fingerprint: pending.fingerprint, initial_paths: ["/etc/apt"] },
    server_name: pending.server_name,
    ...{ repo_url: "/srv/announced", repo_password: "correct horse" },
  });
  const { code, output } = await installing;
  expect(output).toContain("No token was given: this host announces itself and waits to be accepted.");
  expect(output).toContain(pending.fingerprint);
  expect(output).toMatch(/^Online: /m);
  expect(code).toBe(0);
});
