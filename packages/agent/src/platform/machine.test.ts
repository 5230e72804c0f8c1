/** Identity of the machine and of what the agent makes. */
import { describe, expect, test } from "vitest";
import { createId } from "./ids.ts";
import { applicationId, readMachine } from "./machine.ts";
import { systemRandom } from "./random.ts";

describe("the machine", () => {
  test("is described without giving away its machine-id", async () => {
    const machine = await readMachine();
    expect(machine).toMatchObject({ os: process.platform, arch: process.arch });
    expect(applicationId("9b1c2f4e5a6d7081920a3b4c5d6e7f80")).not.toContain("9b1c2f4e");
  });

  test("has the same id for ever, and another one for another machine", () => {
    expect(applicationId("9b1c2f4e5a6d7081920a3b4c5d6e7f80")).toBe("7d1a3a642886211fa6383d7dd61439a0");
    expect(applicationId("a")).not.toBe(applicationId("b"));
  });
});

describe("ids", () => {
  test("are ULIDs that begin with their time", () => {
    // The example of the specification: 1469918176385 is 01ARYZ6S41.
    expect(createId(1_469_918_176_385, systemRandom())).toMatch(/^01ARYZ6S41[0-9A-HJKMNP-TV-Z]{16}$/);
    expect(createId(0, { fraction: () => 0, hex: () => "f".repeat(20) })).toBe("0000000000ZZZZZZZZZZZZZZZZ");
  });
});
