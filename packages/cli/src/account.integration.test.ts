/** rmctl without a host: logging in, tokens and the trail, and machines that want to become hosts. */
import { AnnouncedMachine, CliWorld, startTestServer, type TestServer } from "@restic-manager/testkit";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { run } from "./rmctl.ts";

let server: TestServer;
let world: CliWorld;
const tokens: Record<string, string> = {};

beforeAll(async () => {
  server = await startTestServer();
  for (const role of ["admin", "operator"]) {
    const made = await server.admin.post("/api/auth/tokens", { name: role, role });
    tokens[role] = String(made.body.token);
  }
});
afterAll(() => server?.stop());
beforeEach(() => {
  world = new CliWorld({ RM_SERVER: server.url, RM_API_TOKEN: tokens.admin });
  world.at = server.clock.now();
});
afterEach(() => world.remove());

/** Runs one command line. */
async function rmctl(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  const code = await run(argv, world);
  return { code, ...world.take() };
}

describe("logging in", () => {
  beforeEach(() => {
    world.env = {};
  });

  it("checks the token, keeps it for its owner alone, and logging out forgets it", async () => {
    world.typed = ` ${tokens.operator}\n`;
    expect((await rmctl("login", server.url)).out).toMatch(
      /^Logged in to http.* as admin \(operator\); kept in /,
    );
    expect((await rmctl("whoami")).out).toMatch(/^Server +http:\S+ \(\S+\)\nUser +admin\nRole +operator\n$/);
    expect((await rmctl("logout")).out).toMatch(/^Logged out/);
    expect(await rmctl("whoami")).toMatchObject({
      code: 11,
      err: expect.stringContaining("cli.not_logged_in"),
    });
  });

  it("ends at Ctrl+C, and at no token, before anything is asked", async () => {
    world.typed = null;
    expect((await rmctl("login", server.url)).code).toBe(130);
    world.typed = "\n";
    expect((await rmctl("login", server.url)).code).toBe(2);
  });

  it("sends no token over plain http to another machine, unless that is accepted in so many words", async () => {
    // Whoever is asked for the token ends here with 130.
    world.typed = null;
    const refused = await rmctl("login", "http://backup.invalid");
    expect(refused).toMatchObject({ code: 2, err: expect.stringContaining("--insecure") });
    const accepted = await rmctl("login", "http://backup.invalid", "--insecure");
    expect(accepted).toMatchObject({ code: 130, err: expect.stringMatching(/^Warning: Over http:/) });
  });

  it("keeps nothing of a token that the server does not know, and repeats it nowhere", async () => {
    world.typed = "rmt_guessed";
    const refused = await rmctl("login", server.url);
    expect(refused.code).toBe(11);
    expect(refused.out + refused.err).not.toContain("guessed");
    expect((await rmctl("whoami")).err).toContain("cli.not_logged_in");
    expect((await rmctl("login", server.url, "rmt_in-argv")).err).not.toContain("rmt_in-argv");
  });
});

describe("tokens and the trail", () => {
  it("list the tokens, which are made in the browser, and revoke one by name", async () => {
    const expires_at = new Date(server.clock.now() + 7 * 24 * 60 * 60_000).toISOString();
    const wish = { name: "script", role: "viewer", expires_at };
    const made = await server.admin.post("/api/auth/tokens", wish);
    expect((await rmctl("tokens", "list")).out).toMatch(/^script +viewer +\S.*never +in 7d$/m);
    expect((await rmctl("help", "tokens", "list")).out).toContain("They are made in the browser");
    expect((await rmctl("tokens", "revoke", "script")).out).toBe('The token "script" is revoked.\n');
    world.env = { ...world.env, RM_API_TOKEN: String(made.body.token) };
    expect(await rmctl("whoami")).toMatchObject({
      code: 11,
      err: expect.stringContaining("auth.token_invalid"),
    });
  });

  it("name the token beside the user", async () => {
    const { out } = await rmctl("audit", "list", "--action", "api_token.revoke", "--limit", "1");
    expect(out).toMatch(/ admin \(admin\) +api_token\.revoke +api_token script$/m);
  });
});

describe("machines that wait", () => {
  it("are shown with their fingerprint, accepted by the whole of it, and rejected with a reason", async () => {
    expect((await rmctl("pending", "list")).out).toBe("No machine waits.\n");
    const machine = new AnnouncedMachine(server, "cellar-01");
    const { socket } = await machine.wait({ note: "in the cellar" });
    const { out } = await rmctl("pending", "list");
    expect(out).toContain(`Fingerprint  ${machine.fingerprint}\n`);
    expect(out).toContain("in the cellar");
    const accept = ["pending", "accept", machine.fingerprint, "--repository", "/srv/repo-cellar"];
    expect(
      (await rmctl("pending", "accept", machine.fingerprint.slice(0, 20), ...accept.slice(3))).code,
    ).toBe(13);
    expect((await rmctl(...accept, "--env", "AWS_KEY=secret")).err).not.toContain("secret");
    world.env = { ...world.env, RM_REPO_PASSWORD: "Encrypts-Everything-1" };
    const accepted = await rmctl(...accept, "--name", "cellar", "--tag", "prod");
    expect(accepted, accepted.err).toMatchObject({ code: 0, out: expect.stringMatching(/^Host id +\S+\n$/) });
    expect(await socket.next("pending.accepted")).toMatchObject({ host_name: "cellar" });
    const stranger = new AnnouncedMachine(server, "stranger");
    const waiting = await stranger.wait();
    expect((await rmctl("pending", "reject", stranger.fingerprint, "--reason", "Unknown.")).out).toMatch(
      /sent away/,
    );
    expect(await waiting.socket.next("pending.refused")).toMatchObject({
      message: expect.stringContaining("Unknown."),
    });
  });
});
