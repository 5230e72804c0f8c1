/**
 * JSON Schema as rows that a person reads: one for each field, nested ones with their path.
 *
 * Invariant: an unknown construct is shown as `any`, never left out. Not here: Markdown.
 */

import { z } from "zod";

/** The part of JSON Schema that zod writes. */
export interface JsonSchema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly format?: string;
  /** How OpenAPI 3.0 says "or null". */
  readonly nullable?: boolean;
  readonly pattern?: string;
  readonly default?: unknown;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly maxItems?: number;
  readonly minimum?: number;
  readonly maximum?: number;
}

/** One row. */
export interface Field {
  /** `jobs[].job_id`; empty for a value that is no object. */
  readonly name: string;
  readonly type: string;
  readonly isRequired: boolean;
  /** Of a union: for which of its members the field exists, such as `kind = "backup"`. */
  readonly onlyWith: string;
}

/** Finds what a `$ref` points to. */
export type Resolve = (reference: string) => JsonSchema;

interface Place {
  readonly name: string;
  readonly isRequired: boolean;
  readonly onlyWith: string;
}

/** How the protocol checks an id (https://github.com/ulid/spec). */
const ulidPattern = "^[0-9A-HJKMNP-TV-Z]{26}$";

const noReferences: Resolve = () => ({});

/** What a sender may write. Transforms have no schema and are shown as `any`. */
export const schemaOf = (type: z.ZodType): JsonSchema =>
  z.toJSONSchema(type, { io: "input", unrepresentable: "any" }) as JsonSchema;

/** Every field of a schema, depth first in the schema's order. */
export function listFields(schema: JsonSchema, resolve: Resolve = noReferences): Field[] {
  const known = schema.$ref === undefined ? schema : resolve(schema.$ref);
  const rows = describe(known, { name: "", isRequired: true, onlyWith: "" }, resolve);
  const [first] = rows;
  return rows.length > 1 && first?.name === "" ? rows.slice(1) : rows;
}

function describe(given: JsonSchema, place: Place, resolve: Resolve): Field[] {
  const schema = given.$ref === undefined ? given : resolve(given.$ref);
  const choices = schema.anyOf ?? schema.oneOf ?? [];
  const solid = choices.filter((choice) => choice.type !== "null");
  const [only] = solid;
  if (only !== undefined && solid.length === 1) {
    const [row, ...nested] = describe(only, place, resolve);
    return row === undefined ? nested : [{ ...row, type: `${row.type} or null` }, ...nested];
  }
  const row: Field = { ...place, type: `${typeOf(schema)}${schema.nullable === true ? " or null" : ""}` };
  if (solid.length > 1) return [row, ...describeUnion(solid, place, resolve)];
  if (schema.items !== undefined) {
    const inner = describe(schema.items, { ...place, name: `${place.name}[]`, isRequired: true }, resolve);
    const [item, ...nested] = inner;
    const atMost = schema.maxItems === undefined ? "" : `, at most ${schema.maxItems}`;
    return [{ ...row, type: `list of ${item?.type ?? "any"}${atMost}` }, ...nested];
  }
  return [row, ...describeProperties(schema, place, resolve)];
}

function describeProperties(schema: JsonSchema, place: Place, resolve: Resolve): Field[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, property]) => {
    const isRequired = schema.required?.includes(name) === true;
    const path = place.name === "" ? name : `${place.name}.${name}`;
    return describe(property, { name: path, isRequired, onlyWith: place.onlyWith }, resolve);
  });
}

/** The constants that tell the members apart in one row, then the fields of each member. */
function describeUnion(choices: readonly JsonSchema[], place: Place, resolve: Resolve): Field[] {
  const members = choices.map((choice) => (choice.$ref === undefined ? choice : resolve(choice.$ref)));
  const marks = members.map(
    (member) =>
      Object.entries(member.properties ?? {}).find(([, { const: value }]) => value !== undefined)?.[0],
  );
  const [mark] = marks;
  if (mark === undefined || marks.some((other) => other !== mark)) {
    return members.flatMap((member) => describeProperties(member, place, resolve));
  }
  const markOf = (member: JsonSchema) => JSON.stringify(member.properties?.[mark]?.const);
  const name = place.name === "" ? mark : `${place.name}.${mark}`;
  const row: Field = { ...place, name, isRequired: true, type: members.map(markOf).join(", ") };
  const rest = members.flatMap((member) => {
    const { [mark]: _told, ...properties } = member.properties ?? {};
    const onlyWith = `${mark} = ${markOf(member)}`;
    return describeProperties({ ...member, properties }, { ...place, onlyWith }, resolve);
  });
  return [row, ...rest];
}

function typeOf(schema: JsonSchema): string {
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum !== undefined) return schema.enum.map((value) => JSON.stringify(value)).join(", ");
  if (schema.anyOf !== undefined || schema.oneOf !== undefined) return unionType(schema);
  const types = typeof schema.type === "string" ? [schema.type] : (schema.type ?? []);
  const named = types.map((type) => (type === "string" ? stringType(schema) : numberType(type, schema)));
  return named.length === 0 ? "any" : named.join(" or ");
}

function unionType(schema: JsonSchema): string {
  const choices = schema.anyOf ?? schema.oneOf ?? [];
  const types = choices.map((choice) => (choice.properties === undefined ? typeOf(choice) : "object"));
  return [...new Set(types)].join(" or ");
}

function stringType(schema: JsonSchema): string {
  if (schema.format === "date-time") return "instant";
  if (schema.pattern === ulidPattern) return "ULID";
  const atMost = schema.maxLength === undefined ? "" : `, at most ${schema.maxLength} characters`;
  return `${schema.minLength === 1 ? "text, not empty" : "text"}${atMost}`;
}

function numberType(type: string, schema: JsonSchema): string {
  const from = schema.minimum === undefined || schema.minimum < -1e15 ? "" : ` from ${schema.minimum}`;
  // Beyond this a number is no longer exact, so zod writes it where nobody asked for a limit.
  const isLimited = schema.maximum !== undefined && schema.maximum < Number.MAX_SAFE_INTEGER;
  return `${type}${from}${isLimited ? ` to ${schema.maximum}` : ""}`;
}
