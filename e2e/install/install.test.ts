/**
 * install.sh on a throw-away machine with a real systemd: from the command that "Add host" shows to a host that is online
 * and backs up, over an upgrade to nothing left.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { until } from "../../tools/demo/children.ts";
import { LabHost } from "../lab/host.ts";
import { Lab } from "../lab/lab.ts";
import { Machine } from "../lab/machine.ts";
import { Front } from "./front.ts";
import { makeRelease } from "./release.ts";

let lab: Lab;
let front: Front;
let machine: Machine;

beforeAll(async () => {
  lab = await Lab.create();
  await lab.startServer();
  await lab.signUp();
  const { folder } = await makeRelease(await lab.makeFolder("release"), lab.resticPath);
  front = await Front.start({ folder, serverPort: lab.port });
  machine = await Machine.boot({ init: "systemd" });
});
afterAll(async () => {
  await machine?.close();
  await front?.close();
  await lab?.close();
});

const install = (token: string, shell = "dash") =>
  machine.run(["sh", "-c", `curl -fsSL ${front.url}/install/install.sh | RM_SERVER=${front.url} ${shell}`], {
    RM_TOKEN: token,
  });

describe("a host in five minutes", () => {
  test("debug", async () => {
    const host = new LabHost(lab, { name: "web-01", paths: ["/etc"], repository: "/srv/repository" });
    const ended = await install(await host.createToken());
    console.log(ended.output, ended.code);
    console.log((await machine.run(["sh", "-c", "systemctl status restic-manager-agent --no-pager -l; journalctl -u restic-manager-agent --no-pager | tail -40; ls -la /opt/restic-manager/bin /etc/restic-manager /var/lib/restic-manager"])).output);
  });
});
void [readFile, join, until];
