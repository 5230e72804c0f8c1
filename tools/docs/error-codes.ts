/**
 * Finds every stable error code with its sentence in the source: in `new AppError(kind, code, sentence)` and
 * every other call that takes a code and then a sentence, in objects with `code` and `message`, and in tables
 * from code to sentence.
 *
 * Invariant: a code without a sentence is an event or a column, not an error.
 */
import { type AstNode, child, children, nameOf, readSyntax, type Syntax, textOf } from "./syntax.ts";

/** One place where an error is made. */
export interface ErrorCode {
  readonly code: string;
  /** The server's kind, which decides the HTTP status; undefined for errors that are no HTTP answer. */
  readonly kind: string | undefined;
  readonly sentence: string;
  readonly path: string;
}

const codePattern = /^[a-z][a-z0-9_-]*(\.[a-z0-9_]+)+$/;
const isCode = (text: string | undefined): text is string => text !== undefined && codePattern.test(text);
/** Two words at least; a template of nothing but gaps says nothing. */
const isSentence = (text: string | undefined): text is string =>
  text !== undefined && /\p{L}{2}.* .*\p{L}{2}/su.test(text);
const messageKeys: readonly string[] = ["message", "problem", "sentence"];

/** Stands where the sentence is put together from parts. */
export const varies = "Says what was wrong.";

/** What is said where each field has its own problem. */
const fieldSentence = "One problem for each wrong field, in `details`; the message is the first of them.";

/** Every error code of one file, in its order. */
export function findErrorCodes(path: string, text: string): ErrorCode[] {
  const syntax = readSyntax(path, text);
  return syntax.nodes.flatMap((node) => {
    if (node.type === "NewExpression" || node.type === "CallExpression") return fromCall(syntax, node, path);
    if (node.type === "ObjectExpression") return fromObject(syntax, node, path);
    return [];
  });
}

function fromCall(syntax: Syntax, node: AstNode, path: string): ErrorCode[] {
  const given = children(node, "arguments");
  const callee = nameOf(child(node, "callee"));
  const isAppError = callee === "AppError";
  // The one code without a slice is spelt like its kind, so it counts only in its place.
  const at = isAppError ? 1 : given.findIndex((argument, index) => index < 3 && isCode(literal(argument)));
  const code = literal(given[at]);
  if (code === undefined || !(isCode(code) || isAppError)) return [];
  if (callee === "invalidFields") return [{ code, kind: "invalid", sentence: fieldSentence, path }];
  const sentence = sentenceOf(syntax, given[at + 1]);
  const shown = isSentence(sentence) ? sentence : undefined;
  if (shown === undefined && !isAppError && callee !== "AgentError") return [];
  const kind = isAppError ? (literal(given[0]) ?? "varies") : undefined;
  return [{ code, kind, sentence: shown ?? varies, path }];
}

function fromObject(syntax: Syntax, node: AstNode, path: string): ErrorCode[] {
  const properties = children(node, "properties").filter((property) => property.type === "Property");
  const find = (name: string) => {
    const found = properties.find((property) => nameOf(child(property, "key")) === name);
    return found === undefined ? undefined : child(found, "value");
  };
  const code = literal(find("code"));
  if (isCode(code)) {
    const given = messageKeys.map((key) => find(key)).find((value) => value !== undefined);
    const sentence = sentenceOf(syntax, given);
    return isSentence(sentence) ? [{ code, kind: undefined, sentence, path }] : [];
  }
  return properties.flatMap((property) => {
    const key = nameOf(child(property, "key"));
    const sentence = textOf(child(property, "value"));
    return isCode(key) && isSentence(sentence) ? [{ code: key, kind: undefined, sentence, path }] : [];
  });
}

/** A plain string; also the fallback of `x ?? "code"`. */
function literal(node: AstNode | undefined): string | undefined {
  if (node?.type === "LogicalExpression") return literal(child(node, "right"));
  return node?.type === "Literal" ? textOf(node) : undefined;
}

/** The text of an argument; of a name, the text that the nearest declaration above gives it. */
function sentenceOf(syntax: Syntax, node: AstNode | undefined): string | undefined {
  if (node?.type === "LogicalExpression") return sentenceOf(syntax, child(node, "right"));
  const direct = textOf(node);
  if (direct !== undefined || node?.type !== "Identifier") return direct;
  const name = nameOf(node);
  const above = syntax.nodes.findLast(
    (candidate) =>
      candidate.type === "VariableDeclarator" &&
      candidate.start < node.start &&
      nameOf(child(candidate, "id")) === name,
  );
  return above === undefined ? undefined : textOf(child(above, "init"));
}
