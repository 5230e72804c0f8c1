/**
 * A throw-away machine: this one's disk seen through an overlay in memory, with mounts, processes and, when asked for,
 * a real systemd of its own (machine.sh). The network is shared, so a server on the loopback is there. Needs root.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rmdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { removeFolder } from "../../packages/testkit/src/remove-folder.ts";
import { until } from "../../tools/demo/children.ts";

const checkout = resolve(import.meta.dirname, "../..");
const script = join(import.meta.dirname, "machine.sh");

export interface MachineWishes {
  /** `systemd`: a real one as process 1. */
  init: "systemd" | "none";
}

export interface Ended {
  code: number;
  /** stdout and stderr, as they came. */
  output: string;
}

export class Machine {
  readonly name: string;
  private readonly folder: string;
  private readonly child: ChildProcess;
  /** Process 1 of the machine, by its number outside. */
  private pid = 0;

  private constructor(name: string, folder: string, child: ChildProcess) {
    this.name = name;
    this.folder = folder;
    this.child = child;
  }

  /** @throws Error when this machine does not let us, with a sentence */
  static async boot(wishes: MachineWishes): Promise<Machine> {
    if (process.getuid?.() !== 0)
      throw new Error("The tests of the installer make throw-away machines: run them as root.");
    const folder = await mkdtemp(join(tmpdir(), "rm-machine-"));
    const name = `machine-${randomBytes(4).toString("hex")}`;
    const namespaces = ["--mount", "--pid", "--fork", "--kill-child", "--uts", "--ipc"];
    const args = [...namespaces, "sh", script, folder, name, wishes.init, checkout];
    const child = spawn("unshare", args, { stdio: ["ignore", "ignore", "pipe"] });
    const machine = new Machine(name, folder, child);
    let complaint = "";
    child.stderr.on("data", (data: Buffer) => {
      complaint += data.toString();
    });
    try {
      await until("the machine's start", 90_000, async () => {
        if (child.exitCode !== null) throw new Error(`the machine did not start: ${complaint}`);
        return machine.isUp(wishes);
      });
    } catch (error) {
      await machine.close();
      throw error;
    }
    return machine;
  }

  /** The machine's disk as it is seen from outside. */
  get root(): string {
    return `/proc/${this.pid}/root`;
  }

  /** Runs a command as root with an environment of its own. Never rejects for its exit code. */
  run(command: readonly string[], env: Readonly<Record<string, string>> = {}, input = ""): Promise<Ended> {
    const variables = Object.entries({ PATH: searchPath, HOME: "/root", ...env });
    const inside = ["env", "-i", ...variables.map(([name, value]) => `${name}=${value}`), ...command];
    const { promise, resolve: done } = Promise.withResolvers<Ended>();
    const args = [
      "--target",
      String(this.pid),
      "--mount",
      "--pid",
      "--uts",
      "--ipc",
      "--cgroup",
      "--",
      ...inside,
    ];
    const child = spawn("nsenter", args, { stdio: ["pipe", "pipe", "pipe"], timeout: 120_000 });
    child.stdin.on("error", () => undefined).end(input);
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (data: Buffer) => {
        output += data.toString();
      });
    child.on("close", (code) => done({ code: code ?? -1, output }));
    return promise;
  }

  /** Runs a line of shell. @throws Error with its output when it fails. @returns what it printed */
  async shell(line: string, env: Readonly<Record<string, string>> = {}): Promise<string> {
    const { code, output } = await this.run(["sh", "-c", line], env);
    if (code !== 0) throw new Error(`${line}\nended with ${code}: ${output}`);
    return output;
  }

  /** Writes a text to a file of the machine. */
  async write(path: string, text: string, mode = "644"): Promise<void> {
    const { code, output } = await this.run(
      ["sh", "-c", 'cat >"$0" && chmod "$1" "$0"', path, mode],
      {},
      text,
    );
    if (code !== 0) throw new Error(`${path} can't be written in the machine: ${output}`);
  }

  /** Ends everything in it, by ending its process 1. */
  async close(): Promise<void> {
    const ended = new Promise((done) => this.child.once("exit", done));
    if (this.child.exitCode === null && this.child.signalCode === null) {
      this.child.kill("SIGKILL");
      await ended;
    }
    await this.removeControlGroup();
    await removeFolder(this.folder);
  }

  private async isUp({ init }: MachineWishes): Promise<boolean> {
    this.pid = await findOnlyChild(this.child.pid ?? 0);
    if (this.pid === 0 || !existsSync(`/proc/${this.pid}/root/ready`)) return false;
    if (init === "none") return true;
    const { output } = await this.run(["systemctl", "is-system-running"]);
    return /^(running|degraded)/.test(output);
  }

  /** systemd leaves its groups behind; empty ones can go. */
  private async removeControlGroup(): Promise<void> {
    const mounts = await readFile("/proc/self/mountinfo", "utf8");
    const mount = / (\/\S+) \S+(?: \S+)* - cgroup2 /.exec(mounts)?.[1];
    const own = /^0::(.*)$/m.exec(await readFile("/proc/self/cgroup", "utf8"))?.[1];
    if (mount === undefined || own === undefined) return;
    const group = join(mount, own, this.name);
    if (!existsSync(group)) return;
    await until("the end of the machine's programs", 10_000, () =>
      removeGroups(group).then(
        () => true,
        () => false,
      ),
    );
  }
}

const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

async function findOnlyChild(pid: number): Promise<number> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8").catch(() => "");
  return Number(children.trim().split(" ")[0] ?? 0);
}

async function removeGroups(group: string): Promise<void> {
  for (const entry of await readdir(group, { withFileTypes: true }))
    if (entry.isDirectory()) await removeGroups(join(group, entry.name));
  await rmdir(group);
}
