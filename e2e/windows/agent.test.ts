/**
 * The agent's Windows executable under Wine, with a real server and a restic that only pretends: registered with the
 * service control manager, enrolled, run by it, backing up, stopped, started, taken out. What Wine can't tell stands in
 * docs/windows.md.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { productVersion } from "../../packages/protocol/src/version.ts";
import { until } from "../../tools/demo/children.ts";
import type { JobJson, LineJson } from "../lab/host.ts";
import { Lab } from "../lab/lab.ts";
import { WindowsHost } from "./windows-host.ts";

const registration = "HKLM\\System\\CurrentControlSet\\Services\\restic-manager-agent";
const program = "C:\\Program Files\\restic-manager\\restic-manager-agent.exe";
const live = ["queued", "dispatched", "running"];

let lab: Lab;
let windows: WindowsHost;
let hostId = "";

beforeAll(async () => {
  lab = await Lab.create();
  await lab.startServer();
  await lab.signUp();
  windows = new WindowsHost("agent", lab.folder);
  mkdirSync(windows.path("data/Über Änderungen"), { recursive: true });
  writeFileSync(windows.path("data/Über Änderungen/é.txt"), "twelve bytes");
});

afterAll(async () => {
  await windows?.close();
  await lab?.close();
});

type Group = { id: string; name: string };

async function groups(): Promise<Group[]> {
  const url = `/api/hosts/${hostId}/source-groups`;
  return (await lab.api.get<{ source_groups: Group[] }>(url)).source_groups;
}

async function addGroup(name: string): Promise<string> {
  const group = { name, includes: ["C:\\data"], excludes: [] };
  await lab.api.post(`/api/hosts/${hostId}/source-groups`, group);
  return (await groups()).find((one) => one.name === name)?.id ?? "";
}

const job = (id: string) => lab.api.get<JobJson>(`/api/jobs/${id}`);

async function run(groupId: string): Promise<string> {
  const answer = await lab.api.post<{ job_id: string }>(`/api/hosts/${hostId}/source-groups/${groupId}/run`);
  return answer.job_id;
}

const finished = (id: string) =>
  until(`job ${id}`, 60_000, async () => {
    const now = await job(id);
    return live.includes(now.status) ? null : now;
  });

async function log(id: string): Promise<string> {
  const text = await lab.api.getText(`/api/jobs/${id}/log.ndjson`);
  const lines = text.split("\n").filter((line) => line !== "");
  return lines.map((line) => (JSON.parse(line) as LineJson).text).join("\n");
}

const untilOnline = () =>
  until("the host is online", 45_000, async () => {
    const host = await lab.api.get<{ online: boolean }>(`/api/hosts/${hostId}`);
    return host.online;
  });

/** Below it may stand who else can use the folder: Wine keeps access lists as Unix modes, and somebody always can. */
const state = async () => (await windows.agent(["service", "status"])).text.split("\n")[0];

describe("the executable", () => {
  test("says its version", async () => {
    expect(await windows.agent(["--version"])).toEqual({ code: 0, text: productVersion });
  });

  test("says what is missing when it is to start and nobody enrolled it", async () => {
    const { code, text } = await windows.agent(["run"]);
    expect(code).toBe(1);
    expect(text).toMatch(/There is no configuration at C:\\ProgramData\\restic-manager\\agent\.yaml/);
  });

  test("is not run by anybody but the service control manager", async () => {
    const { code, text } = await windows.agent(["service", "run"]);
    expect(code).toBe(1);
    expect(text).toContain("service start");
  });
});

describe("rmctl.exe", () => {
  test("says its version", async () => {
    expect(await windows.rmctl(["--version"])).toEqual({ code: 0, text: `rmctl ${productVersion}` });
  });

  test("asks a server with a token, and is refused with one that the server does not know", async () => {
    const { token } = await lab.api.post<{ token: string }>("/api/auth/tokens", {
      name: "win",
      role: "viewer",
    });
    const asked = await windows.rmctl(["hosts", "list", "--json"], {
      RM_SERVER: lab.url,
      RM_API_TOKEN: token,
    });
    expect(asked.code).toBe(0);
    expect(JSON.parse(asked.text)).toMatchObject({ hosts: [] });
    const refused = await windows.rmctl(["hosts", "list"], { RM_SERVER: lab.url, RM_API_TOKEN: "rm_nobody" });
    expect(refused).toMatchObject({ code: 11, text: expect.stringContaining("auth.required") });
    expect(refused.text).not.toContain("rm_nobody");
  });
});

describe("the service", () => {
  test("is registered, and not twice when it is registered again", async () => {
    expect(await state()).toBe("not registered");
    for (const time of ["first", "second"]) {
      const { code, text } = await windows.agent(["service", "install"]);
      expect({ time, code, text }).toMatchObject({ code: 0, text: expect.stringContaining("is registered") });
      expect(text).not.toContain("belongs into");
    }
    expect(await state()).toBe("stopped");
  });

  test("is registered for LocalSystem, to start by itself after the others, with all that this Windows keeps", async () => {
    const { code, text } = await windows.agent(["service", "install"]);
    expect(code).toBe(0);
    // Wine knows no recovery after an exit code; it takes the recovery actions, and keeps them where nobody can ask.
    expect([...text.matchAll(/^.*could not be set.*$/gm)].map(([line]) => line)).toEqual([
      expect.stringContaining("recovery after an error could not be set"),
    ]);
    const { text: kept } = await windows.run(["reg.exe", "query", registration]);
    const values = Object.fromEntries(
      [...kept.matchAll(/^ {4}(\w+) {4}REG_\w+ {4}(.*?)\r?$/gm)].map(([, name, value]) => [name, value]),
    );
    expect(values).toMatchObject({
      ...{ ObjectName: "LocalSystem", Type: "0x10", ErrorControl: "0x1" },
      ...{ Start: "0x2", DelayedAutoStart: "0x1", PreshutdownTimeout: "0x7530" },
      ImagePath: `"${program}" "service" "run" "--config" "C:\\ProgramData\\restic-manager\\agent.yaml"`,
    });
  });

  test("does not start before the machine is enrolled, and says so at once", async () => {
    const { code, text } = await windows.agent(["service", "start"]);
    expect(code).toBe(1);
    expect(text).toContain("event log");
  });

  test("starts once the machine is enrolled, and the host is online as Windows", async () => {
    const { token } = await lab.api.post<{ token: string }>("/api/enrollment-tokens", {
      ...{ hostname: "win-01", repo_url: "C:\\repository", repo_password: "a long enough password" },
      initial_paths: ["C:\\data"],
    });
    const enrolled = await windows.agent(["enrol"], { RM_SERVER: lab.url, RM_TOKEN: token });
    expect(enrolled).toMatchObject({ code: 0, text: expect.stringContaining("is enrolled") });
    expect(enrolled.text).not.toContain(token);
    expect(await windows.agent(["service", "start"])).toEqual({ code: 0, text: "The agent runs." });
    const { hosts } = await lab.api.get<{ hosts: { id: string; os: string; restic_version: string }[] }>(
      "/api/hosts",
    );
    expect(hosts).toMatchObject([{ os: "windows", arch: "x64", restic_version: "0.18.0" }]);
    hostId = hosts[0]?.id ?? "";
    await untilOnline();
    expect(await state()).toBe("running");
  });
});

describe("a folder of the host", () => {
  type Entries = { entries: { name: string; kind: string; size_bytes: number | null }[] };
  const list = (path?: string) =>
    lab.api.get<Entries>(
      `/api/hosts/${hostId}/files${path === undefined ? "" : `?path=${encodeURIComponent(path)}`}`,
    );

  test("is found from the drives on, with names of any letters", async () => {
    const drives = (await list()).entries.map(({ name }) => name);
    expect(drives).toContain("C:\\");
    expect((await list("C:\\data")).entries).toMatchObject([{ name: "Über Änderungen", kind: "folder" }]);
    expect((await list("C:\\data\\Über Änderungen")).entries).toEqual([
      { name: "é.txt", kind: "file", size_bytes: 12 },
    ]);
  });
});

describe("a job", () => {
  test("made the repository, and backs up with a snapshot of the volume", async () => {
    const first = await finished(
      await until("the first group", 20_000, async () => {
        const all = await groups();
        return all[0] && (await run(all[0].id));
      }),
    );
    expect(first.error).toBeNull();
    expect(first).toMatchObject({ status: "succeeded", summary: { total_files: 1, total_bytes: 12 } });
  });

  test.each([
    ["no-snapshot", "unlucky"],
    ["no-vss", "VSS error"],
  ])("of a group %s ends with a warning that the files were read as they are", async (name, reason) => {
    const id = await run(await addGroup(name));
    const ended = await finished(id);
    expect(ended).toMatchObject({ status: "warning", error: { code: "restic.no_volume_snapshot" } });
    expect(ended.summary).toMatchObject({ total_files: 1 });
    expect(await log(id)).toContain(reason);
  });

  test("goes on while the service is stopped, and is told of when it runs again", async () => {
    const id = await run(await addGroup("slow"));
    await until("the backup runs", 20_000, async () => (await job(id)).status === "running");
    expect(await windows.agent(["service", "stop"])).toMatchObject({ code: 0 });
    expect(await state()).toBe("stopped");
    expect(await windows.agent(["service", "start"])).toMatchObject({ code: 0 });
    expect(await finished(id)).toMatchObject({ status: "succeeded", summary: { total_files: 1 } });
  });

  test("that is cancelled ends at once, restic with it", async () => {
    const slow = (await groups()).find(({ name }) => name === "slow");
    const id = await run(slow?.id ?? "");
    await until("the backup runs", 20_000, async () => (await job(id)).status === "running");
    await lab.api.post(`/api/jobs/${id}/cancel`);
    expect(await finished(id)).toMatchObject({ status: "cancelled" });
  });
});

describe("hooks", () => {
  test("run by cmd.exe, and one that fails keeps the backup from running", async () => {
    const [group] = await groups();
    const hook = (script: string) => ({ script, timeout_seconds: 60 });
    await lab.api.put(`/api/hosts/${hostId}/hooks`, {
      pre_hook: hook("@echo off\nver\necho from %ComSpec%"),
    });
    const good = await run(group?.id ?? "");
    expect(await finished(good)).toMatchObject({ status: "succeeded" });
    expect(await log(good)).toMatch(/hook\(pre\): from C:\\windows\\system32\\cmd\.exe/i);
    await lab.api.put(`/api/hosts/${hostId}/hooks`, { pre_hook: hook("@exit /b 7") });
    expect(await finished(await run(group?.id ?? ""))).toMatchObject({ status: "failed", summary: null });
  });
});

describe("taking it out", () => {
  test("stops the service and leaves configuration and data", async () => {
    expect(await windows.agent(["service", "uninstall"])).toMatchObject({ code: 0 });
    expect(await state()).toBe("not registered");
    expect(await windows.run(["reg.exe", "query", registration])).toMatchObject({ code: 1 });
    expect(windows.read("ProgramData/restic-manager/agent.yaml")).toContain("host_id");
  });
});
