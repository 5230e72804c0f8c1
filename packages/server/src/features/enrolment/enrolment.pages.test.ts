/** "Add host" as a browser sees it: errors that keep what was typed, secrets once, the panel that turns green. */
import { execFileSync } from "node:child_process";
import {
  buildTestApp,
  FakeClock,
  find,
  openTestDatabase,
  parseHtml,
  type TestDatabase,
  testIdentity,
  testPage,
  textOf,
} from "@restic-manager/testkit";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { EventBus } from "../../platform/events.ts";
import type { Role } from "../../platform/http/identity.ts";
import type { App } from "../../platform/http/route.ts";
import { createLog } from "../../platform/log.ts";
import { createSecretBox } from "../../platform/secrets.ts";
import { offlineAfterMs, recordHello } from "../hosts/hosts.ts";
import { registerEnrolmentPages } from "./enrolment.pages.tsx";
import { type EnrolmentDeps, enrol, tokenLifetimeMs } from "./enrolment.ts";
import type { InstallerKind } from "./installer.ts";

let database: TestDatabase;
let app: App;
let clock: FakeClock;
let role: Role;
let deps: EnrolmentDeps;
let scripts: Record<InstallerKind, string | null>;

beforeEach(async () => {
  database = await openTestDatabase("sqlite");
  clock = new FakeClock();
  role = "operator";
  app = (await buildTestApp({ identify: async () => testIdentity(role) })).app;
  deps = {
    db: database.db,
    box: createSecretBox(Buffer.alloc(32, 7)),
    clock,
    events: new EventBus(createLog("silent")),
    onEnrolled: () => Promise.resolve(),
  };
  scripts = { sh: "#!/bin/sh\necho installs\n", ps1: null };
  const readInstaller = async (kind: InstallerKind) => scripts[kind];
  registerEnrolmentPages(app, { ...deps, baseUrl: undefined, page: testPage, readInstaller });
});
afterEach(async () => {
  await app.close();
  await database.close();
});

const headers = { host: "rm.example", origin: "http://rm.example" };
const get = (url: string) => app.inject({ url, headers });

/** Sends the form as the browser does: with every field that the page put into it. */
async function send(fields: Record<string, string>) {
  const page = parseHtml((await get("/hosts/new")).body);
  const hidden = find(page, "form[action=/hosts/new]").querySelectorAll("input[type=hidden]");
  const own = hidden.map((input) => [input.getAttribute("name") ?? "", input.getAttribute("value") ?? ""]);
  return sendAs({ ...Object.fromEntries(own), ...fields });
}

const sendAs = (fields: Record<string, string>) =>
  app.inject({
    method: "POST",
    url: "/hosts/new",
    headers: { ...headers, "content-type": "application/x-www-form-urlencoded" },
    payload: new URLSearchParams(fields).toString(),
  });

type Answer = Awaited<ReturnType<typeof get>>;
const html = (answer: Answer) => parseHtml(answer.body);
const value = (answer: Answer, name: string) => {
  const control = find(html(answer), `#field-${name}`);
  return control.tagName === "TEXTAREA" ? control.text : control.getAttribute("value");
};
const errorOf = (answer: Answer, name: string) => textOf(find(html(answer), `#field-${name}-error`));
const command = (answer: Answer) => textOf(find(html(answer), "#install-command"));
const tokenOf = (answer: Answer) => /RM_TOKEN=([\w-]+)/.exec(command(answer))?.[1] ?? "";
const statusUrl = (answer: Answer) => find(html(answer), "#enrolment").getAttribute("data-live-src") ?? "";

const wanted = {
  hostname: "web-01",
  repo_url: "rest:https://backup.example.org/web-01/",
  repo_username: "web-01",
  repo_password: "",
  rest_password: "",
  tags: "prod, Web",
  initial_paths: "/etc\r\n\r\n/home\r\n",
};

describe("the form", () => {
  it("is for operators", async () => {
    expect((await get("/hosts/new")).statusCode).toBe(200);
    role = "viewer";
    expect((await get("/hosts/new")).statusCode).toBe(403);
  });

  it("comes back with every problem beside its field and everything that was typed", async () => {
    const typed = {
      ...wanted,
      hostname: "web 01",
      repo_url: "backup.example.org/<b>x",
      tags: "prod, -x",
      initial_paths: '/etc\r\n\r\nhome & "etc"',
    };
    const answer = await send(typed);
    expect(answer.statusCode).toBe(422);
    expect(errorOf(answer, "hostname")).toContain("letters");
    expect(errorOf(answer, "repo_url")).toContain("rest:https://");
    expect(errorOf(answer, "tags")).toContain("“-x”");
    expect(errorOf(answer, "initial_paths")).toContain("Line 3");
    for (const name of ["hostname", "repo_url", "repo_username", "tags"] as const) {
      expect(value(answer, name)).toBe(typed[name]);
    }
    expect(value(answer, "initial_paths")?.split(/\r?\n/)).toEqual(typed.initial_paths.split("\r\n"));
  });

  it("answers in no time whatever was typed as a location", async () => {
    for (const text of ["//:", "@//:", "//a:1"]) {
      const typed = text.repeat(300_000 / text.length);
      const answer = await send({ ...wanted, repo_url: typed });
      expect(errorOf(answer, "repo_url")).toContain("at most");
    }
  });

  it("never sends a password back, and says that it must be typed again", async () => {
    const secrets = {
      repo_password: "Typed-Password-1",
      rest_password: "Typed-Password-2",
      repo_url: "rest:https//me:Typed-Password-3@b.example.org/x",
    };
    const answer = await send({ ...wanted, ...secrets });
    expect(answer.statusCode).toBe(422);
    expect(answer.body).not.toContain("Typed-Password");
    expect(errorOf(answer, "repo_password")).toContain("again");
    expect(errorOf(answer, "rest_password")).toContain("again");
    expect(value(answer, "repo_url")).toBe("rest:https//me@b.example.org/x");
  });

  it("says beside the name that a host has it already", async () => {
    const first = await send(wanted);
    const agent = { hostname: "x", os: "linux", arch: "x64", agentVersion: "0.1.0", resticVersion: null };
    await enrol(deps, { ...agent, token: tokenOf(first) });
    const answer = await send({ ...wanted, hostname: "WEB-01" });
    expect(answer.statusCode).toBe(422);
    expect(errorOf(answer, "hostname")).toContain("already is a host");
    expect(value(answer, "hostname")).toBe("WEB-01");
  });

  it("is refused without its token against forgery", async () => {
    expect((await sendAs(wanted)).statusCode).toBe(403);
    expect((await sql`SELECT id FROM enrolment_tokens`.execute(database.db)).rows).toEqual([]);
  });
});

describe("the result", () => {
  it("shows the command with server and token, and the minted password with its htpasswd line", async () => {
    const answer = await send(wanted);
    expect(answer.statusCode).toBe(200);
    expect(answer.headers["cache-control"]).toBe("no-store");
    expect(command(answer)).toMatch(
      /RM_SERVER=http:\/\/rm\.example RM_TOKEN=[\w-]{43} sudo --preserve-env=RM_SERVER,RM_TOKEN sh$/,
    );
    expect(textOf(find(html(answer), "#minted-password"))).toMatch(/[A-Za-z2-9]{24}/);
    expect(textOf(find(html(answer), "#htpasswd-command"))).toContain("htpasswd -B .htpasswd web-01");
    expect(answer.body).toContain("rest:https://backup.example.org/web-01");
  });

  it("shows no password that was given, and no htpasswd line for another one", async () => {
    const given = await send({ ...wanted, repo_password: "Given-Password-1" });
    expect(given.body).not.toContain("Given-Password-1");
    expect(html(given).querySelector("#minted-password")).toBeNull();
    const other = await send({ ...wanted, rest_password: "Given-Password-2" });
    expect(html(other).querySelector("#minted-password")).not.toBeNull();
    expect(html(other).querySelector("#htpasswd-command")).toBeNull();
    expect(other.body).not.toContain("Given-Password-2");
  });

  it("is not made again by a reload: the second post leads to a page without secrets", async () => {
    const form = parseHtml((await get("/hosts/new")).body);
    const input = (name: string) =>
      find(form, `form[action=/hosts/new] input[name=${name}]`).getAttribute("value") ?? "";
    const fields = { ...wanted, form_id: input("form_id"), csrf_token: input("csrf_token") };
    const first = await sendAs(fields);
    const again = await sendAs(fields);
    expect(again.statusCode).toBe(303);
    expect(again.headers.location).toBe(`/hosts/new/${fields.form_id}`);
    const page = await get(`/hosts/new/${fields.form_id}`);
    expect(textOf(find(html(page), "main"))).toContain("shown once");
    expect(page.body).not.toContain(tokenOf(first));
    expect((await sql`SELECT id FROM enrolment_tokens`.execute(database.db)).rows).toHaveLength(1);
  });
});

describe("the panel", () => {
  const panel = async (answer: Answer) => textOf(parseHtml((await get(statusUrl(answer))).body));

  it("turns green when the agent has connected, and is honest when it leaves", async () => {
    const result = await send(wanted);
    expect(await panel(result)).toContain("Waiting for the agent");
    const agent = { hostname: "x", os: "linux", arch: "x64", agentVersion: "0.1.0", resticVersion: "0.18.0" };
    const { hostId } = await enrol(deps, { ...agent, token: tokenOf(result) });
    expect(await panel(result)).toContain("waiting for its first connection");
    const identity = {
      machineId: null,
      bootId: null,
      appliedScheduleVersion: null,
      hooksAllowed: null,
      backendKinds: null,
      jobKinds: null,
      clockSkewMs: 0,
      at: clock.now(),
    };
    await recordHello(database.db, hostId, { ...agent, ...identity, resticProblem: null });
    expect(await panel(result)).toContain("web-01 is connected");
    await clock.advance(offlineAfterMs);
    expect(await panel(result)).toContain("web-01 is enrolled, but offline now");
  });

  it("says when the token expired unused", async () => {
    const result = await send(wanted);
    await clock.advance(tokenLifetimeMs);
    expect(await panel(result)).toContain("expired unused");
  });

  it("of an unknown token is not found", async () => {
    expect((await get("/hosts/new/01JDBQ0000000000000000F0RM/status")).statusCode).toBe(404);
  });
});

describe("the installer as a file", () => {
  const download = (answer: Answer, fields: Record<string, string> = {}) => {
    const form = find(html(answer), "form[action$=/installer]");
    const inputs = form.querySelectorAll("input");
    const own = inputs.map((input) => [input.getAttribute("name") ?? "", input.getAttribute("value") ?? ""]);
    return app.inject({
      method: "POST",
      url: form.getAttribute("action") ?? "",
      headers: { ...headers, "content-type": "application/x-www-form-urlencoded" },
      payload: new URLSearchParams({ ...Object.fromEntries(own), ...fields }).toString(),
    });
  };
  const audited = async () => {
    const { rows } = await sql<{ action: string; payload: string; target_name: string }>`
      SELECT action, payload, target_name FROM audit_entries WHERE action = 'enrolment.installer_download'
    `.execute(database.db);
    return rows;
  };

  it("is the script with server and token in front, kept by no cache, written down without the token", async () => {
    const shown = await send(wanted);
    const token = tokenOf(shown);
    const answer = await download(shown);
    expect(answer.statusCode).toBe(200);
    expect(answer.headers["content-disposition"]).toBe('attachment; filename="install-web-01.sh"');
    expect(answer.headers["cache-control"]).toBe("no-store");
    const lines = answer.body.split("\n");
    expect(lines[0]).toBe("#!/bin/sh");
    expect(lines.slice(-5)).toEqual([
      "RM_SERVER=http://rm.example",
      `RM_TOKEN=${token}`,
      ...["#!/bin/sh", "echo installs", ""],
    ]);
    const [entry, ...others] = await audited();
    expect(others).toEqual([]);
    expect(entry).toMatchObject({ target_name: "web-01", payload: '{"file":"install-web-01.sh"}' });
    await enrol(deps, {
      token,
      hostname: "x",
      os: "linux",
      arch: "x64",
      agentVersion: "1",
      resticVersion: null,
    });
  });

  it("runs as a script that knows server and token", async () => {
    scripts.sh = 'printf "%s %s" "$RM_SERVER" "$RM_TOKEN"\n';
    const shown = await send(wanted);
    const said = execFileSync("sh", { input: (await download(shown)).body }).toString();
    expect(said).toBe(`http://rm.example ${tokenOf(shown)}`);
  });

  it("can be had once", async () => {
    const shown = await send(wanted);
    await download(shown);
    const again = await download(shown);
    expect(again.statusCode).toBe(409);
    expect(again.body).toContain("enrolment.installer_taken");
    expect(again.body).not.toContain(tokenOf(shown));
    expect(await audited()).toHaveLength(1);
  });

  it("is refused for another token, a used one and one that expired", async () => {
    const shown = await send(wanted);
    const other = await send({ ...wanted, hostname: "web-02" });
    expect((await download(shown, { token: "guessed" })).statusCode).toBe(404);
    expect((await download(shown, { token: tokenOf(other) })).statusCode).toBe(404);
    const agent = { hostname: "x", os: "linux", arch: "x64", agentVersion: "1", resticVersion: null };
    await enrol(deps, { token: tokenOf(other), ...agent });
    expect((await download(other)).statusCode).toBe(409);
    await clock.advance(tokenLifetimeMs);
    expect((await download(shown)).statusCode).toBe(403);
    expect(await audited()).toEqual([]);
  });

  it("is refused where the release has none, without using the one download up", async () => {
    const shown = await send(wanted);
    expect((await download(shown, { kind: "ps1" })).statusCode).toBe(404);
    expect((await download(shown, { kind: "exe" })).statusCode).toBe(400);
    expect((await download(shown)).statusCode).toBe(200);
  });

  it("for Windows is one script block, since parameters have to come first", async () => {
    scripts = { sh: null, ps1: "param([string] $Server)\nInstall $Server\n" };
    const shown = await send(wanted);
    const answer = await download(shown);
    expect(answer.headers["content-disposition"]).toBe('attachment; filename="install-web-01.ps1"');
    expect(answer.body).toMatch(
      /^# Installs .*\n# .*\n\$env:RM_SERVER = 'http:\/\/rm\.example'\n\$env:RM_TOKEN = '[\w-]+'\n& \{\nparam\(\[string\] \$Server\)\nInstall \$Server\n\n\} @args\n$/,
    );
  });

  it("is for operators", async () => {
    const shown = await send(wanted);
    role = "viewer";
    expect((await download(shown)).statusCode).toBe(403);
  });
});
