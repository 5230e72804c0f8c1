/** Whose lock it is, and how it is told. */
import { repositoryLock } from "@restic-manager/protocol";
import { expect, test } from "vitest";
import { findProgramName } from "../platform/child.ts";
import { type Holder, isRestic, toWireLock } from "./locks.ts";

test.each([
  ["restic", true],
  ["restic-0.19.1", true],
  ["restic_0.17.3_linux_amd64", true],
  ["restic.exe", true],
  ["our-own-restic", true],
  ["restic-manager-agent", false],
  ["restic-manager-", false],
  ["rest-server", false],
  ["sleep", false],
])("the program %s is a restic: %s", (name, is) => {
  expect(isRestic(name, "/opt/our-own-restic")).toBe(is);
});

test("a living program has a name, and a number that nobody has has none", () => {
  expect(findProgramName(process.pid)).toBe("node");
  expect(findProgramName(2 ** 31 - 1)).toBeNull();
});

test.each<[Holder, boolean | null]>([
  ["restic", true],
  ["gone", false],
  ["other", false],
  ["elsewhere", null],
])("a holder that is %s is told as alive: %s", (holder, alive) => {
  const lock = { id: "ab12", hostname: "h".repeat(300), username: "u".repeat(300), pid: 1, exclusive: true };
  const wire = toWireLock({ ...lock, createdAtMs: 0, holder });
  expect(wire.alive).toBe(alive);
  expect(repositoryLock.safeParse(wire).success).toBe(true);
});
