/**
 * deploy/install.ps1, as far as it can be looked at without a PowerShell: it is parsed with the grammar that editors use,
 * and every command in it has to be its own or one that Windows PowerShell 5.1 has. What it does is exercised nowhere.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { Language, type Node, Parser, type Tree } from "web-tree-sitter";
import { parseSums } from "../../packages/protocol/src/release.ts";

const script = readFileSync(join(import.meta.dirname, "../../deploy/install.ps1"), "utf8");

/** Of Windows PowerShell 5.1 and its modules on Windows 10 and Server 2016. */
const known = new Set(
  `ForEach-Object Get-Acl Get-CimInstance Get-Command Get-FileHash Get-Item Get-ScheduledTask Get-Service
  Invoke-WebRequest Join-Path Move-Item New-Item New-Object Out-Null Remove-Item Select-Object Select-String Sort-Object
  Start-Service Stop-Service Test-Path Where-Object Write-Host Write-Warning`.split(/\s+/),
);

let parser: Parser;
let tree: Tree;

beforeAll(async () => {
  await Parser.init();
  const grammar = createRequire(import.meta.url).resolve(
    "tree-sitter-powershell/tree-sitter-powershell.wasm",
  );
  parser = new Parser();
  parser.setLanguage(await Language.load(grammar));
  tree = parse(script);
});

function parse(text: string): Tree {
  const parsed = parser.parse(text);
  if (parsed === null) throw new Error("the grammar gave up");
  return parsed;
}

function all(type: string, node: Node = tree.rootNode): Node[] {
  const inside = node.children.flatMap((child) => (child === null ? [] : all(type, child)));
  return node.type === type ? [node, ...inside] : inside;
}

/** The text of a function of the script. */
function bodyOf(name: string): string {
  const found = all("function_statement").find((node) => all("function_name", node)[0]?.text === name);
  if (found === undefined) throw new Error(`there is no function ${name}`);
  return found.text;
}

/** Every one of these is there, each behind the one before it. */
function expectInOrder(text: string, parts: readonly string[]): void {
  let at = -1;
  for (const part of parts) {
    const found = text.indexOf(part, at + 1);
    expect(found, `${part} in its turn`).toBeGreaterThan(at);
    at = found;
  }
}

describe("install.ps1", () => {
  it("is a script without an error, by a grammar that finds them", () => {
    expect(tree.rootNode.hasError).toBe(false);
    expect(parse("function Get-It {\n if ($a { 1 }\n}\n").rootNode.hasError).toBe(true);
  });

  it("calls nothing but its own functions and what Windows PowerShell 5.1 has", () => {
    const own = all("function_name").map(({ text }) => text);
    const called = all("command_name").map(({ text }) => text);
    expect(own.length).toBeGreaterThan(10);
    expect(called.filter((name) => !known.has(name) && !own.includes(name))).toEqual([]);
    const started = ["Start-Installer", "Install-ResticManagerAgent", "Uninstall-ResticManagerAgent"];
    expect(own.filter((name) => !called.includes(name))).toEqual([]);
    expect(called).toEqual(expect.arrayContaining(started));
  });

  it("has no letter that 5.1 would read in the machine's own code page", () => {
    expect([...script].filter((letter) => letter > "\x7f")).toEqual([]);
  });

  it("begins with what it takes and acts in its last line, so that half a download does nothing", () => {
    const statements = tree.rootNode.descendantsOfType("function_statement");
    const lastFunction = Math.max(...statements.map((node) => node?.endIndex ?? 0));
    expect(script.slice(lastFunction).trim()).toMatch(/^Start-Installer .*$/);
  });

  it("gives the token by the environment only and takes it out again", () => {
    expect(script).not.toMatch(/--token/);
    expect(script.match(/Remove-Item Env:RM_TOKEN/g)?.length).toBe(2);
  });

  it("takes the token out of the environment before it can fail for want of an administrator", () => {
    expectInOrder(bodyOf("Start-Installer"), [
      "Remove-Item Env:RM_TOKEN",
      "Test-Administrator",
      "Stop-Install",
    ]);
  });

  it("knows the names in the server's list as the agent does", () => {
    const [, pattern = ""] = /-cnotmatch '(.*)'/.exec(bodyOf("Get-Sums")) ?? [];
    const line = new RegExp(pattern);
    const digest = "0".repeat(64);
    for (const name of ["restic-manager-agent_1.0.0~rc.1_amd64.deb", "a+b.tar", "install.ps1"])
      expect({
        name,
        known: line.test(`${digest}  ${name}`),
        parsed: parseSums(`${digest}  ${name}\n`)?.size,
      }).toEqual({ name, known: true, parsed: 1 });
    for (const name of ["../a", ".a", "a b", "a".repeat(129), ""])
      expect({
        name,
        known: line.test(`${digest}  ${name}`),
        parsed: parseSums(`${digest}  ${name}\n`),
      }).toEqual({
        ...{ name, known: false, parsed: undefined },
      });
  });

  it("compares the digest of whatever it downloads, and hands on only what is right", () => {
    expectInOrder(bodyOf("Get-Program"), [
      ...['Get-File "$Server', 'Test-Digest "$Path.download"', "Stop-Install", "return $Path"],
    ]);
    expect(script.match(/Get-File "/g)?.length).toBe(2);
  });

  it("stops the service only when everything is here, and starts it again whatever fails", () => {
    const install = bodyOf("Install-ResticManagerAgent");
    expectInOrder(install, [
      ...["Test-AgentRuns", "try {", "Get-Program $server $sums $agent", "Get-Program $server $sums $restic"],
      ...["Stop-Agent", "Move-IntoPlace", "Join-Server", '"start"', "finally {", "Resume-Agent"],
    ]);
    expect(script.match(/(?<!function )Stop-Agent/g)?.length).toBe(1);
  });

  it("puts the program back when the new one can't take its place", () => {
    expectInOrder(bodyOf("Move-IntoPlace"), [
      "Move-Item -LiteralPath $Path -Destination $previous",
      'try { Move-Item -LiteralPath "$Path.download" -Destination $Path }',
      ...["catch {", "Move-Item -LiteralPath $previous -Destination $Path", "Stop-Install"],
    ]);
  });

  it("leaves a newer agent in place unless it is forced", () => {
    expect(bodyOf("Install-ResticManagerAgent")).toMatch(
      /if \(\$Force -or -not \(Test-OlderThanInstalled \$places \$agent\)\)/,
    );
  });

  it("refuses while an update is under way, and to be taken out while a job runs", () => {
    expectInOrder(bodyOf("Install-ResticManagerAgent"), [
      ...["Confirm-NoUpdate", "Get-Program", "Stop-Agent", "Confirm-NoUpdate", "Move-IntoPlace"],
    ]);
    expect(bodyOf("Confirm-NoUpdate")).toContain(".update.json");
    expectInOrder(bodyOf("Uninstall-ResticManagerAgent"), [
      ...["Confirm-NoUpdate", "Confirm-NoJob", '"uninstall"', "Remove-Item"],
    ]);
    expect(bodyOf("Confirm-NoJob")).toContain("ExecutablePath");
  });

  it("believes no agent.yaml that somebody else put there", () => {
    expectInOrder(bodyOf("Install-ResticManagerAgent"), ["Confirm-Data", "Get-ServerAddress", "Get-Sums"]);
    expectInOrder(bodyOf("Confirm-Data"), ["ReparsePoint", "GetOwner", "Stop-Install"]);
  });
});
