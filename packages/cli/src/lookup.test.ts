/** Lists that the API gives in pages, and things that are called by what a person calls them. */
import { describe, expect, it } from "vitest";
import type { Client, Query } from "./client.ts";
import { listHosts } from "./lookup.ts";

/** Answers `/api/hosts` as the server does, of hosts that are named by their number. */
class PagedServer implements Pick<Client, "get"> {
  readonly asked: Query[] = [];
  private readonly names: readonly string[];

  constructor(count: number) {
    this.names = Array.from({ length: count }, (_, index) => String(index).padStart(6, "0"));
  }

  get: Client["get"] = async (path, schema, query = {}) => {
    this.asked.push(query);
    const { after = "", limit } = query;
    const rest = path === "/api/hosts" ? this.names.filter((name) => name > String(after)) : [];
    const page = rest.slice(0, Number(limit));
    const raw = { hosts: page.map(hostOf), next: rest.length > page.length ? page.at(-1) : null };
    return { raw, data: schema.parse(raw) };
  };
}

const none = { agent_version: null, restic_version: null, restic_problem: null, clock_skew_ms: null };
const hostOf = (name: string) => ({
  ...{ id: `H${name}`, name, os: "linux", arch: "x64", tags: [], mode: "always-on", online: false },
  ...{ ...none, bandwidth: { upload_kib: null, download_kib: null }, last_seen_at: null },
  created_at: "2026-11-26T00:00:00.000Z",
});

describe("a list of hosts", () => {
  it.each([0, 1, 1000, 1001, 2500])("of %i is whole, each once and in order", async (count) => {
    const server = new PagedServer(count);
    const { raw, data } = await listHosts(server, { tag: "db" });
    const names = data.hosts.map(({ name }) => name);
    expect(names).toEqual([...new Set(names)].sort());
    expect(names).toHaveLength(count);
    expect(raw).toMatchObject({ hosts: names.map((name) => ({ name })), next: null });
    expect(server.asked).toHaveLength(Math.max(1, Math.ceil(count / 1000)));
    expect(server.asked.every(({ tag }) => tag === "db")).toBe(true);
  });
});
