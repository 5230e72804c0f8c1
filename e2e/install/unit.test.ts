/**
 * The agent under the systemd unit that we ship, with a real systemd: what the sandbox takes away is gone, and everything
 * that backups, restores, hooks and updates need works.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { until } from "../../tools/demo/children.ts";
import type { JobJson, LabHost } from "../lab/host.ts";
import { addBrokenAgent, installer, makeRelease } from "./release.ts";
import { Stage, unit } from "./stage.ts";

/** Where a sandbox that is too narrow hides or protects files. */
const places = [
  ...[
    "/boot",
    "/etc",
    "/home/ann",
    "/opt",
    "/root",
    "/srv/tree",
    "/tmp",
    "/usr/lib/modules",
    "/usr/local/lib",
  ],
  ...["/var/lib", "/var/log", "/var/tmp"],
];

let stage: Stage;
let host: LabHost;

beforeAll(async () => {
  stage = await Stage.set({ init: "systemd" });
  await stage.machine.shell(
    `for place in ${places.join(" ")}; do mkdir -p $place/proof && echo $place >$place/proof/file; done`,
  );
  host = await stage.addHost(
    "web-01",
    places.map((place) => `${place}/proof`),
  );
});
afterAll(() => stage?.close());

const shell = (line: string) => stage.machine.shell(line);
const mainPid = async () => (await shell(`systemctl show -p MainPID --value ${unit}`)).trim();

const restore = async (job: JobJson, paths: string[]): Promise<JobJson> => {
  const { job_id } = await stage.lab.api.post<{ job_id: string }>(`/api/hosts/${host.id}/restore`, {
    snapshot_id: job.summary?.snapshot_id,
    ...{ paths, target: { kind: "in_place", confirm_name: "web-01" } },
  });
  return host.finished(job_id);
};

const setHook = (script: string, timeoutSeconds = 60) =>
  stage.lab.api.put(`/api/hosts/${host.id}/hooks`, { pre_hook: { script, timeout_seconds: timeoutSeconds } });

describe("the files", () => {
  test("systemd finds nothing to say against the unit, and calls its exposure 4.0 or less", async () => {
    expect(await shell(`systemd-analyze verify ${unit}.service`)).toBe("");
    const file = `/etc/systemd/system/${unit}.service`;
    expect(
      await shell(`systemd-analyze security --offline=true --threshold=40 --no-pager ${file}`),
    ).toContain("Overall exposure level");
  });

  test("shellcheck finds nothing to say against the installer", async () => {
    expect(await shell(`shellcheck ${installer}`)).toBe("");
  });
});

describe("the sandbox", () => {
  test("is in force: no new privileges, a filter for system calls, and the capabilities of the unit only", async () => {
    const status = await shell(`cat /proc/$(systemctl show -p MainPID --value ${unit})/status`);
    expect(status).toMatch(/^NoNewPrivs:\t1$/m);
    expect(status).toMatch(/^Seccomp:\t2$/m);
    const bounding = /^CapBnd:\t([0-9a-f]+)$/m.exec(status)?.[1] ?? "";
    const names = (await shell(`capsh --decode=${bounding}`)).trim().split("=")[1]?.split(",") ?? [];
    expect(names.sort()).toEqual([
      ...["cap_chown", "cap_dac_override", "cap_dac_read_search", "cap_fowner", "cap_fsetid", "cap_kill"],
      ...["cap_mknod", "cap_setfcap", "cap_setgid", "cap_setuid"],
    ]);
  });

  test("lets a hook become another user, and keeps it from what no backup needs", async () => {
    await setHook(`exec >/run/hook 2>&1
runuser -u nobody -- id -un
su -s /bin/sh nobody -c 'id -un'
setpriv --reuid=nobody --clear-groups id -un
attempt() { if "$@" >/dev/null 2>&1; then echo "$1: done"; else echo "$1: refused"; fi; }
attempt mount -t tmpfs tmpfs /mnt
attempt unshare --mount true
attempt chroot / true
attempt date -s "@$(date +%s)"
attempt hostname elsewhere
attempt dmesg
attempt ionice -c 3 true
attempt getent ahosts localhost
attempt mknod /run/kernel-log c 1 11
attempt head -c 0 /run/kernel-log`);
    expect(await host.backUp()).toMatchObject({ status: "succeeded", error: null });
    expect((await shell("cat /run/hook")).trim().split("\n")).toEqual([
      ...["nobody", "nobody", "nobody"],
      ...["mount: refused", "unshare: refused", "chroot: refused", "date: refused", "hostname: refused"],
      ...["dmesg: refused", "ionice: done", "getent: done", "mknod: done", "head: refused"],
    ]);
  });

  test("refuses other kinds of sockets than those of a network, and writing to control groups and the kernel's settings", async () => {
    const script = `try() { name=$1; shift; if said=$("$@" 2>&1); then echo "$name: done"; else echo "$name: \${said##*: }"; fi; }
family() { perl -e 'socket(my $socket, $ARGV[0], $ARGV[1], 0) or die "$!\\n"' "$1" "$2"; }
try unix family 1 1
try inet family 2 1
try netlink family 16 3
try packet family 17 3
try group sh -c 'mkdir /sys/fs/cgroup/probe && rmdir /sys/fs/cgroup/probe'
try setting sh -c 'cat /proc/sys/kernel/msgmax >/run/value && cat /run/value >/proc/sys/kernel/msgmax'`;
    // A setting of the machine's own namespace; the machine has them read-only, which would hide what the unit does.
    await shell(`mount -o remount,bind,rw /proc/sys && systemctl restart ${unit}`);
    await host.untilOnline();
    await stage.machine.write("/run/probe.sh", script);
    expect((await shell("sh /run/probe.sh")).trim().split("\n")).toEqual(
      ["unix", "inet", "netlink", "packet", "group", "setting"].map((name) => `${name}: done`),
    );
    await setHook("sh /run/probe.sh >/run/hook 2>&1");
    expect(await host.backUp()).toMatchObject({ status: "succeeded", error: null });
    await shell("mount -o remount,bind,ro /proc/sys");
    expect((await shell("cat /run/hook")).trim().split("\n")).toEqual([
      ...["unix: done", "inet: done"],
      ...["netlink", "packet"].map((name) => `${name}: Address family not supported by protocol`),
      ...["group", "setting"].map((name) => `${name}: Read-only file system`),
    ]);
  });

  test("lets the agent end a hook that became another user and takes too long", async () => {
    await setHook("runuser -u nobody -- sleep 300", 1);
    expect((await host.backUp()).status).toBe("failed");
    expect(await shell("pgrep -u nobody sleep || echo none")).toBe("none\n");
    await stage.lab.api.put(`/api/hosts/${host.id}/hooks`, { pre_hook: null });
  });
});

describe("backup and restore", () => {
  test("see and write every place of the system, also those that sandboxes like to hide", async () => {
    const job = await host.backUp();
    expect(job).toMatchObject({ status: "succeeded", error: null, summary: { total_files: places.length } });
    await shell(places.map((place) => `rm -r ${place}/proof`).join(" && "));
    const restored = await restore(
      job,
      places.map((place) => `${place}/proof`),
    );
    expect(restored).toMatchObject({ status: "succeeded", error: null });
    expect(await shell(`cat ${places.map((place) => `${place}/proof/file`).join(" ")}`)).toBe(
      `${places.join("\n")}\n`,
    );
  });

  test("bring back every kind of file with its owner, bits, capabilities and number", async () => {
    await shell(`cd /srv/tree/proof
cp /bin/true program && chown 1234:4321 program && chmod 6755 program
cp /bin/true capable && setcap cap_net_raw+ep capable
echo secret >closed && chown 1234:4321 closed && chmod 000 closed
mkdir shared && chgrp 4321 shared && chmod 3777 shared
mknod disk b 254 0 && mknod port c 4 64 && mkfifo pipe && chown 1234 disk port pipe
ln closed same && ln -s nowhere link && chown -h 1234 link`);
    const before = await describeTree();
    const job = await host.backUp();
    expect(job).toMatchObject({ status: "succeeded", error: null });
    await shell("rm -r /srv/tree/proof");
    expect(await restore(job, ["/srv/tree/proof"])).toMatchObject({ status: "succeeded", error: null });
    expect(await describeTree()).toBe(before);
    expect(before).toContain("program f 6755 1234 4321");
    expect(before).toContain("cap_net_raw=ep");
  });
});

describe("the life of the agent", () => {
  beforeAll(async () => {
    // As shipped, but quicker.
    await shell(`mkdir -p /run/systemd/system/${unit}.service.d && cat >/run/systemd/system/${unit}.service.d/quick.conf <<'END'
[Service]
RestartSec=200ms
END
systemctl daemon-reload && systemctl restart ${unit}`);
    await host.untilOnline();
  });

  const replaced = (pid: string) =>
    until("another agent", 60_000, async () => {
      const now = await mainPid();
      return (
        now !== pid && now !== "0" && (await shell(`systemctl is-active ${unit} || true`)) === "active\n"
      );
    });

  test("an agent that is killed starts again", async () => {
    const pid = await mainPid();
    await shell(`kill -9 ${pid}`);
    await replaced(pid);
    await host.untilOnline();
  });

  test("one that hangs is ended by the watchdog and starts again", async () => {
    // For this test only: on a machine with other work an agent that is well may be silent for some seconds, too.
    const setting = `/run/systemd/system/${unit}.service.d/watchdog.conf`;
    const reload = `systemctl daemon-reload && systemctl restart ${unit}`;
    await shell(`printf '[Service]\\nWatchdogSec=6\\n' >${setting} && ${reload}`);
    await host.untilOnline();
    const pid = await mainPid();
    await shell(`kill -STOP ${pid}`);
    await replaced(pid);
    expect(await shell(`journalctl -u ${unit} --no-pager`)).toContain("Watchdog timeout");
    await shell(`rm ${setting} && ${reload}`);
    await host.untilOnline();
  });

  test("an update that the server asks for replaces the program, also from inside of the sandbox", async () => {
    await makeRelease(stage.release, stage.lab.resticPath, "0.9.9");
    const { job_id } = await until("the server's notice of its new files", 20_000, async () => {
      const path = `/api/hosts/${host.id}/update`;
      return stage.lab.api.post<{ job_id: string }>(path, { program: "agent" }).catch(() => null);
    });
    expect(await host.finished(job_id, 90_000)).toMatchObject({ status: "succeeded", error: null });
    await host.untilOnline();
    expect(await stage.lab.api.get(`/api/hosts/${host.id}`)).toMatchObject({ agent_version: "0.9.9" });
    expect(await shell("restic-manager-agent --version")).toBe("0.9.9\n");
  });

  test("a new version that does not start goes back by the guard, and its update says so", async () => {
    await addBrokenAgent(stage.release, "1.0.0");
    const { job_id } = await until("the server's notice of its new files", 20_000, async () => {
      const path = `/api/hosts/${host.id}/update`;
      return stage.lab.api.post<{ job_id: string }>(path, { program: "agent" }).catch(() => null);
    });
    const end = await host.finished(job_id, 120_000);
    expect(end).toMatchObject({ status: "failed", error: { code: "update.rolled_back" } });
    await host.untilOnline();
    expect(await shell("restic-manager-agent --version")).toBe("0.9.9\n");
  });

  test("an agent whose host was removed at the server stops, and is not started again and again", async () => {
    await stage.lab.api.delete(`/api/hosts/${host.id}`, { confirm_name: "web-01" });
    await until("the agent's end", 30_000, async () => {
      const state = await shell(`systemctl show -p ActiveState,ExecMainStatus --value ${unit}`);
      return state === "3\nfailed\n" || state === "failed\n3\n";
    });
    expect(await shell(`systemctl show -p SubState --value ${unit}`)).toBe("failed\n");
  });
});

/** Kind, mode, owner, size, link, device number and content of everything in the tree. */
const describeTree = () =>
  shell(`cd /srv/tree/proof
find . -printf '%P %y %m %U %G %n %l %T@\\n' | sort
stat -c '%n %t %T' disk port
getcap capable
find . -type f -exec sha256sum {} + | sort`);
