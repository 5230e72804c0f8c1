/** docs/reference/errors.md: every stable error code, its HTTP status and its sentence. */
import { type ErrorKind, httpStatusOf } from "../../packages/server/src/platform/errors.ts";
import { type ErrorCode, varies } from "./error-codes.ts";
import { code, page, table } from "./markdown.ts";

const intro = `# Errors

Every error has a stable code, \`part.reason\`, that programs may rely on, and a sentence for people, that may change.
\`…\` stands for what is only known when it happens.`;

const serverIntro = `## Answers of the server

An error of the HTTP API is \`{code, message, details?, request_id}\`. The kind decides the status. In \`details\` stand
the problems of single fields, \`{path, message}\`, or what else a program may act on. The same codes stand for what
keeps the server from starting; then the sentence is printed and the program ends with 1.`;

const otherIntro = `## Errors of jobs, of the agent, of the link and of rmctl

These reach the server as the error of a job, as the reason of a refusal on the
[agent's link](../protocol.md), or are printed by the agent or by [rmctl](cli.md) (\`cli.…\`) on its own machine.`;

/** The page, from the codes of all files. */
export function errorsPage(found: readonly ErrorCode[]): string {
  const byCode = [...new Set(found.map((error) => error.code))].sort();
  const ofServer = byCode.filter((name) => kindOf(found, name) !== undefined);
  const others = byCode.filter((name) => kindOf(found, name) === undefined);
  const kinds = Object.entries(httpStatusOf).map(([kind, status]) => [kind, String(status)]);
  return page(
    intro,
    serverIntro,
    table(["kind", "status"], kinds),
    table(
      ["code", "status", "sentence", "where"],
      ofServer.map((name) => [code(name), statusOf(kindOf(found, name) ?? ""), ...about(found, name)]),
    ),
    otherIntro,
    table(
      ["code", "sentence", "where"],
      others.map((name) => [code(name), ...about(found, name)]),
    ),
  );
}

const kindOf = (found: readonly ErrorCode[], name: string): string | undefined =>
  found.find((error) => error.code === name && error.kind !== undefined)?.kind;

const isKind = (kind: string): kind is ErrorKind => Object.hasOwn(httpStatusOf, kind);

const statusOf = (kind: string): string => (isKind(kind) ? `${httpStatusOf[kind]} ${kind}` : kind);

/** The sentences and the files of one code, each once. */
function about(found: readonly ErrorCode[], name: string): [string, string] {
  const errors = found.filter((error) => error.code === name);
  const paths = [...new Set(errors.map((error) => error.path))];
  const links = paths.map((path) => `[${labelOf(path)}](../../${path})`);
  const sentences = new Set(errors.map((error) => error.sentence));
  // Where one place says it plainly, that another says more is no news.
  if (sentences.size > 1) sentences.delete(varies);
  return [[...sentences].join("<br>"), links.join(", ")];
}

/** `server/jobs.ts` for packages/server/src/features/jobs/jobs.ts: enough to know it by. */
const labelOf = (path: string): string => `${path.split("/")[1]}/${path.split("/").at(-1)}`;
