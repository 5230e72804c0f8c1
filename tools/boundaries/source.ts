/**
 * One TypeScript file seen by the parser: what it imports, declares, calls, and how long its functions are.
 *
 * Invariants: lines count from 1; a file that does not parse is an error of the check, never an empty result.
 * oxc-parser is used because TypeScript 7 has no compiler API.
 * Not here: any judgement about what was found.
 */
import { dirname, posix } from "node:path";
import { parseSync } from "oxc-parser";
import type { TreeFile } from "./tree.ts";

/** An import, re-export, `import()` or import type; `names` are the imported (not the local) names. */
export interface ImportFound {
  readonly specifier: string;
  /** The repository path that a relative specifier points to; undefined for packages. */
  readonly target: string | undefined;
  readonly names: readonly string[];
  readonly line: number;
}

/** A name that this file itself gives to something. */
export interface DeclarationFound {
  readonly name: string;
  readonly line: number;
}

/** A function, method or arrow function. */
export interface FunctionFound {
  readonly name: string;
  readonly line: number;
  readonly lineCount: number;
}

/** A call, a construction or a member access, written as `Date.now()`, `new Date()` or `process.env`. */
export interface UseFound {
  readonly what: string;
  readonly line: number;
}

/** Everything that the rules ask about one file. */
export interface SourceFile {
  readonly path: string;
  readonly lineCount: number;
  readonly imports: readonly ImportFound[];
  readonly declarations: readonly DeclarationFound[];
  readonly functions: readonly FunctionFound[];
  readonly uses: readonly UseFound[];
}

interface AstNode {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [key: string]: unknown;
}

interface Found {
  readonly path: string;
  readonly lineAt: (offset: number) => number;
  readonly imports: ImportFound[];
  readonly declarations: DeclarationFound[];
  readonly functions: FunctionFound[];
  readonly uses: UseFound[];
}

/** True for the files that the parser reads. */
export function isSource(path: string): boolean {
  return /\.tsx?$/.test(path) && !path.includes("/fixtures/");
}

/** Parses one file. Throws an Error naming file and line when it is not valid TypeScript. */
export function readSource(file: TreeFile): SourceFile {
  const lineAt = lineFinder(file.text);
  const { program, errors } = parseSync(file.path, file.text);
  const [error] = errors;
  if (error !== undefined) {
    throw new Error(`${file.path}:${lineAt(error.labels[0]?.start ?? 0)} does not parse: ${error.message}`);
  }
  const found: Found = { path: file.path, lineAt, imports: [], declarations: [], functions: [], uses: [] };
  visit(program, undefined, found);
  return { ...found, lineCount: file.text.replace(/\n$/, "").split("\n").length };
}

function lineFinder(text: string): (offset: number) => number {
  const starts = [0];
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  return (offset) => {
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if ((starts[middle] ?? 0) <= offset) low = middle;
      else high = middle - 1;
    }
    return low + 1;
  };
}

function visit(node: unknown, parent: AstNode | undefined, found: Found): void {
  if (Array.isArray(node)) {
    for (const item of node) visit(item, parent, found);
    return;
  }
  if (!isNode(node)) return;
  collectImport(node, found);
  collectDeclaration(node, found);
  collectFunction(node, parent, found);
  collectUse(node, found);
  for (const value of Object.values(node)) {
    if (typeof value === "object" && value !== null) visit(value, node, found);
  }
}

function isNode(value: unknown): value is AstNode {
  return typeof value === "object" && value !== null && "type" in value && typeof value.type === "string";
}

const importTypes: ReadonlySet<string> = new Set([
  "ImportDeclaration",
  "ExportNamedDeclaration",
  "ExportAllDeclaration",
  "ImportExpression",
  "TSImportType",
]);

function collectImport(node: AstNode, found: Found): void {
  const source = importTypes.has(node.type) ? node.source : requiredPath(node);
  const specifier = isNode(source) ? source.value : undefined;
  if (typeof specifier !== "string") return;
  const target = specifier.startsWith(".") ? posix.join(dirname(found.path), specifier) : undefined;
  found.imports.push({ specifier, target, names: importedNames(node), line: found.lineAt(node.start) });
}

function requiredPath(node: AstNode): unknown {
  const isRequire = node.type === "CallExpression" && nameOf(node.callee) === "require";
  return isRequire && Array.isArray(node.arguments) ? node.arguments[0] : undefined;
}

function importedNames(node: AstNode): string[] {
  const specifiers = Array.isArray(node.specifiers) ? node.specifiers.filter(isNode) : [];
  return specifiers.map((specifier) => nameOf(specifier.imported)).filter((name) => name !== undefined);
}

/** Node types whose `id` or `key` is a name that the file invents. Object literal keys often mirror others' APIs. */
const namedBy: Readonly<Record<string, "id" | "key">> = {
  FunctionDeclaration: "id",
  ClassDeclaration: "id",
  TSInterfaceDeclaration: "id",
  TSTypeAliasDeclaration: "id",
  MethodDefinition: "key",
  PropertyDefinition: "key",
  TSPropertySignature: "key",
  TSMethodSignature: "key",
};

function collectDeclaration(node: AstNode, found: Found): void {
  const key = namedBy[node.type];
  if (key !== undefined) declare(node[key], found);
  if (node.type === "VariableDeclarator") declarePattern(node.id, found);
  if (Array.isArray(node.params)) for (const param of node.params) declarePattern(param, found);
}

function declare(name: unknown, found: Found): void {
  const text = nameOf(name);
  if (text !== undefined && isNode(name))
    found.declarations.push({ name: text, line: found.lineAt(name.start) });
}

/** Walks a binding pattern down to the local names that it introduces. */
function declarePattern(pattern: unknown, found: Found): void {
  if (!isNode(pattern)) return;
  if (pattern.type === "Identifier") declare(pattern, found);
  if (pattern.type === "AssignmentPattern") declarePattern(pattern.left, found);
  if (pattern.type === "RestElement") declarePattern(pattern.argument, found);
  if (pattern.type === "ArrayPattern" && Array.isArray(pattern.elements)) {
    for (const element of pattern.elements) declarePattern(element, found);
  }
  if (pattern.type === "ObjectPattern" && Array.isArray(pattern.properties)) {
    // A shorthand `{ handle }` takes a name that someone else gave; a rename is a choice of ours.
    for (const property of pattern.properties.filter(isNode)) {
      if (property.shorthand !== true) declarePattern(property.value ?? property, found);
    }
  }
}

const functionTypes: ReadonlySet<string> = new Set([
  "FunctionDeclaration",
  "FunctionExpression",
  "ArrowFunctionExpression",
]);

function collectFunction(node: AstNode, parent: AstNode | undefined, found: Found): void {
  if (!functionTypes.has(node.type) || isSuiteBody(parent)) return;
  const name = nameOf(node.id) ?? nameOf(parent?.id) ?? nameOf(parent?.key) ?? "anonymous function";
  const line = found.lineAt(node.start);
  found.functions.push({ name, line, lineCount: found.lineAt(node.end) - line + 1 });
}

/** The body of `describe(...)` is a chapter, not a function. */
function isSuiteBody(parent: AstNode | undefined): boolean {
  if (parent?.type !== "CallExpression") return false;
  let callee = parent.callee;
  while (isNode(callee) && callee.type !== "Identifier") callee = callee.callee ?? callee.object;
  return nameOf(callee) === "describe";
}

function collectUse(node: AstNode, found: Found): void {
  const line = found.lineAt(node.start);
  const argumentCount = Array.isArray(node.arguments) ? node.arguments.length : 0;
  if (node.type === "NewExpression" && argumentCount === 0) {
    found.uses.push({ what: `new ${nameOf(node.callee) ?? ""}()`, line });
  }
  if (node.type !== "MemberExpression") return;
  const owner = node.object;
  const property = nameOf(node.property) ?? literalOf(node.property);
  // `globalThis.process.env` and `process["env"]` are the same reach as `process.env`.
  const ownerName = nameOf(owner) ?? (isNode(owner) ? nameOf(owner.property) : undefined);
  if (ownerName !== undefined && property !== undefined)
    found.uses.push({ what: `${ownerName}.${property}`, line });
}

function nameOf(node: unknown): string | undefined {
  const isName = isNode(node) && (node.type === "Identifier" || node.type === "PrivateIdentifier");
  return isName && typeof node.name === "string" ? node.name : undefined;
}

function literalOf(node: unknown): string | undefined {
  return isNode(node) && typeof node.value === "string" ? node.value : undefined;
}
