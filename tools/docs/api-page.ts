/** docs/reference/api.md: the JSON routes as the running server describes them, and who may call them. */
import { type Field, type JsonSchema, listFields } from "./fields.ts";
import { code, page, table } from "./markdown.ts";

/** A route as the server declared it. */
export interface DeclaredRoute {
  readonly method: string;
  readonly url: string;
  readonly policy: string;
  readonly page: boolean;
}

interface Body {
  readonly content?: Readonly<Record<string, { readonly schema?: JsonSchema }>>;
}

interface Operation {
  readonly summary?: string;
  readonly parameters?: readonly {
    readonly name: string;
    readonly in: string;
    readonly required?: boolean;
    readonly schema?: JsonSchema;
  }[];
  readonly requestBody?: Body;
  readonly responses?: Readonly<Record<string, Body>>;
}

/** The part of an OpenAPI description that is shown. */
export interface OpenApi {
  readonly paths?: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components?: { readonly schemas?: Readonly<Record<string, JsonSchema>> };
}

const intro = `# API

JSON over HTTP; the same description for programs is at \`/api/openapi.json\`. Keys are \`snake_case\`, instants RFC 3339 in
UTC. Errors are in [errors.md](errors.md).

Sign in with \`POST /api/auth/login\`; the session is in the cookie \`rm_session\`. A browser's write must come from the
server's own origin. A client that is no browser sends no \`Origin\` and writes JSON.

A program sends an API token instead, made in Settings → Account: \`Authorization: Bearer rmt_…\`. It does what its user
may do now, at most with the token's own role; no cookie and no origin is looked at then.

The role is the least that may call a route: admin > operator > viewer. \`agent\` routes check a host's bearer or its
enrolment token themselves.`;

const othersIntro = `## Beside JSON

Addresses that are no JSON route: WebSockets, and the pages with their forms.`;

/** The page, from the OpenAPI description and the declared routes. */
export function apiPage(api: OpenApi, declared: readonly DeclaredRoute[]): string {
  const resolve = (reference: string): JsonSchema =>
    api.components?.schemas?.[reference.split("/").at(-1) ?? ""] ?? {};
  const described = Object.entries(api.paths ?? {}).flatMap(([url, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ method: method.toUpperCase(), url, operation })),
  );
  const policyOf = (method: string, url: string) =>
    declared.find((route) => route.method === method && asTemplate(route.url) === url)?.policy ?? "";
  const isDescribed = (route: DeclaredRoute) =>
    described.some(({ method, url }) => route.method === method && asTemplate(route.url) === url);
  const rest = declared.filter((route) => !isDescribed(route));
  return page(
    intro,
    table(
      ["route", "role", "summary"],
      described.map(({ method, url, operation }) => {
        return [code(`${method} ${url}`), policyOf(method, url), operation.summary ?? ""];
      }),
    ),
    ...described.flatMap(({ method, url, operation }) => [
      `## ${code(`${method} ${url}`)}`,
      `${operation.summary ?? ""} Role: ${policyOf(method, url)}.`.trim(),
      ...describe(operation, resolve),
    ]),
    othersIntro,
    table(
      ["address", "role"],
      rest.map((route) => [code(`${route.method} ${asTemplate(route.url)}`), route.policy]),
    ),
  );
}

/** Fastify writes `:id` where OpenAPI writes `{id}`. */
const asTemplate = (url: string): string => url.replaceAll(/:(\w+)/g, "{$1}");

function describe(operation: Operation, resolve: (reference: string) => JsonSchema): string[] {
  const parameters = (operation.parameters ?? []).map((parameter) => {
    const [field] = listFields(parameter.schema ?? {}, resolve);
    const needed = parameter.required === true ? "yes" : "";
    return [code(parameter.name), parameter.in, field?.type ?? "any", needed];
  });
  const answers = Object.entries(operation.responses ?? {}).flatMap(([status, body]) => {
    const rows = rowsOf(body, resolve);
    return rows.length === 0 ? [] : [`Answer ${status}:`, table(["field", "type", "always"], rows)];
  });
  const body = rowsOf(operation.requestBody, resolve);
  return [
    parameters.length === 0 ? "" : table(["parameter", "in", "type", "required"], parameters),
    ...(body.length === 0 ? [] : ["Body:", table(["field", "type", "required"], body)]),
    ...answers,
  ];
}

function rowsOf(body: Body | undefined, resolve: (reference: string) => JsonSchema): string[][] {
  const schema = body?.content?.["application/json"]?.schema;
  if (schema === undefined) return [];
  const fields = listFields(schema, resolve);
  return fields.every((field) => field.name === "") ? [] : fields.map(rowOf);
}

function rowOf({ name, type, isRequired, onlyWith }: Field): string[] {
  const onlyThen = onlyWith === "" ? "" : `with ${code(onlyWith)}`;
  return [code(name), type, [isRequired ? "yes" : "", onlyThen].filter(Boolean).join(", ")];
}
