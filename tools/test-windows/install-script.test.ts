/**
 * deploy/install.ps1, as far as it can be looked at without a PowerShell: it is parsed with the grammar that editors use,
 * and every command in it has to be its own or one that Windows PowerShell 5.1 has. What it does is exercised nowhere.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { Language, type Node, Parser, type Tree } from "web-tree-sitter";

const script = readFileSync(join(import.meta.dirname, "../../deploy/install.ps1"), "utf8");

/** Of Windows PowerShell 5.1 and its modules on Windows 10 and Server 2016. */
const known = new Set(
  `ForEach-Object Get-Command Get-FileHash Get-ScheduledTask Get-Service Invoke-WebRequest Join-Path Move-Item New-Item
  New-Object Out-Null Remove-Item Select-Object Select-String Sort-Object Stop-Service Test-Path Where-Object Write-Host
  Write-Warning`.split(/\s+/),
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
    const started = ["Install-ResticManagerAgent", "Uninstall-ResticManagerAgent"];
    expect(own.filter((name) => !called.includes(name))).toEqual([]);
    expect(called).toEqual(expect.arrayContaining(started));
  });

  it("has no letter that 5.1 would read in the machine's own code page", () => {
    expect([...script].filter((letter) => letter > "\x7f")).toEqual([]);
  });

  it("begins with what it takes and acts in its last lines, so that half a download does nothing", () => {
    const statements = tree.rootNode.descendantsOfType("function_statement");
    const lastFunction = Math.max(...statements.map((node) => node?.endIndex ?? 0));
    const acting = script.slice(lastFunction);
    expect(acting).toContain("Test-Administrator");
    expect(acting.trim().split("\n").length).toBeLessThan(8);
  });

  it("gives the token by the environment only and takes it out again", () => {
    expect(script).not.toMatch(/--token/);
    expect(script.match(/Remove-Item Env:RM_TOKEN/g)?.length).toBe(2);
  });

  it("compares the digest of whatever it downloads before it is put in place", () => {
    const installing = script.slice(script.indexOf("function Install-Program"));
    const [downloaded, compared, placed] = [
      'Get-File "$Server',
      "Test-Digest $new",
      "Move-Item -LiteralPath $new",
    ].map((text) => installing.indexOf(text));
    expect(downloaded).toBeGreaterThan(0);
    expect(compared).toBeGreaterThan(downloaded ?? 0);
    expect(placed).toBeGreaterThan(compared ?? 0);
  });
});
