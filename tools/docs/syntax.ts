/**
 * A TypeScript file as a tree, and the few questions that the reference asks of it: literal texts, and the
 * comments above a constant and above the properties of its object.
 *
 * oxc-parser is used because TypeScript 7 has no compiler API.
 */
import { parseSync } from "oxc-parser";

/** A node of the ESTree. */
export interface AstNode {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [key: string]: unknown;
}

/** One parsed file. */
export interface Syntax {
  readonly text: string;
  readonly nodes: readonly AstNode[];
  readonly comments: readonly { value: string; start: number; end: number }[];
}

const isNode = (value: unknown): value is AstNode =>
  typeof value === "object" && value !== null && typeof (value as AstNode).type === "string";

/** Parses a file. @throws Error when it is not valid TypeScript */
export function readSyntax(path: string, text: string): Syntax {
  const { program, comments, errors } = parseSync(path, text);
  const [error] = errors;
  if (error !== undefined) throw new Error(`${path} does not parse: ${error.message}`);
  const nodes: AstNode[] = [];
  const visit = (value: unknown): void => {
    if (Array.isArray(value)) for (const item of value) visit(item);
    else if (isNode(value)) {
      nodes.push(value);
      for (const child of Object.values(value)) visit(child);
    }
  };
  visit(program);
  return { text, nodes, comments };
}

/** The child node under a key. */
export function child(node: AstNode, key: string): AstNode | undefined {
  const value = node[key];
  return isNode(value) ? value : undefined;
}

/** The child nodes under a key. */
export function children(node: AstNode, key: string): AstNode[] {
  const value = node[key];
  return Array.isArray(value) ? value.filter(isNode) : [];
}

/** The name of an identifier, or the value of a literal key. */
export function nameOf(node: AstNode | undefined): string | undefined {
  const name = node?.type === "Identifier" ? node.name : node?.type === "Literal" ? node.value : undefined;
  return typeof name === "string" ? name : undefined;
}

/**
 * The text of a literal, of a template with `…` for what is only known when it runs, or of both sides of a `+`.
 * Undefined for anything else.
 */
export function textOf(node: AstNode | undefined): string | undefined {
  if (node?.type === "Literal") return typeof node.value === "string" ? node.value : undefined;
  if (node?.type === "TemplateLiteral") {
    const parts = children(node, "quasis").map((part) => (part.value as { cooked?: string }).cooked ?? "");
    return parts.join("…");
  }
  if (node?.type !== "BinaryExpression" || node.operator !== "+") return undefined;
  const [left, right] = [textOf(child(node, "left")), textOf(child(node, "right"))];
  return left === undefined && right === undefined ? undefined : `${left ?? "…"}${right ?? "…"}`;
}

/** The doc comment that ends right before `start`, as one line; empty without one. */
function commentBefore({ text, comments }: Syntax, start: number): string {
  const above = comments.findLast((comment) => comment.end <= start);
  if (above?.value.startsWith("*") !== true || text.slice(above.end, start).trim() !== "") return "";
  const lines = above.value.slice(1).split("\n");
  return lines
    .map((line) => line.replace(/^\s*\*? ?/, "").trim())
    .join(" ")
    .trim();
}

/** What is said about a constant and about the properties of its object, by the constant's name. */
export interface Commented {
  readonly comment: string;
  readonly fields: ReadonlyMap<string, string>;
}

/** The comments of every exported constant that is made from an object: `export const x = z.object({ … })`. */
export function listCommented(syntax: Syntax): Map<string, Commented> {
  const found = new Map<string, Commented>();
  for (const node of syntax.nodes) {
    if (node.type !== "ExportNamedDeclaration") continue;
    const declaration = child(node, "declaration");
    for (const declarator of declaration === undefined ? [] : children(declaration, "declarations")) {
      const name = nameOf(child(declarator, "id"));
      const init = child(declarator, "init");
      if (name === undefined || init === undefined) continue;
      const object = children(init, "arguments").find((argument) => argument.type === "ObjectExpression");
      const fields = (object === undefined ? [] : children(object, "properties")).map(
        (property) => [nameOf(child(property, "key")) ?? "", commentBefore(syntax, property.start)] as const,
      );
      found.set(name, { comment: commentBefore(syntax, node.start), fields: new Map(fields) });
    }
  }
  return found;
}
