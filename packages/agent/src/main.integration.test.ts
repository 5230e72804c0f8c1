/** The agent's command line as a shell or a service sees it: words on stderr and exit codes. */
import { once } from "node:events";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { productVersion } from "@restic-manager/protocol/version";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FakeServer } from "../../testkit/src/agent-fake-server.ts";
import { ConnectProxy } from "../../testkit/src/connect-proxy.ts";
import { fillDisk, mountSmallDisk } from "../../testkit/src/small-disk.ts";
import {
  type AgentLab,
  createAgentLab,
  killProgram,
  runMain,
  startInProgram,
} from "../fixtures/agent/lab.ts";
import { type AgentConfig, saveConfig } from "./config.ts";

let lab: AgentLab;
beforeEach(async () => {
  lab = await createAgentLab();
});
afterEach(() => lab.remove());

/** Runs the agent to its end: exit code and everything it said. */
async function runToEnd(args: string[], env: Record<string, string> = {}) {
  lab.logLines.length = 0;
  const program = runMain(lab, args, env);
  const [code] = (await once(program, "close")) as [number | null];
  return { code, said: lab.logLines.join("") };
}

describe("the command line", () => {
  test("tells the version and the usage", async () => {
    expect(await runToEnd(["--version"])).toEqual({ code: 0, said: `${productVersion}\n` });
    expect(await runToEnd(["--help"])).toMatchObject({ code: 0, said: expect.stringContaining("Usage:") });
  });

  test.each([
    [["frobnicate"], 'There is no command "frobnicate".'],
    [["run", "now"], '"now" is one word too many.'],
    [["--frobnicate"], "frobnicate"],
    [["enrol", "--token", "t"], "--server"],
    [["enrol", "--server", "https://example.org"], "RM_TOKEN"],
  ])("refuses %j with code 2 and says why", async (args, reason) => {
    expect(await runToEnd(args)).toMatchObject({ code: 2, said: expect.stringContaining(reason) });
  });

  test("says in one sentence why it can't start", async () => {
    const missing = await runToEnd(["run", "--config", join(lab.dir, "none.yaml")]);
    expect(missing).toMatchObject({
      code: 1,
      said: expect.stringMatching(/^There is no configuration at .*\n$/),
    });
  });

  test("enrols with the token from the environment; the enrolled agent connects", async () => {
    server200(lab);
    const config = join(lab.dir, "etc", "agent.yaml");
    const args = ["enrol", "--config", config, "--data-dir", join(lab.dir, "enrolled")];
    const env = { RM_TOKEN: "the-token", RM_SERVER: lab.server.url, RM_RESTIC: lab.config.restic_path ?? "" };
    const enrolled = await runToEnd([...args, "--hostname", "box"], env);
    expect(enrolled).toMatchObject({ code: 0, said: expect.stringContaining("is enrolled") });
    expect(enrolled.said).not.toMatch(/the-token|test-bearer/);
    expect(await readFile(config, "utf8")).toContain("bearer: test-bearer");
    runMain(lab, ["--config", config]);
    await lab.server.until(() => lab.server.hellos.length > 0, "hello");
  });

  test("goes through HTTPS_PROXY to a server of RM_CA_FILE's authority: to enrol, as an agent and as a doctor", async () => {
    const file = (name: string) => fileURLToPath(new URL(`../fixtures/tls/link/${name}`, import.meta.url));
    const server = new FakeServer();
    server.tls = {
      key: await readFile(file("key.pem"), "utf8"),
      cert: await readFile(file("server.pem"), "utf8"),
    };
    await server.start();
    server200(lab, server);
    const proxy = new ConnectProxy(Number(new URL(server.url).port));
    proxy.login = "me:pr0xy-s3cret";
    await proxy.start();
    try {
      const config = join(lab.dir, "etc", "agent.yaml");
      const env = {
        ...{ HTTPS_PROXY: proxy.url.replace("//", "//me:pr0xy-s3cret@"), RM_TOKEN: "the-token" },
        ...{ RM_SERVER: "https://backup.example.org", RM_CA_FILE: file("authority.pem") },
        RM_RESTIC: lab.config.restic_path ?? "",
      };
      const args = ["--config", config, "--data-dir", join(lab.dir, "enrolled")];
      expect(await runToEnd(["enrol", ...args, "--hostname", "box"], env)).toMatchObject({ code: 0 });
      const doctor = await runToEnd(["doctor", "--config", config, "--json"], env);
      expect(doctor.said).toContain(proxy.url);
      expect(doctor.said).not.toMatch(/pr0xy-s3cret|test-bearer/);
      // The configuration alone says whom to believe from now on.
      const { HTTPS_PROXY } = env;
      const agent = runMain(lab, ["--config", config], { HTTPS_PROXY });
      await server.until(() => server.hellos.length > 0, "hello");
      await killProgram(agent);
      expect(lab.logLines.join("")).not.toContain("pr0xy-s3cret");
      expect(new Set(proxy.asked.map(({ target }) => target))).toEqual(new Set(["backup.example.org:443"]));
    } finally {
      await proxy.stop();
      await server.stop();
    }
  });

  test("refuses secrets that it can't read, and leaves them alone", async () => {
    const secrets = join(lab.config.data_dir, "secrets.enc");
    await mkdir(lab.config.data_dir);
    await writeFile(secrets, "damaged");
    await expect(startInProgram(lab)).rejects.toMatchObject({ code: "secrets.unreadable" });
    expect(await readFile(secrets, "utf8")).toBe("damaged");
  });
});

describe("the doctor ends", () => {
  /** Of a host that is enrolled; what is wrong with it is the test's. */
  async function diagnosed(change: Partial<AgentConfig> = {}) {
    lab.server.onHttp = (_request, response) => {
      response.writeHead(200, { "content-type": "application/json" }).end('{"version":"0.1.0"}');
    };
    const config = join(lab.dir, "agent.yaml");
    await saveConfig(config, { ...lab.config, ...change });
    return runToEnd(["doctor", "--config", config]);
  }

  test("with 1 when something failed", async () => {
    const config = join(lab.dir, "none.yaml");
    const ill = await runToEnd(["doctor", "--config", config, "--server", "http://127.0.0.1:1"]);
    expect(ill).toMatchObject({ code: 1, said: expect.stringMatching(/^failed {3}tcp .*ECONNREFUSED/m) });
  });

  test.each([
    [50, false, 1, /^failed {3}disk {11}\d+ MiB free at \/\S+: restic's cache .* need more; make room\.$/m],
    [500, false, 0, /^warning {2}disk {11}\d+ MiB free at \/\S+: make room soon\.$/m],
    [24, true, 1, /^failed {3}disk {11}0 MiB free at \/\S+: restic's cache .* need more; make room\.$/m],
  ])("on a disk of %i MiB, full: %s, with %i and a line about it", async (mebibytes, isFull, code, line) => {
    const disk = lab.config.data_dir;
    const unmount = await mountSmallDisk(disk, mebibytes * 1024 * 1024);
    try {
      if (isFull) await fillDisk(disk);
      const { code: ended, said } = await diagnosed();
      expect(said).toMatch(line);
      expect({ ended, said }).toMatchObject({ ended: code });
    } finally {
      await unmount();
    }
  });

  test("with 1 on a disk that has no place for one more file, which is called full", async () => {
    const unmount = await mountSmallDisk(lab.config.data_dir, 24 * 1024 * 1024, 2);
    try {
      await writeFile(join(lab.config.data_dir, "last"), "");
      const { code, said } = await diagnosed();
      expect(said).toMatch(
        /^failed {3}data folder {4}\/\S+ can't be written: the disk is full, or has no place for/m,
      );
      expect(code).toBe(1);
    } finally {
      await unmount();
    }
  });

  test("with 0 on plain http to another machine, of which it warns", async () => {
    // An address that leads here and is none of the loopback's.
    const server = lab.server.url.replace("127.0.0.1", "0.0.0.0");
    const { code, said } = await diagnosed({ server });
    expect(said).toMatch(
      /^warning {2}tls {12}The connection is not encrypted: put a reverse proxy with a certificate/m,
    );
    expect({ code, said }).toMatchObject({ code: 0 });
    const own = await diagnosed();
    expect(own.said).toMatch(/^ok {7}tls {12}None: the server is on this machine\.$/m);
    expect(own.code).toBe(0);
  });
});

/** Lets the lab's server take every enrolment. */
function server200(target: AgentLab, server: FakeServer = target.server): void {
  server.onHttp = (request, response) => {
    request.resume();
    response.writeHead(200, { "content-type": "application/json" });
    response.end(
      JSON.stringify({ host_id: target.config.host_id, bearer: target.server.bearer, cert_pin: null }),
    );
  };
}
