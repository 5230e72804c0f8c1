import { execFileSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import {
  enrolCommand,
  installCommand,
  powershellWord,
  shellWord,
  windowsInstallCommand,
} from "./install-command.ts";

describe("the commands", () => {
  it("carry server and token in the environment, not among the arguments of curl, sudo or sh", () => {
    expect(installCommand("https://rm.example.org", "abc_-1")).toBe(
      "curl -fsSL https://rm.example.org/install/install.sh | RM_SERVER=https://rm.example.org RM_TOKEN=abc_-1 sudo --preserve-env=RM_SERVER,RM_TOKEN sh",
    );
    expect(enrolCommand("https://rm.example.org", "abc_-1")).toBe(
      "RM_SERVER=https://rm.example.org RM_TOKEN=abc_-1 restic-manager-agent enrol",
    );
    expect(windowsInstallCommand("https://rm.example.org", "abc_-1")).toBe(
      "$env:RM_SERVER = 'https://rm.example.org'; $env:RM_TOKEN = 'abc_-1'; irm 'https://rm.example.org/install/install.ps1' | iex",
    );
  });

  it("quote what a shell would read differently", () => {
    expect(shellWord("http://[::1]:8080")).toBe("'http://[::1]:8080'");
    expect(shellWord("")).toBe("''");
    const odd = 'it\'s $(x) `y` \\ "z"';
    expect(execFileSync("sh", ["-c", `printf %s ${shellWord(odd)}`]).toString()).toBe(odd);
  });

  it("double every quote that PowerShell knows", () => {
    expect(powershellWord("it's \u2019 $x")).toBe("'it''s \u2019\u2019 $x'");
  });
});
