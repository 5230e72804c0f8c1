import { describe, expect, it } from "vitest";
import { createLog } from "./log.ts";
import { createRedactor } from "./redact.ts";

function capture(secrets: string[]) {
  const lines: string[] = [];
  const log = createLog({
    level: "info",
    redact: (text) => createRedactor(secrets)(text),
    destination: { write: (line) => void lines.push(line) },
  });
  return { log, lines };
}

describe("the agent's log", () => {
  it("masks fields that hold secrets by their name", () => {
    const { log, lines } = capture([]);
    log.info({ password: "abc", repository: { token: "def" } }, "configured");
    expect(lines.join("")).not.toMatch(/abc|def/);
  });

  it("masks known secrets by their value, in messages and in errors", () => {
    const { log, lines } = capture(["hunter22"]);
    log.error(new Error("login with hunter22 failed"), "because of hunter22");
    expect(lines.join("")).not.toContain("hunter22");
    expect(lines.join("")).toContain("login with *** failed");
  });

  it("learns of secrets that are added later", () => {
    const secrets: string[] = [];
    const { log, lines } = capture(secrets);
    secrets.push("later-secret");
    log.info("here is later-secret");
    expect(lines.join("")).not.toContain("later-secret");
  });
});
