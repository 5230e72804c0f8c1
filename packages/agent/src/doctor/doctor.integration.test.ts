/** The doctor: each thing is broken on purpose and must be named, with what to do. */
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { AgentFakeClock } from "../../../testkit/src/agent-clock.ts";
import { FakeServer } from "../../../testkit/src/agent-fake-server.ts";
import { ConnectProxy } from "../../../testkit/src/connect-proxy.ts";
import { type AgentConfig, loadConfig, saveConfig } from "../config.ts";
import { systemClock } from "../platform/clock.ts";
import { systemRandom } from "../platform/random.ts";
import { type DoctorDeps, type DoctorOptions, examine, printed, printedJson } from "./doctor.ts";

const file = (name: string) => fileURLToPath(new URL(`../../fixtures/tls/link/${name}`, import.meta.url));
const authority = file("authority.pem");
const DAY_MS = 86_400_000;
const UNIT = "LoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=enabled\nResult=success";

let dir: string;
let server: FakeServer;
let proxy: ConnectProxy | undefined;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "agent-doctor-"));
  await mkdir(join(dir, "bin"));
  await mkdir(join(dir, "data"), { mode: 0o700 });
  await program("restic", 'echo "restic 0.19.1 compiled with go1.25 on linux/amd64"');
  await program("systemctl", `echo "${UNIT}"`);
  server = new FakeServer();
  server.onHttp = (_request, response) => answerVersion(response);
});
afterEach(async () => {
  await proxy?.stop();
  proxy = undefined;
  await server.stop();
  await chmod(dir, 0o700);
  await rm(dir, { recursive: true });
});

async function program(name: string, script: string): Promise<void> {
  await writeFile(join(dir, "bin", name), `#!/bin/sh\n${script}\n`);
  await chmod(join(dir, "bin", name), 0o755);
}

function answerVersion(response: ServerResponse, offMs = 0): void {
  const date = new Date(Date.now() + offMs).toUTCString();
  response.writeHead(200, { "content-type": "application/json", date });
  response.end('{"version":"0.1.0"}');
}

async function startTls(certificate = "server.pem"): Promise<void> {
  server.tls = {
    key: await readFile(file("key.pem"), "utf8"),
    cert: await readFile(file(certificate), "utf8"),
  };
  await server.start();
}

async function enrolled(change: Partial<AgentConfig> = {}): Promise<void> {
  await saveConfig(join(dir, "agent.yaml"), {
    ...{ server: server.url, host_id: "01KAQ2TZY8X6W4V2T0S9R7Q5PN", bearer: server.bearer },
    ...{ cert_pin: null, ca_file: authority, secrets_key: Buffer.alloc(32, 7).toString("base64") },
    ...{ data_dir: join(dir, "data"), restic_path: null, allow_hooks: true, log_level: "info" as const },
    ...change,
  });
}

async function diagnose(options: Partial<DoctorOptions> = {}, deps: Partial<DoctorDeps> = {}) {
  const diagnosis = await examine(
    {
      ...{ clock: systemClock(), random: systemRandom(), platform: process.platform, uid: 0, loadConfig },
      ...{ env: { PATH: join(dir, "bin") }, executablePath: join(dir, "agent"), ...deps },
    },
    {
      ...{ configPath: join(dir, "agent.yaml"), defaultDataDir: join(dir, "data") },
      ...{ server: server.url, caFile: undefined, dataDir: undefined, ...options },
    },
  );
  const line = (name: string) => diagnosis.findings.find((finding) => finding.name === name);
  return { diagnosis, line };
}

describe("a healthy host", () => {
  test("has a line for everything, and every one is ok", async () => {
    await startTls();
    await enrolled();
    const { diagnosis } = await diagnose();
    expect(diagnosis.findings.map(({ name, status }) => `${name} ${status}`)).toEqual([
      ...["configuration ok", "url ok", "proxy ok", "dns ok", "tcp ok", "tls ok", "http ok", "clock ok"],
      ...["websocket ok", "enrolment ok", "restic ok", "rights ok"],
      ...["config_folder ok", "data_folder ok", "disk ok", "service ok"],
    ]);
    expect(diagnosis.healthy).toBe(true);
    expect(printed(diagnosis)).toMatch(/\n16 ok, 0 warnings, 0 failed$/);
    expect(JSON.parse(printedJson(diagnosis))).toMatchObject({ healthy: true, findings: { length: 16 } });
  });

  test("is told before it is enrolled, as a warning only", async () => {
    await startTls();
    const { diagnosis, line } = await diagnose({ caFile: authority });
    expect(diagnosis.healthy).toBe(true);
    expect(line("configuration")).toMatchObject({ status: "warning" });
    expect(line("enrolment")).toMatchObject({ status: "warning", message: expect.stringContaining("enrol") });
    expect(line("http")).toMatchObject({ message: "restic-manager server 0.1.0 answers." });
  });

  test("is reached through the proxy of the environment, whose login is never shown", async () => {
    await startTls();
    proxy = new ConnectProxy(Number(new URL(server.url).port));
    proxy.login = "me:s3cret";
    await proxy.start();
    const env = { PATH: join(dir, "bin"), HTTPS_PROXY: proxy.url.replace("//", "//me:s3cret@") };
    const named = { server: "https://backup.example.org", caFile: authority };
    const { diagnosis, line } = await diagnose(named, { env });
    expect(diagnosis.healthy).toBe(true);
    expect(line("proxy")).toMatchObject({ message: `${proxy.url}, by HTTPS_PROXY.` });
    expect(line("websocket")).toMatchObject({ status: "ok" });
    expect(printedJson(diagnosis)).not.toContain("s3cret");
  });
});

describe("the way to the server", () => {
  const failing = (name: string, code: string, words: string) =>
    [name, { status: "failed", code, message: expect.stringContaining(words) }] as const;

  test.each([
    ["backup.example.org", "enrol.invalid_server", "https://"],
    ["https://me:pw@backup.example.org", "enrol.invalid_server", "must not contain"],
  ])("with the address %s is refused before anything is asked", async (address, code, words) => {
    const { line, diagnosis } = await diagnose({ server: address });
    const [name, expected] = failing("url", code, words);
    expect(line(name)).toMatchObject(expected);
    expect(printedJson(diagnosis)).not.toContain("me:pw");
  });

  test("below a path is said not to be supported", async () => {
    await server.start();
    const { line } = await diagnose({ server: `${server.url}/backup` });
    expect(line("url")).toMatchObject({
      status: "failed",
      message: expect.stringContaining("host name of its own"),
    });
  });

  test("without an address asks for one", async () => {
    const { line } = await diagnose({ server: undefined });
    expect(line("url")).toMatchObject({ status: "failed", message: expect.stringContaining("--server") });
  });

  test("without the name: what builds on it is not looked at", async () => {
    const { line } = await diagnose({ server: "https://no-such-host.invalid" });
    expect(line("dns")).toMatchObject({ status: "failed", code: expect.stringMatching(/^connect\.dns_/) });
    expect(line("tls")).toMatchObject({ status: "skipped" });
    expect(line("restic")).toMatchObject({ status: "ok" });
  });

  test("where nobody listens", async () => {
    await server.start();
    await server.stop();
    const { line } = await diagnose();
    const [name, expected] = failing("tcp", "connect.refused", "Nobody listens");
    expect(line(name)).toMatchObject(expected);
    expect(line("http")).toMatchObject({ status: "skipped" });
  });

  test.each([
    ["expired.pem", "connect.certificate_expired", "has expired"],
    ["future.pem", "connect.certificate_not_yet_valid", "not valid yet"],
    ["other-name.pem", "connect.certificate_name", "for another name"],
  ])("with the certificate %s shows who signed it and until when", async (certificate, code, words) => {
    await startTls(certificate);
    const { line } = await diagnose({ caFile: authority });
    expect(line("tls")).toMatchObject({ status: "failed", code, message: expect.stringContaining(words) });
    expect(line("tls")?.message).toMatch(/by restic-manager test authority of servers, valid until \d{4}-/);
    expect(line("http")).toMatchObject({ status: "failed", code });
  });

  test("with a certificate that was not renewed in time is warned of", async () => {
    await startTls();
    const clock = new AgentFakeClock(Date.UTC(2119, 11, 25));
    const { line } = await diagnose({ caFile: authority }, { clock });
    expect(line("tls")).toMatchObject({ status: "warning", message: expect.stringContaining("(7 days)") });
  });

  test("with a certificate of nobody's says where its authority goes", async () => {
    await startTls();
    await enrolled({ ca_file: null });
    const { line } = await diagnose();
    const [name, expected] = failing("tls", "connect.certificate_unknown", "--ca-file");
    expect(line(name)).toMatchObject(expected);
    expect(server.bearers).not.toContain(`Bearer ${server.bearer}`);
  });

  test("with another certificate than the pinned one", async () => {
    await startTls();
    await enrolled({ cert_pin: `sha256:${"00".repeat(32)}` });
    const { line } = await diagnose();
    expect(line("tls")).toMatchObject({ status: "failed", message: expect.stringContaining("cert_pin") });
    expect(line("enrolment")).toMatchObject({ status: "failed", code: "connect.pin_mismatch" });
    expect(server.bearers).not.toContain(`Bearer ${server.bearer}`);
  });

  test("by https to a port without TLS, and by http to one with it", async () => {
    await server.start();
    const https = await diagnose({ server: server.url.replace("http:", "https:") });
    const [name, expected] = failing("tls", "connect.no_tls_there", "does not speak TLS");
    expect(https.line(name)).toMatchObject(expected);
    await server.stop();
    await startTls();
    const http = await diagnose({ server: server.url.replace("https:", "http:") });
    expect(http.line("http")).toMatchObject({
      status: "failed",
      message: expect.stringContaining("https://"),
    });
  });

  test("with a file of authorities that is none", async () => {
    await startTls();
    const { line } = await diagnose({ caFile: join(dir, "none.pem") });
    const [name, expected] = failing("tls", "connect.ca_file_invalid", "no such file");
    expect(line(name)).toMatchObject(expected);
  });

  test("with a proxy that is none", async () => {
    const { line } = await diagnose(
      { server: "https://backup.example.org" },
      { env: { PATH: join(dir, "bin"), HTTPS_PROXY: "socks5://me:s3cret@proxy" } },
    );
    const [name, expected] = failing("proxy", "connect.proxy_invalid", "HTTP proxy");
    expect(line(name)).toMatchObject(expected);
    expect(line("dns")).toMatchObject({ status: "skipped" });
  });

  test.each([
    ["another program", 404, "<html>", "connect.wrong_path"],
    ["a proxy without its server", 502, "", "connect.server_down"],
    ["a captive portal", 200, "<html>Welcome to our hotel", "connect.captive_portal"],
  ])("that ends at %s", async (_what, status, body, code) => {
    server.onHttp = (_request, response) => response.writeHead(status).end(body);
    await server.start();
    const { line } = await diagnose();
    expect(line("http")).toMatchObject({ status: "failed", code });
  });

  test("that redirects elsewhere names where", async () => {
    server.onHttp = (_request, response) =>
      response.writeHead(308, { location: "https://backup.example.org/api/version" }).end();
    await server.start();
    const { line } = await diagnose();
    const [name, expected] = failing("http", "connect.redirected", "give https://backup.example.org");
    expect(line(name)).toMatchObject(expected);
  });

  test.each([200, 400, 426])("that loses upgrades (HTTP %i) points to the reverse proxy", async (status) => {
    await server.start();
    server.answerUpgrade = status;
    const { line } = await diagnose();
    const [name, expected] = failing("websocket", "connect.upgrade_lost", "docs/reverse-proxy.md");
    expect(line(name)).toMatchObject(expected);
    expect(line("http")).toMatchObject({ status: "ok" });
  });

  test("that never answers is given up after five seconds", async () => {
    const clock = new AgentFakeClock();
    server.onHttp = () => void clock.advance(5_000);
    await server.start();
    const { line } = await diagnose({}, { clock });
    expect(line("http")).toMatchObject({ status: "failed", message: expect.stringContaining("5 seconds") });
    expect(line("clock")).toMatchObject({ status: "skipped" });
  });

  test("without encryption is a warning, except on this machine", async () => {
    await server.start();
    expect((await diagnose()).line("tls")).toMatchObject({ status: "ok" });
  });
});

describe("this machine", () => {
  test.each([
    [DAY_MS, "1 day behind"],
    [-DAY_MS, "1 day ahead of"],
  ])("has a clock that is a day off", async (offMs, words) => {
    server.onHttp = (_request, response) => answerVersion(response, offMs);
    await server.start();
    const { line } = await diagnose();
    expect(line("clock")).toMatchObject({ status: "failed", message: expect.stringContaining(words) });
  });

  test("is not known to the server", async () => {
    await server.start();
    await enrolled({ bearer: "of-another-life" });
    const { line, diagnosis } = await diagnose();
    expect(line("enrolment")).toMatchObject({
      status: "failed",
      message: expect.stringContaining("--force"),
    });
    expect(printedJson(diagnosis)).not.toContain("of-another-life");
  });

  test("never shows its bearer to another server than its own", async () => {
    await server.start();
    await enrolled({ server: "https://backup.example.org" });
    const { line } = await diagnose();
    expect(line("url")?.message).toContain("not the server of agent.yaml");
    expect(line("enrolment")).toMatchObject({ status: "warning" });
    expect(server.bearers.filter((bearer) => bearer !== undefined)).toEqual([]);
  });

  test("has no restic, or an old one", async () => {
    await rm(join(dir, "bin", "restic"));
    expect((await diagnose({ server: undefined })).line("restic")).toMatchObject({
      ...{ status: "failed", code: "restic.missing" },
      message: expect.stringContaining("Install restic"),
    });
    await program("restic", 'echo "restic 0.14.0 compiled with go1.19 on linux/amd64"');
    expect((await diagnose({ server: undefined })).line("restic")).toMatchObject({
      ...{ status: "failed", code: "restic.too_old" },
      message: expect.stringContaining("0.14.0"),
    });
  });

  test("is looked at without root", async () => {
    const { line } = await diagnose({ server: undefined }, { uid: 1000 });
    expect(line("rights")).toMatchObject({ status: "warning", message: expect.stringContaining("root") });
  });

  test("has a configuration that is damaged, or that others can read", async () => {
    await writeFile(join(dir, "agent.yaml"), "bearer: very-secret\n");
    const { line, diagnosis } = await diagnose({ server: undefined });
    expect(line("configuration")).toMatchObject({ status: "failed", code: "config.invalid" });
    expect(printedJson(diagnosis)).not.toContain("very-secret");
    await server.start();
    await enrolled();
    await chmod(join(dir, "agent.yaml"), 0o644);
    expect((await diagnose()).line("configuration")).toMatchObject({
      ...{ status: "warning", message: expect.stringContaining("chmod 600") },
    });
  });

  test("has data that others can look into, or folders that can't be made", async () => {
    await chmod(join(dir, "data"), 0o755);
    expect((await diagnose({ server: undefined })).line("data_folder")).toMatchObject({
      ...{ status: "warning", message: expect.stringContaining("chmod 700") },
    });
    await writeFile(join(dir, "file"), "");
    // Nobody, root included, makes a file in /proc.
    for (const configPath of ["/proc/agent.yaml", join(dir, "file", "agent.yaml")]) {
      const { line } = await diagnose({ server: undefined, configPath });
      expect(line("config_folder")).toMatchObject({ status: "failed" });
    }
  });

  test.each([
    ['echo "LoadState=not-found"', "warning", "install.sh"],
    [`echo "${UNIT.replace("=active", "=failed")}"`, "failed", "systemctl start restic-manager-agent"],
    [`echo "${UNIT.replace("enabled", "disabled")}"`, "warning", "systemctl enable"],
    ["echo not booted with systemd >&2; exit 1", "warning", "No systemd"],
  ])("whose systemctl says %j", async (script, status, words) => {
    await program("systemctl", script);
    const env = { PATH: `${join(dir, "bin")}:${process.env.PATH}` };
    const { line } = await diagnose({ server: undefined }, { env });
    expect(line("service")).toMatchObject({ status, message: expect.stringContaining(words) });
  });

  test.each([
    ["4  RUNNING", "2   AUTO_START", "ok", "starts with the machine"],
    ["1  STOPPED", "2   AUTO_START", "failed", "Start-Service"],
    ["4  LAEUFT", "3   DEMAND_START", "warning", "start=auto"],
  ])(
    "that is a Windows machine whose service control manager says %s, %s",
    async (state, setup, status, words) => {
      const script = `[ "$1" = query ] && echo "  STATE  : ${state}" || echo "  START_TYPE : ${setup}"`;
      await program("sc.exe", script);
      await program("whoami", "echo S-1-16-12288");
      const { line } = await diagnose({ server: undefined }, { platform: "win32" });
      expect(line("service")).toMatchObject({ status, message: expect.stringContaining(words) });
      expect(line("rights")).toMatchObject({ status: "ok" });
    },
  );
});
