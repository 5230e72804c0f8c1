/**
 * The packages for Debian and their repository, with the real apt on a throw-away machine: subscribe, install, upgrade,
 * remove, purge; and what was changed on the way is refused.
 */
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join, resolve } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { artefactName, type ReleasePlatform } from "../../packages/protocol/src/release.ts";
import { productVersion } from "../../packages/protocol/src/version.ts";
import { type ListedDeb, writeAptRepository } from "../../tools/package/apt.ts";
import { openAptKey } from "../../tools/package/apt-key.ts";
import { debArchOf, debFileName, writeDeb } from "../../tools/package/deb.ts";
import { debsOf } from "../../tools/package/packages.ts";
import { quickBuild } from "../../tools/package/quick.ts";
import { Machine } from "../lab/machine.ts";

const root = resolve(import.meta.dirname, "../..");
const next = "9.9.9";
const madeAt = 1_780_000_000;
const platform: ReleasePlatform = { os: "linux", arch: process.arch === "arm64" ? "arm64" : "x64" };

let work: string;
let repository: string;
let server: Server;
let machine: Machine;

beforeAll(async () => {
  work = await mkdtemp("/var/tmp/rm-apt-");
  repository = join(work, "apt");
  server = serveFolder(() => repository);
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  machine = await Machine.boot({ init: "systemd" });
  await publish(productVersion);
  const { port } = server.address() as AddressInfo;
  const source = [
    "Types: deb",
    `URIs: http://127.0.0.1:${port}`,
    "Suites: stable",
    "Components: main",
    "Signed-By: /etc/apt/keyrings/restic-manager.asc",
  ].join("\n");
  await machine.shell("rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/* /var/lib/apt/lists/*");
  await machine.shell(`echo 'Acquire::http::Proxy::127.0.0.1 "DIRECT";' > /etc/apt/apt.conf.d/99-loopback`);
  await machine.shell(`mkdir -p /etc/apt/keyrings && cat > /etc/apt/keyrings/restic-manager.asc <<'KEY'
${await readFile(join(repository, "restic-manager.asc"), "utf8")}
KEY
cat > /etc/apt/sources.list.d/restic-manager.sources <<'SOURCE'
${source}
SOURCE`);
}, 120_000);

afterAll(async () => {
  await machine?.close();
  server?.close();
  await rm(work, { recursive: true, force: true });
});

function serveFolder(folder: () => string): Server {
  return createServer((request, response) => {
    readFile(join(folder(), new URL(request.url ?? "/", "http://x").pathname)).then(
      (bytes) => response.end(bytes),
      () => response.writeHead(404).end(),
    );
  });
}

/** Another state of the repository, with the agent in this version and a restic. */
async function publish(version: string): Promise<void> {
  await rm(repository, { recursive: true, force: true });
  const folder = await mkdtemp(join(work, "release-"));
  const agent = await quickBuild("restic-manager-agent", version === productVersion ? {} : { version });
  const name = artefactName({ program: "restic-manager-agent", version, ...platform });
  await copyFile(agent, join(folder, name));
  const restic = artefactName({ program: "restic", version: "0.19.1", ...platform });
  await writeFile(join(folder, restic), "#!/bin/sh\necho restic 0.19.1\n");
  await writeFile(join(folder, "THIRD-PARTY-LICENSES.txt"), "licences");
  const release = { root, folder, version, resticVersions: { [platform.arch]: "0.19.1" } };
  const debs: ListedDeb[] = [];
  for (const deb of debsOf(release, platform.arch, (program) => program === "restic-manager-agent")) {
    const control = await writeDeb(deb, folder, { epochSeconds: madeAt, compression: 1 });
    debs.push({ file: join(folder, debFileName(deb)), name: deb.name, arch: deb.arch, control });
  }
  await mkdir(repository);
  await writeAptRepository(repository, debs, openAptKey(root, process.env), madeAt);
}

/** Changes one file of the repository, looks what apt says, and puts it back. */
async function tamper(path: string, change: (bytes: Buffer) => Buffer, command: string) {
  const file = join(repository, path);
  const before = await readFile(file);
  await writeFile(file, change(before));
  try {
    return await machine.run(["sh", "-c", command], { DEBIAN_FRONTEND: "noninteractive" });
  } finally {
    await writeFile(file, before);
  }
}

const freshUpdate = "rm -rf /var/lib/apt/lists/*; apt-get -q update -o APT::Update::Error-Mode=any";
const installed = () =>
  machine.shell(`dpkg-query -W -f '\${Package} \${Version} \${db:Status-Status}\\n' 'restic-manager*'`);
const apt = (words: string) => machine.shell(`apt-get -q -y ${words}`, { DEBIAN_FRONTEND: "noninteractive" });

describe("apt", () => {
  it("refuses a list of packages that is not the signed one", async () => {
    const list = `dists/stable/main/binary-${debArchOf[platform.arch]}/Packages.gz`;
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
    const pool = `pool/main/restic-manager-agent/restic-manager-agent_${next}_${debArchOf[platform.arch]}.deb`;
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
});
