/** A new version that runs, and that its server does not want: it has its 90 seconds, by the clock on the wall. */
import { readFile } from "node:fs/promises";
import { afterEach, beforeEach, expect, it } from "vitest";
import { productVersion } from "../../packages/protocol/src/version.ts";
import { quickBuild } from "../../tools/package/quick.ts";
import { nextVersion, UpdatingHost } from "../executables/updating-host.ts";

let host: UpdatingHost;
beforeEach(async () => {
  host = await UpdatingHost.create();
});
afterEach(() => host.remove());

it("a version that gets no welcome puts the one before back by itself, which says so", async () => {
  const newer = await readFile(await quickBuild("restic-manager-agent", { version: nextVersion }));
  const { server } = host.lab;
  server.answerHello = ({ agent_version }) =>
    agent_version === nextVersion
      ? { type: "reject", code: "link.protocol_unsupported", message: "No common version." }
      : server.welcome();
  const supervisor = await host.start();
  const end = await host.update(newer, 180_000);
  expect(end).toMatchObject({ status: "failed", error: { code: "update.rolled_back" } });
  expect(end?.error?.message).toContain(`${nextVersion} ran, but got no welcome`);
  expect(host.versions()).toEqual([productVersion, nextVersion]);
  expect(supervisor.ends).toEqual([4, 4]);
  expect(await host.isOldAgain()).toBe(true);
});
