/** Enrolment: what is written, what is refused, and that a token is not spent in vain. */
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { AgentFakeClock } from "../../testkit/src/agent-clock.ts";
import { FakeServer } from "../../testkit/src/agent-fake-server.ts";
import { loadConfig } from "./config.ts";
import { systemRandom } from "./platform/random.ts";
import { Secrets } from "./platform/secrets.ts";
import { type EnrolHostOptions, enrolHost } from "./start.ts";

const ANSWER = { host_id: "01KAQ2TZY8X6W4V2T0S9R7Q5PN", bearer: "new-bearer", cert_pin: null };
const TOKEN = "one-time-token-of-the-test";

let dir: string;
let server: FakeServer;
let requests: { url: string; body: unknown }[];
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "agent-enrol-"));
  server = new FakeServer();
  await server.start();
  requests = [];
  answer(200, ANSWER);
});
afterEach(async () => {
  await server.stop();
  await chmod(dir, 0o700);
  await rm(dir, { recursive: true, force: true });
});

function answer(status: number, body: unknown): void {
  server.onHttp = (request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      requests.push({ url: request.url ?? "", body: JSON.parse(Buffer.concat(chunks).toString()) });
      response.writeHead(status, { "content-type": "application/json" });
      response.end(typeof body === "string" ? body : JSON.stringify(body));
    });
  };
}

const configPath = () => join(dir, "etc", "agent.yaml");

function enrolMachine(change: Partial<EnrolHostOptions> = {}) {
  const deps = {
    clock: new AgentFakeClock(),
    random: systemRandom(),
    machine: { hostname: "db-01", os: "linux", arch: "x64", machineId: null, bootId: null },
    env: { PATH: "" },
    platform: process.platform,
    executablePath: join(dir, "agent"),
    fetch,
  };
  const options = {
    ...{ server: server.url, token: TOKEN, hostname: undefined, configPath: configPath() },
    ...{ dataDir: join(dir, "data"), resticPath: undefined, force: false, caFile: null },
  };
  return enrolHost(deps, { ...options, ...change });
}

describe("enrolling", () => {
  test("sends who the machine is and writes a private configuration", async () => {
    const enrolled = await enrolMachine();
    expect(enrolled).toMatchObject({ host_id: ANSWER.host_id, bearer: ANSWER.bearer });
    expect(requests).toMatchObject([
      {
        url: "/api/agents/enroll",
        body: { token: TOKEN, hostname: "db-01", os: "linux", restic_version: null },
      },
    ]);
    const { config, warnings } = await loadConfig(configPath());
    expect(config).toMatchObject({ ...ANSWER, server: server.url, data_dir: join(dir, "data") });
    expect(Buffer.from(config.secrets_key, "base64")).toHaveLength(32);
    expect(warnings).toEqual([]);
    expect((await stat(configPath())).mode & 0o777).toBe(0o600);
    expect(await readFile(configPath(), "utf8")).not.toContain(TOKEN);
  });

  test("warns about a missing restic but goes on", async () => {
    expect((await enrolMachine()).warnings).toContainEqual(expect.stringContaining("restic was not found"));
  });

  test.each([
    [-86_400_000, "behind"],
    [86_400_000, "ahead"],
  ])("warns about a clock that is a day off (%i ms)", async (offMs, word) => {
    const date = new Date(new AgentFakeClock().nowMs() - offMs).toUTCString();
    server.onHttp = (request, response) => {
      request.resume().on("end", () => {
        response.writeHead(200, { "content-type": "application/json", date });
        response.end(JSON.stringify(ANSWER));
      });
    };
    const { warnings } = await enrolMachine();
    expect(warnings).toContainEqual(expect.stringMatching(new RegExp(`clock is 1 day ${word}`)));
  });

  test("writes down whose certificates are believed", async () => {
    await enrolMachine({ caFile: "/etc/ssl/company.pem" });
    expect((await loadConfig(configPath())).config.ca_file).toBe("/etc/ssl/company.pem");
  });

  test("keeps a path that stands before the server's API", async () => {
    await enrolMachine({ server: `${server.url}/restic/` });
    expect(requests[0]?.url).toBe("/restic/api/agents/enroll");
    expect((await loadConfig(configPath())).config.server).toBe(`${server.url}/restic`);
  });

  test("again needs --force, and then keeps the key of secrets that are there", async () => {
    await enrolMachine();
    await expect(enrolMachine()).rejects.toMatchObject({ code: "enrol.already_enrolled" });
    const before = (await loadConfig(configPath())).config.secrets_key;
    const secretsPath = join(dir, "data", "secrets.enc");
    await (await Secrets.open(secretsPath, Buffer.from(before, "base64"))).put("slot", "kept");
    await enrolMachine({ force: true });
    const after = (await loadConfig(configPath())).config.secrets_key;
    expect((await Secrets.open(secretsPath, Buffer.from(after, "base64"))).find("slot")).toBe("kept");
  });
});

describe("a refusal", () => {
  test.each([
    [401, "enrolment.token_invalid", "This token is not known."],
    [410, "enrolment.token_expired", "This token has expired."],
    [409, "enrolment.token_used", "This token was used already."],
    [409, "hosts.name_taken", "There is a host of this name."],
  ])("with %i %s is told in the server's words, and nothing is written", async (status, code, message) => {
    answer(status, { code, message: `${message} ${TOKEN}`, request_id: "r1" });
    const error = await enrolMachine().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code, message: expect.stringContaining(message) });
    expect(String(error)).not.toContain(TOKEN);
    await expect(loadConfig(configPath())).rejects.toMatchObject({ code: "config.missing" });
  });

  test.each([
    ["a page of something else", 200, "<html>hello</html>", "connect.captive_portal"],
    ["an answer without a bearer", 200, { host_id: ANSWER.host_id }, "connect.not_restic_manager"],
    ["another program's 404", 404, "<html>nginx</html>", "connect.wrong_path"],
    ["another program's 405", 405, "", "connect.wrong_path"],
    ["a proxy without its server", 502, "Bad gateway", "connect.server_down"],
  ])("by %s says who answered", async (_name, status, body, code) => {
    answer(status, body);
    await expect(enrolMachine()).rejects.toMatchObject({ code });
  });

  test.each([301, 308])(
    "of a redirect (%i) names where it leads, and the token goes nowhere",
    async (status) => {
      server.onHttp = (request, response) => {
        requests.push({ url: request.url ?? "", body: null });
        response.writeHead(status, { location: "https://backup.example.org/api/agents/enroll" }).end();
      };
      await expect(enrolMachine()).rejects.toMatchObject({
        code: "connect.redirected",
        message: expect.stringContaining("give https://backup.example.org as its address"),
      });
      expect(requests).toHaveLength(1);
    },
  );

  test("of the network names server and reason", async () => {
    await server.stop();
    await expect(enrolMachine()).rejects.toMatchObject({
      code: "connect.refused",
      message: expect.stringMatching(/127\.0\.0\.1.*ECONNREFUSED/),
    });
  });
});

describe("before the token is spent", () => {
  afterEach(() => expect(requests).toEqual([]));

  test.each(["backup.example.org", "ftp://backup.example.org", "https://user:pw@backup.example.org", ""])(
    "the address %j is refused",
    async (address) => {
      await expect(enrolMachine({ server: address })).rejects.toMatchObject({ code: "enrol.invalid_server" });
    },
  );

  test("a host name that can't be one is refused", async () => {
    await expect(enrolMachine({ hostname: "not a name" })).rejects.toMatchObject({
      code: "enrol.invalid_input",
      message: expect.stringContaining("hostname"),
    });
  });

  test("a directory that can't be written is refused", async () => {
    await writeFile(join(dir, "file"), "");
    await expect(enrolMachine({ dataDir: join(dir, "file", "data") })).rejects.toMatchObject({
      code: "enrol.not_writable",
    });
  });
});
