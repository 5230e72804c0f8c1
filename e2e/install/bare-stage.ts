/**
 * What the installer is refused on, or goes through on: a server, a release, a front with a certificate of its own, and a
 * machine without systemd on which programs can be faked and files taken away. Put back as it was after each test.
 */
import { execFile } from "node:child_process";
import { cp, readFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect } from "vitest";
import type { Machine } from "../lab/machine.ts";
import { Front } from "./front.ts";
import { installer, unitName } from "./release.ts";
import { Stage } from "./stage.ts";

const run = promisify(execFile);
export const unitFile = `/etc/systemd/system/${unitName}`;

export const systemPath = "/usr/sbin:/usr/bin:/sbin:/bin";
export const busyboxPath = `/tmp/busybox:${systemPath}`;
export const pathWithoutCurl = "/tmp/no-curl";

/** dash, and BusyBox's ash with BusyBox's tools. */
export const shells = [
  { name: "dash", command: "dash", path: systemPath },
  { name: "BusyBox", command: "busybox sh", path: busyboxPath },
] as const;

export type Shell = (typeof shells)[number];

export class BareStage {
  readonly stage: Stage;
  /** Before the same server, with a certificate that no system knows. */
  readonly tls: Front;
  /** The file of that certificate. */
  readonly certificate: string;

  private constructor(stage: Stage, tls: Front, certificate: string) {
    this.stage = stage;
    this.tls = tls;
    this.certificate = certificate;
  }

  static async set(): Promise<BareStage> {
    const stage = await Stage.set({ init: "none" });
    const folder = stage.lab.folder;
    const [certificate, key] = [join(folder, "server.pem"), join(folder, "server.key")];
    const kind = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"];
    const subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"];
    await run("openssl", [...kind, "-keyout", key, "-out", certificate, ...subject]);
    const pair = { key: await readFile(key, "utf8"), cert: await readFile(certificate, "utf8") };
    const tls = await Front.start({ serverPort: stage.lab.port, tls: pair });
    await stage.machine.shell(
      "mkdir /tmp/fake /tmp/busybox && busybox --install -s /tmp/busybox && rm /tmp/busybox/wget",
    );
    await stage.machine.write("/tmp/server.pem", pair.cert);
    // What a name that nobody has is answered depends on the DNS around us, so nobody is asked.
    await stage.machine.shell(
      "sed -i '/^hosts:/d' /etc/nsswitch.conf; echo 'hosts: files' >>/etc/nsswitch.conf",
    );
    return new BareStage(stage, tls, certificate);
  }

  get machine(): Machine {
    return this.stage.machine;
  }

  /** Runs the script in vain: nothing is installed and no token is shown. @returns what it said */
  async refused(shell: Shell, env: Readonly<Record<string, string>> = {}, args = ""): Promise<string> {
    const settings = {
      PATH: `/tmp/fake:${shell.path}`,
      RM_SERVER: this.stage.front.url,
      RM_TOKEN: "never-used",
    };
    const line = `${shell.command} ${installer} ${args}`;
    const { code, output } = await this.machine.run(["sh", "-c", line], { ...settings, ...env });
    expect(output).not.toContain("never-used");
    expect(code).toBe(1);
    expect(await this.machine.shell("ls -A /opt/restic-manager 2>/dev/null || true")).toBe("");
    return output;
  }

  /** A program of the machine that says something else than the real one. */
  fake(name: string, script: string): Promise<void> {
    return this.machine.write(`/tmp/fake/${name}`, `#!/bin/sh\n${script}\n`, "755");
  }

  /** What the front answers to everything. */
  answer(status: number, body: string, headers: Readonly<Record<string, string>> = {}): void {
    this.stage.front.fault = (_asked: IncomingMessage, response: ServerResponse) => {
      response.writeHead(status, headers).end(body);
      return true;
    };
  }

  /** Another copy of what the server serves. @returns its folder */
  async copyRelease(name: string): Promise<string> {
    const folder = await this.stage.lab.makeFolder(name);
    await cp(this.stage.release, folder, { recursive: true });
    return folder;
  }

  /** Makes `pathWithoutCurl`: every program of the machine but curl. */
  withoutCurl(): Promise<string> {
    return this.machine.shell(
      "mkdir -p /tmp/no-curl && for tool in /usr/bin/* /usr/sbin/* /bin/*; do ln -sf $tool /tmp/no-curl/; done; rm /tmp/no-curl/curl",
    );
  }

  async reset(): Promise<void> {
    this.stage.front.fault = () => false;
    this.stage.front.folder = null;
    await this.machine.shell("umount -l /opt/restic-manager /opt /usr/local 2>/dev/null || true");
    // Until it is gone it may still write into what is taken away below.
    const agent = "-f '[r]estic-manager-agent run'";
    await this.machine.shell(
      `pkill -9 ${agent} || true; while pgrep ${agent} >/dev/null; do sleep 0.05; done; rm -f /usr/local/bin/restic-manager-agent`,
    );
    await this.machine.shell(
      `rm -rf /tmp/bare /tmp/fake /usr/local/bin/restic /run/systemd/system ${unitFile} /opt/restic-manager /etc/restic-manager /var/lib/restic-manager; mkdir /tmp/fake`,
    );
  }

  async close(): Promise<void> {
    await this.tls.close();
    await this.stage.close();
  }
}
