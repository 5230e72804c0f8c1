import { describe, expect, it } from "vitest";
import { allows, type Policy, type Role } from "./identity.ts";

/** Which roles may use a route of each policy, null being an anonymous visitor. */
const table: Record<Policy, (Role | null)[]> = {
  anonymous: ["admin", "operator", "viewer", null],
  agent: ["admin", "operator", "viewer", null],
  replica: ["admin", "operator", "viewer", null],
  viewer: ["admin", "operator", "viewer"],
  operator: ["admin", "operator"],
  admin: ["admin"],
};

describe("a route's policy", () => {
  const cells = Object.entries(table).flatMap(([policy, allowed]) =>
    ([...table.anonymous] as (Role | null)[]).map((role) => ({
      policy: policy as Policy,
      role,
      expected: allowed.includes(role),
    })),
  );

  it.each(cells)("$policy, asked by $role: $expected", ({ policy, role, expected }) => {
    expect(allows(policy, role)).toBe(expected);
  });
});
