/** JSON Schema becomes rows: nothing is left out, nothing is invented. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { z } from "zod";
import { type JsonSchema, listFields, schemaOf } from "./fields.ts";

const fieldsOf = (schema: z.ZodType) => listFields(schemaOf(schema));

test("nested objects and lists show the path to each field", () => {
  const rows = fieldsOf(z.object({ jobs: z.array(z.object({ id: z.string() })).max(3) }));
  expect(rows).toEqual([
    { name: "jobs", type: "list of object, at most 3", isRequired: true, onlyWith: "" },
    { name: "jobs[].id", type: "text", isRequired: true, onlyWith: "" },
  ]);
});

test("optional, nullable and limits are said", () => {
  const rows = fieldsOf(
    z.object({
      a: z.string().min(1).max(9).nullish(),
      b: z.int().min(0),
      c: z.iso.datetime(),
      d: z.boolean(),
    }),
  );
  expect(rows.map(({ type, isRequired }) => [type, isRequired])).toEqual([
    ["text, not empty, at most 9 characters or null", false],
    ["integer from 0", true],
    ["instant", true],
    ["boolean", true],
  ]);
});

test("a union names its members by the constant that tells them apart", () => {
  const union = z.discriminatedUnion("kind", [
    z.object({ kind: z.literal("init") }),
    z.object({ kind: z.literal("backup"), name: z.string() }),
  ]);
  expect(fieldsOf(z.object({ spec: union }))).toEqual([
    { name: "spec", type: "object", isRequired: true, onlyWith: "" },
    { name: "spec.kind", type: '"init", "backup"', isRequired: true, onlyWith: "" },
    { name: "spec.name", type: "text", isRequired: true, onlyWith: 'kind = "backup"' },
  ]);
});

test("OpenAPI's nullable and references are understood", () => {
  const schema: JsonSchema = { properties: { a: { type: "string", nullable: true }, b: { $ref: "#/x/B" } } };
  const rows = listFields(schema, () => ({ type: "boolean" }));
  expect(rows.map(({ name, type }) => [name, type])).toEqual([
    ["a", "text or null"],
    ["b", "boolean"],
  ]);
});

test("every property of any object has a row", () => {
  const names = fc.uniqueArray(fc.string({ minLength: 1 }).filter((name) => name !== "__proto__"));
  fc.assert(
    fc.property(names, (given) => {
      const properties = Object.fromEntries(given.map((name) => [name, {}]));
      const rows = listFields({ type: "object", properties });
      if (given.length > 0) expect(rows.map(({ name }) => name).sort()).toEqual([...given].sort());
    }),
  );
});
