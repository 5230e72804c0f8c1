/** The agent's command line as a shell or a service sees it: words on stderr and exit codes. */
import { once } from "node:events";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { productVersion } from "@restic-manager/protocol/version";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type AgentLab, createAgentLab, runMain, startInProgram } from "../fixtures/agent/lab.ts";

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

  test("refuses secrets that it can't read, and leaves them alone", async () => {
    const secrets = join(lab.config.data_dir, "secrets.enc");
    await mkdir(lab.config.data_dir);
    await writeFile(secrets, "damaged");
    await expect(startInProgram(lab)).rejects.toMatchObject({ code: "secrets.unreadable" });
    expect(await readFile(secrets, "utf8")).toBe("damaged");
  });
});

/** Lets the lab's server take every enrolment. */
function server200(target: AgentLab): void {
  target.server.onHttp = (request, response) => {
    request.resume();
    response.writeHead(200, { "content-type": "application/json" });
    response.end(
      JSON.stringify({ host_id: target.config.host_id, bearer: target.server.bearer, cert_pin: null }),
    );
  };
}
