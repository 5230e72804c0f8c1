/** What the stories of the installer are played on: a server, a release before it, and a throw-away machine. */
import { join } from "node:path";
import { createQuickRepository } from "../../packages/testkit/src/quick-repository.ts";
import { LabHost } from "../lab/host.ts";
import { Lab } from "../lab/lab.ts";
import { type Ended, Machine } from "../lab/machine.ts";
import { Front } from "./front.ts";
import { makeRelease } from "./release.ts";

export const unit = "restic-manager-agent";
export const agentPath = "/opt/restic-manager/bin/restic-manager-agent";

const releaseFolder = (lab: Lab): string => join(lab.dataFolder, "release");

export interface StageWishes {
  init: "systemd" | "none";
  /** The version of the agent that the release has. */
  version?: string;
}

export class Stage {
  readonly lab: Lab;
  readonly front: Front;
  readonly machine: Machine;

  private constructor(lab: Lab, front: Front, machine: Machine) {
    this.lab = lab;
    this.front = front;
    this.machine = machine;
  }

  static async set(wishes: StageWishes): Promise<Stage> {
    const lab = await Lab.create();
    await makeRelease(releaseFolder(lab), lab.resticPath, wishes.version);
    await lab.startServer();
    await lab.signUp();
    const front = await Front.start({ serverPort: lab.port });
    return new Stage(lab, front, await Machine.boot(wishes));
  }

  /** The files that the server serves. */
  get release(): string {
    return releaseFolder(this.lab);
  }

  /** The command of "Add host", with arguments for the script. */
  install(env: Readonly<Record<string, string>>, args = "", shell = "dash"): Promise<Ended> {
    const command = `curl -fsSL ${this.front.url}/install/install.sh | ${shell} -s -- ${args}`;
    return this.machine.run(["sh", "-c", command], { RM_SERVER: this.front.url, ...env });
  }

  /** A host whose repository lies in the machine, installed and online. @throws Error when that fails */
  async addHost(name: string, paths: string[]): Promise<LabHost> {
    const host = new LabHost(this.lab, { name, paths, repository: "/srv/repository" });
    await createQuickRepository(join(this.machine.root, host.repository), host.password);
    const { code, output } = await this.install({ RM_TOKEN: await host.createToken() });
    if (code !== 0) throw new Error(`the installer ended with ${code}: ${output}`);
    const { hosts } = await this.lab.api.get<{ hosts: { id: string; name: string }[] }>("/api/hosts");
    host.id = hosts.find((known) => known.name === name)?.id ?? "";
    await host.initJob();
    return host;
  }

  /** Everything of ours that lies on the machine's disk since it is up. */
  async left(): Promise<string[]> {
    const places = "/etc /opt /root /usr/bin /usr/local /usr/lib/systemd /var/lib /var/cache";
    const found = await this.machine.shell(`find ${places} -newer /ready -name '*restic-manager*' -print`);
    return found
      .split("\n")
      .filter((path) => path !== "")
      .sort();
  }

  async close(): Promise<void> {
    await this.machine.close();
    await this.front.close();
    await this.lab.close();
  }
}
