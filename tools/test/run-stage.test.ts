/** Commands are counted by how they end, on real commands. */
import { tmpdir } from "node:os";
import { describe, expect, it } from "vitest";
import { runStage } from "./run-stage.ts";
import { stages } from "./stages.ts";

describe("running a stage", () => {
  it("counts each command by its exit code and goes on after a failure", async () => {
    const said: string[] = [];
    const place = {
      root: tmpdir(),
      environment: { PATH: process.env.PATH },
      say: (line: string) => void said.push(line),
    };
    const commands = [["true"], ["sh", "-c", "echo broken; exit 3"], ["no-such-program"], ["true"]];
    const count = await runStage({ name: "example", commands, isQuick: true }, place);

    expect(count).toEqual({
      passed: 2,
      failed: 2,
      reasons: ["sh -c echo broken; exit 3 ended with 3", "no-such-program ended with 127"],
    });
    expect(said[0]).toBe("broken");
    expect(said.at(-1)).toMatch(/^example +FAILED +[\d.]+ s +2 passed, 2 failed$/);
  });
});

describe("the stages", () => {
  it("have names of their own, and each does something", () => {
    expect(new Set(stages.map((stage) => stage.name)).size).toBe(stages.length);
    expect(stages.filter((stage) => stage.commands.length === 0 && stage.project === undefined)).toEqual([]);
  });
});
