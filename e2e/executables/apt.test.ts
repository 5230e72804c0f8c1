/**
 * The packages for Debian and their repository, with the real apt on a throw-away machine: subscribe, install, upgrade,
 * remove, purge; and what was changed on the way is refused.
 */
import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { productVersion } from "../../packages/protocol/src/version.ts";
import { removeFolder } from "../../packages/testkit/src/remove-folder.ts";
import { writeScript } from "../lab/host.ts";
import { Machine } from "../lab/machine.ts";
import {
  apt as aptOn,
  debArch,
  installed as installedOn,
  publish as publishInto,
  subscribe,
} from "./apt-repository.ts";

const next = "9.0.0";

let work: string;
let server: Server;
let machine: Machine;

const release = () => join(work, "release");
const repository = () => join(release(), "apt");

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), "rm-apt-"));
  server = serveFolder(repository);
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  machine = await Machine.boot({ init: "systemd" });
  await publish(productVersion);
  await subscribe(machine, release(), `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
}, 120_000);

afterAll(async () => {
  await machine?.close();
  server?.close();
  await removeFolder(work);
});

function serveFolder(folder: () => string): Server {
  return createServer((request, response) => {
    readFile(join(folder(), new URL(request.url ?? "/", "http://x").pathname)).then(
      (bytes) => response.end(bytes),
      () => response.writeHead(404).end(),
    );
  });
}

/** Another state of the repository: the agent in this version, and something that says it is restic. */
async function publish(version: string): Promise<void> {
  const path = await writeScript(join(work, "restic"), "echo restic 0.19.1");
  await publishInto(release(), { version, restic: { path, version: "0.19.1" } });
}

/** Changes one file of the repository, looks what apt says, and puts it back. */
async function tamper(path: string, change: (bytes: Buffer) => Buffer, command: string) {
  const file = join(repository(), path);
  const before = await readFile(file);
  await writeFile(file, change(before));
  try {
    return await machine.run(["sh", "-c", command], { DEBIAN_FRONTEND: "noninteractive" });
  } finally {
    await writeFile(file, before);
  }
}

const freshUpdate = "rm -rf /var/lib/apt/lists/*; apt-get -q update -o APT::Update::Error-Mode=any";
const installed = () => installedOn(machine);
const apt = (words: string) => aptOn(machine, words);

describe("apt", () => {
  it("refuses a list of packages that is not the signed one", async () => {
    const list = `dists/stable/main/binary-${debArch}/Packages.gz`;
    const change = (bytes: Buffer) => {
      const text = gunzipSync(bytes).toString();
      return gzipSync(text.replace("Priority: optional", "Priority: required"));
    };
    const { code, output } = await tamper(list, change, freshUpdate);
    expect({ code, output }).toMatchObject({
      code: 100,
      output: expect.stringMatching(/Hash Sum mismatch|unexpected size/),
    });
  });

  it("refuses a repository whose signature is not good, or by another key", async () => {
    const change = (bytes: Buffer) =>
      Buffer.from(bytes.toString().replace("Origin: restic", "Origin: r3stic"));
    const { code, output } = await tamper("dists/stable/InRelease", change, freshUpdate);
    expect({ code, output }).toMatchObject({
      code: 100,
      output: expect.stringMatching(/signature|not signed/i),
    });
  });

  it("installs the agent and its restic, enables the unit and says how to enrol", async () => {
    await machine.shell(freshUpdate);
    expect(await apt("install restic-manager-agent")).toContain("RM_SERVER=https://");
    expect(await installed()).toBe(
      `restic-manager-agent ${productVersion} installed\nrestic-manager-restic 0.19.1 installed\n`,
    );
    expect(await machine.shell("restic-manager-agent --version")).toBe(`${productVersion}\n`);
    expect(await machine.shell("/opt/restic-manager/bin/restic")).toBe("restic 0.19.1\n");
    expect(await machine.shell("systemctl is-enabled restic-manager-agent")).toBe("enabled\n");
    const { output } = await machine.run(["systemctl", "is-active", "restic-manager-agent"]);
    expect(output).toBe("inactive\n");
  });

  it("refuses a package that is not the one in the signed list", async () => {
    await publish(next);
    await machine.shell(freshUpdate);
    const pool = `pool/main/restic-manager-agent/restic-manager-agent_${next}_${debArch}.deb`;
    const flip = (bytes: Buffer) => {
      const changed = Buffer.from(bytes);
      changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1;
      return changed;
    };
    const { code, output } = await tamper(
      pool,
      flip,
      "apt-get -q -y install --only-upgrade restic-manager-agent",
    );
    expect({ code, output }).toMatchObject({
      code: 100,
      output: expect.stringContaining("Hash Sum mismatch"),
    });
    expect(await installed()).toContain(`restic-manager-agent ${productVersion} installed`);
  });

  it("upgrades, and keeps configuration, state and what the operator disabled", async () => {
    await machine.shell(
      "mkdir -p /etc/restic-manager /var/lib/restic-manager && touch /var/lib/restic-manager/outbox",
    );
    await machine.shell("systemctl disable --quiet restic-manager-agent");
    await apt("install --only-upgrade restic-manager-agent");
    expect(await machine.shell("restic-manager-agent --version")).toBe(`${next}\n`);
    expect((await machine.run(["systemctl", "is-enabled", "restic-manager-agent"])).output).toBe(
      "disabled\n",
    );
    expect(await machine.shell("ls /var/lib/restic-manager")).toBe("outbox\n");
  });

  it("removes the program and keeps the state; purges that too", async () => {
    await apt("remove restic-manager-agent restic-manager-restic");
    const left = () =>
      machine.run(["sh", "-c", "ls -d /opt/restic-manager /etc/restic-manager /var/lib/restic-manager"]);
    const kept = await left();
    expect(kept.output).toMatch(/^\/etc\/restic-manager\n\/var\/lib\/restic-manager$/m);
    expect(kept.output).not.toMatch(/^\/opt\/restic-manager$/m);
    await apt("purge restic-manager-agent");
    expect((await left()).output).not.toMatch(/^\//m);
  });

  it("purges no folder in which a server keeps its database", async () => {
    const postrm = resolve(import.meta.dirname, "../../deploy/deb/restic-manager-agent/postrm");
    const database = "/var/lib/restic-manager/restic-manager.db";
    await machine.shell(`mkdir -p /var/lib/restic-manager && touch ${database}`);
    expect(await machine.shell(`sh ${postrm} purge`)).toContain(
      "/var/lib/restic-manager stays: a server keeps its database",
    );
    expect(
      await machine.shell(`rm ${database} && sh ${postrm} purge; ls -d ${database} 2>&1 || true`),
    ).toContain("No such file");
  });
});
