import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { identifyPid, isAlive, killTree, spawnOwnSession, terminateGroup } from "./child.ts";

const spawnShell = (text: string) =>
  spawnOwnSession({
    command: { file: "/bin/sh", args: ["-c", text] },
    env: { PATH: "/usr/bin:/bin" },
    cwd: "/",
  });

function identify(pid: number) {
  const identity = identifyPid(pid);
  if (identity === undefined) throw new Error(`Nobody has the number ${pid}.`);
  return identity;
}

describe("a child", () => {
  it("has a session and a process group of its own, and an environment without anything inherited", async () => {
    const child = await spawnShell("exec sleep 60");
    const identity = identify(child.pid);
    const stat = await readFile(`/proc/${child.pid}/stat`, "utf8");
    const [, , group, session] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    expect([group, session]).toEqual([String(child.pid), String(child.pid)]);
    const environment = (await readFile(`/proc/${child.pid}/environ`, "utf8")).split("\0");
    expect(environment.filter((entry) => !/^(PATH|PWD|OLDPWD|SHLVL|_)=|^$/.test(entry))).toEqual([]);
    await killTree(identity);
    expect(await child.ended).toEqual({ code: null, signal: "SIGKILL" });
  });

  it("is not taken for another program that got its number later", async () => {
    const child = await spawnShell("exec sleep 60");
    const identity = identify(child.pid);
    const former = { ...identity, startTicks: "1" };
    expect(isAlive(identity)).toBe(true);
    expect(isAlive(former)).toBe(false);
    await terminateGroup(former);
    await killTree(former);
    expect(isAlive(identity)).toBe(true);
    await terminateGroup(identity);
    expect(await child.ended).toEqual({ code: null, signal: "SIGTERM" });
    expect(isAlive(identity)).toBe(false);
  });

  it("is not taken for one of an earlier boot, whose numbers mean nothing any more", async () => {
    const child = await spawnShell("exec sleep 60");
    const identity = identify(child.pid);
    await killTree({ ...identity, bootId: "another boot" });
    expect(isAlive(identity)).toBe(true);
    await killTree(identity);
    await child.ended;
  });

  it("that cannot be started is an error of the system", async () => {
    const command = { file: "/no/such/program", args: [] };
    await expect(spawnOwnSession({ command, env: {}, cwd: "/" })).rejects.toThrow("ENOENT");
  });
});
