/**
 * What can be wrong with a machine or with the files for it: each is said in words that tell what to do, ends with a code
 * that is not 0, and leaves no agent and no token spent. And what is just enough goes through.
 */
import { appendFile, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { LabHost } from "../lab/host.ts";
import type { Machine } from "../lab/machine.ts";
import { BareStage, busyboxPath, pathWithoutCurl, shells, unitFile } from "./bare-stage.ts";
import { installer, signRelease, unitName } from "./release.ts";
import { agentPath, type Stage } from "./stage.ts";

let bare: BareStage;
let stage: Stage;
let machine: Machine;

beforeAll(async () => {
  bare = await BareStage.set();
  ({ stage, machine } = bare);
});
afterAll(() => bare?.close());
afterEach(() => bare.reset());

describe.each(shells)("under $name", (shell) => {
  const { command, path } = shell;
  const refused = (env?: Readonly<Record<string, string>>, args?: string) => bare.refused(shell, env, args);

  test("somebody who is not root", async () => {
    const line = `/usr/bin/setpriv --reuid=65534 --regid=65534 --clear-groups ${command} ${installer}`;
    const { code, output } = await machine.run(["sh", "-c", line], { PATH: path });
    expect(output).toMatch(
      /^Failed: this needs root\.\n {2}Run it again as root, or put "sudo --preserve-env=RM_SERVER,RM_TOKEN" before "sh"/,
    );
    expect(code).toBe(1);
  });

  test("an architecture that there is no agent for", async () => {
    await bare.fake("uname", 'case "$1" in -s) echo Linux ;; -m) echo riscv64 ;; esac');
    expect(await refused()).toContain("Failed: there is no agent for the architecture riscv64.");
  });

  test("an aarch64 machine, at a server without an agent for it", async () => {
    await bare.fake("uname", 'case "$1" in -s) echo Linux ;; -m) echo aarch64 ;; esac');
    bare.answer(200, `${"0".repeat(64)}  restic-manager-agent-0.1.0-linux-x64\n`);
    expect(await refused()).toContain("Failed: the server has no agent for Linux on arm64.");
  });

  test("another system", async () => {
    await bare.fake("uname", "echo FreeBSD");
    expect(await refused()).toContain("Failed: this is FreeBSD; the installer is for Linux.");
  });

  test("musl, said before anything is fetched", async () => {
    await bare.fake("ldd", "echo 'musl libc (x86_64)' >&2; exit 1");
    let asked = 0;
    stage.front.fault = () => {
      asked += 1;
      return false;
    };
    expect(await refused()).toContain("Failed: this system uses musl instead of glibc");
    expect(asked).toBe(0);
  });

  test("a 32-bit system on a 64-bit kernel", async () => {
    await bare.fake("getconf", "echo 32");
    expect(await refused()).toContain("Failed: this system is a 32-bit one on a 64-bit kernel");
  });

  test.each(["restic-manager-agent-", "restic-0", unitName])(
    "a file that was tampered with: %s",
    async (start) => {
      await machine.shell("mkdir -p /run/systemd/system");
      await bare.fake("systemctl", "exit 0");
      const folder = await bare.copyRelease("tampered");
      const name = (await readdir(folder)).find((file) => file.startsWith(start)) ?? "";
      await appendFile(join(folder, name), "x");
      stage.front.folder = folder;
      const said = await refused();
      expect(said).toContain(`${name} is not what the server's list says: its digest is another one.`);
      expect(await machine.shell(`ls ${unitFile} /etc/restic-manager 2>/dev/null || true`)).toBe("");
    },
  );

  test.each([
    ["1.0.0-rc.10", "1.0.0-rc.9", "1.0.0-rc.2"],
    ["1.0.0", "1.0.0-rc.10", "0.99.100"],
    ["1.0.0-beta", "1.0.0-alpha.1", "1.0.0-alpha", "1.0.0-2"],
    ["1.0.10", "1.0.9", "1.0.10-rc.1"],
  ])("of several agents %s is the newest, here with another digest", async (...versions) => {
    const names = ["x64", "arm64"].flatMap((arch) =>
      versions.toReversed().map((version) => `restic-manager-agent-${version}-linux-${arch}`),
    );
    for (const order of [names, names.toReversed()]) {
      bare.answer(200, order.map((name) => `${"0".repeat(64)}  ${name}\n`).join(""));
      expect(await refused()).toContain(`Failed: restic-manager-agent-${versions[0]}-linux-`);
    }
  });

  test("an agent that is not online within the limit is left trying, with what to do", async () => {
    await machine.shell("mkdir -p /run/systemd/system");
    await bare.fake("systemctl", "exit 0");
    const folder = await bare.copyRelease("offline");
    const script =
      '#!/bin/sh\n[ "$*" != "status --wait 60" ] || { echo "Not online: nobody answers." >&2; exit 1; }\n';
    await writeFile(join(folder, await agentName()), script);
    await signRelease(folder);
    stage.front.folder = folder;
    const settings = { PATH: `/tmp/fake:${path}`, RM_SERVER: stage.front.url, RM_TOKEN: "never-used" };
    const { code, output } = await machine.run(["sh", "-c", `${command} ${installer}`], settings);
    expect(output).toContain("Not online: nobody answers.");
    expect(output).toMatch(
      /Failed: the agent's service is installed and goes on trying, but .*\n {2}See why: journalctl -u restic-manager-agent/,
    );
    expect(output).not.toContain("Done.");
    expect(code).toBe(1);
    expect(await machine.shell(`stat -c %a ${unitFile}`)).toBe("644\n");
  });

  test("a restic on PATH that is too old is left alone, and the server's is taken", async () => {
    await machine.write("/usr/local/bin/restic", "#!/bin/sh\necho restic 0.14.0 compiled with go\n", "755");
    const settings = { PATH: path, RM_SERVER: stage.front.url, RM_TOKEN: "never-used" };
    const { output } = await machine.run(["sh", "-c", `${command} ${installer}`], settings);
    expect(output).toContain("restic 0.19.1 is in /opt/restic-manager/bin/restic.");
    const versions = "restic version; /opt/restic-manager/bin/restic version | cut -d ' ' -f 1";
    expect(await machine.shell(versions)).toBe("restic 0.14.0 compiled with go\nrestic\n");
  });

  test("an update that is under way, while one that went back is no reason to wait", async () => {
    const settings = { PATH: path, RM_SERVER: stage.front.url, RM_TOKEN: "never-used" };
    const said = async (rolledBack: string) => {
      await machine.shell("mkdir -p /opt/restic-manager/bin");
      await machine.write(`${agentPath}.update.json`, `{"job":"J","rolled_back":${rolledBack}}`);
      return (await machine.run(["sh", "-c", `${command} ${installer}`], settings)).output;
    };
    expect(await said("null")).toContain("an update of the agent is under way");
    expect(await said('"It did not start."')).not.toContain("under way");
  });

  test("a list that is not signed with the key that was given", async () => {
    const folder = await bare.copyRelease("unsigned");
    await machine.shell(
      "openssl genpkey -algorithm ed25519 2>/dev/null | openssl pkey -pubout >/tmp/other.pub",
    );
    await machine.write("/tmp/release.pub", await readFile(join(folder, "release.pub"), "utf8"));
    const other = await refused({ RM_RELEASE_KEY: "/tmp/other.pub" });
    expect(other).toContain("Failed: the list of files is not signed with the release key /tmp/other.pub.");
    await appendFile(join(folder, "SHA256SUMS"), `${"0".repeat(64)}  extra\n`);
    stage.front.folder = folder;
    const changed = await refused({ RM_RELEASE_KEY: "/tmp/release.pub" });
    stage.front.folder = null;
    expect(changed).toContain("is not signed with the release key /tmp/release.pub");
  });

  test("a disk that is too small, and one that becomes full", async () => {
    await machine.shell(
      "mkdir -p /opt/restic-manager && mount -t tmpfs -o size=20m tmpfs /opt/restic-manager",
    );
    expect(await refused()).toMatch(
      /Failed: there is too little space in .*: \d+ MiB are free, 400 MiB are needed\./,
    );
    await bare.fake("df", "echo Filesystem; echo tmpfs 1 1 999999999");
    expect(await refused()).toContain("can't be written: /opt/restic-manager/bin has no space left.");
  });

  test("an /opt that is read-only", async () => {
    await machine.shell("mount --bind /opt /opt && mount -o remount,bind,ro /opt");
    const said = await refused();
    expect(said).toContain(
      "Failed: the folder /opt/restic-manager can't be made: the file system is read-only.",
    );
  });

  test("an agent that came with a package, to install and to uninstall", async () => {
    await bare.fake("dpkg-query", "exit 0");
    expect(await refused()).toContain(
      "Upgrade it with: apt-get update && apt-get install restic-manager-agent",
    );
    expect(await refused({}, "uninstall")).toContain("Remove it with: apt-get remove restic-manager-agent");
  });

  test("neither curl nor GNU wget", async () => {
    const tools = "id uname ldd getconf rm rmdir";
    await machine.shell(
      `mkdir /tmp/bare && for tool in ${tools}; do ln -sf $(command -v $tool) /tmp/bare/; done`,
    );
    const words = command === "dash" ? ["/usr/bin/dash"] : ["/bin/busybox", "sh"];
    const { code, output } = await machine.run([...words, installer], {
      ...{ PATH: "/tmp/bare", RM_SERVER: stage.front.url },
    });
    expect(output).toContain("Failed: neither curl nor GNU wget is here.");
    expect(code).toBe(1);
  });

  test("a purge of a folder in which a server keeps its database or key", async () => {
    for (const file of ["restic-manager.db", "secret.key"]) {
      await machine.shell(`mkdir -p /var/lib/restic-manager && touch /var/lib/restic-manager/${file}`);
      const line = `${command} ${installer} uninstall --purge`;
      const { code, output } = await machine.run(["sh", "-c", line], { PATH: path });
      expect(output).toContain("/var/lib/restic-manager stays: a server keeps its database or key there.");
      expect(code).toBe(0);
      expect(await machine.shell("cd /var/lib/restic-manager && ls && rm *")).toBe(`${file}\n`);
    }
  });

  test("arguments that it does not know end with code 2 and the usage", async () => {
    for (const args of ["--frobnicate", "--server", "remove"]) {
      const { code, output } = await machine.run(["sh", "-c", `${command} ${installer} ${args}`], {
        PATH: path,
      });
      expect(output).toContain("Usage: install.sh");
      expect(code).toBe(2);
    }
  });
});

describe("what is enough goes through", () => {
  test("under BusyBox, without systemd, with a read-only /usr/local, and a clock that is a day off", async () => {
    const host = new LabHost(stage.lab, {
      name: "box-01",
      paths: ["/etc"],
      repository: "/srv/box",
    });
    await machine.shell("mount --bind /usr/local /usr/local && mount -o remount,bind,ro /usr/local");
    stage.front.fault = (_asked, response) => {
      // In the middle of its minute: the header has whole seconds, and the script is not at once there.
      response.setHeader("date", new Date(Date.now() - 86_430_000).toUTCString());
      return false;
    };
    const settings = {
      PATH: busyboxPath,
      RM_SERVER: `${stage.front.url}/`,
      RM_TOKEN: await host.createToken(),
    };
    const { code, output } = await machine.run(["sh", "-c", `busybox sh ${installer}`], {
      ...{ ...settings, RM_HOSTNAME: "called-otherwise", https_proxy: "", NO_PROXY: "127.0.0.1" },
    });
    expect(output).toContain("/usr/local/bin can't be written: call the agent as /opt/restic-manager/bin/");
    expect(output).toContain("No systemd runs here, so nothing starts the agent by itself.");
    expect(output).toMatch(/Warning: this machine's clock is 1440 minutes ahead of the server's\./);
    expect(code).toBe(0);
    expect(
      await machine.shell("cat /etc/restic-manager/agent.env; stat -c %a /etc/restic-manager/agent.env"),
    ).toBe("NO_PROXY=127.0.0.1\n600\n");
    const { hosts } = await stage.lab.api.get<{ hosts: { name: string }[] }>("/api/hosts");
    expect(hosts.map(({ name }) => name)).toContain(host.name);
    // Started by hand, as it said, it is online.
    await machine.shell("/opt/restic-manager/bin/restic-manager-agent run >/dev/null 2>&1 &");
    expect(await machine.shell("/opt/restic-manager/bin/restic-manager-agent status --wait 60")).toContain(
      "Online:",
    );
  });

  test("files that are signed with the key that was given go through, by GNU wget too", async () => {
    const host = new LabHost(stage.lab, {
      name: "wget-01",
      paths: ["/etc"],
      repository: "/srv/wget",
    });
    await machine.write("/tmp/release.pub", await readFile(join(stage.release, "release.pub"), "utf8"));
    await bare.withoutCurl();
    const settings = {
      PATH: pathWithoutCurl,
      RM_SERVER: stage.front.url,
      RM_TOKEN: await host.createToken(),
    };
    const { code, output } = await machine.run(
      ["sh", "-c", `dash ${installer} --release-key /tmp/release.pub`],
      settings,
    );
    expect(output).toMatch(
      /^This machine: Linux \S+, wget\.\nThe files are signed with the given release key\.\n/,
    );
    expect(output).toContain("This machine is enrolled");
    expect(code).toBe(0);
  });
});

async function agentName(): Promise<string> {
  const sums = await readFile(join(stage.release, "SHA256SUMS"), "utf8");
  return /restic-manager-agent-\S+-linux-\S+/.exec(sums)?.[0] ?? "";
}
