/** Finds things by what a person calls them: hosts and groups by name, snapshots by the beginning of their id. */
import { z } from "zod";
import type { Answer, Client, Query } from "./client.ts";
import { Problem, usageProblem } from "./problem.ts";
import * as wire from "./wire.ts";

/** As many as the API gives at once. */
const pageSize = 1000;

/** Every host that matches, by name. Page by page: the server has others to answer between two of them. */
export async function listHosts(client: Pick<Client, "get">, query: Query = {}): Promise<Answer<wire.Hosts>> {
  const all: { raw: unknown[]; data: wire.Host[] } = { raw: [], data: [] };
  for (let after: string | undefined; ; ) {
    const { raw, data } = await client.get("/api/hosts", wire.hosts, { ...query, limit: pageSize, after });
    all.raw.push(...(raw as { hosts: unknown[] }).hosts);
    all.data.push(...data.hosts);
    if (data.next === null) break;
    after = data.next;
  }
  return { raw: { hosts: all.raw, next: null }, data: { hosts: all.data, next: null } };
}

/** @throws Problem `cli.no_such_host` */
export async function findHost(client: Client, word: string): Promise<Answer<wire.Host>> {
  const { raw, data } = await client.get("/api/hosts", wire.hosts, { name: word });
  const index = data.hosts.findIndex(({ name }) => name.toLowerCase() === word.toLowerCase());
  const found = data.hosts[index];
  if (found) return { raw: (raw as { hosts: unknown[] }).hosts[index], data: found };
  if (isId(word)) return client.get(`/api/hosts/${word}`, wire.host);
  throw new Problem("not_found", "cli.no_such_host", `There is no host "${word}". See: rmctl hosts list`);
}

/** @throws Problem `cli.no_such_group` */
export async function findGroup(client: Client, host: wire.Host, word: string): Promise<wire.Group> {
  const { data } = await client.get(`/api/hosts/${host.id}/source-groups`, wire.groups);
  const found = data.source_groups.find(
    ({ id, name }) => id === word || name.toLowerCase() === word.toLowerCase(),
  );
  if (found) return found;
  const names = data.source_groups.map(({ name }) => name).join(", ");
  throw new Problem(
    "not_found",
    "cli.no_such_group",
    `${host.name} has no source group "${word}", but: ${names}.`,
  );
}

const isFullId = (word: string): boolean => /^[0-9a-f]{64}$/.test(word);

/**
 * @param word a full id, the beginning of one, or `latest`
 * @returns the full id
 * @throws Problem `cli.no_such_snapshot`, `cli.ambiguous_snapshot`
 */
export async function findSnapshot(client: Client, host: wire.Host, word: string): Promise<string> {
  if (isFullId(word)) return word;
  if (word !== "latest" && !/^[0-9a-f]{4,}$/.test(word)) {
    throw usageProblem('A snapshot is called by at least four characters of its id, or "latest".');
  }
  const matches: string[] = [];
  for (let offset = 0; ; offset += pageSize) {
    const query = { limit: word === "latest" ? 1 : pageSize, offset };
    const { data } = await client.get(`/api/hosts/${host.id}/snapshots`, wire.snapshots, query);
    matches.push(
      ...data.snapshots.map(({ id }) => id).filter((id) => word === "latest" || id.startsWith(word)),
    );
    if (word === "latest" || data.snapshots.length < pageSize) break;
  }
  const [only, another] = matches;
  if (only === undefined) {
    const which = word === "latest" ? "no snapshot yet" : `no snapshot "${word}"`;
    throw new Problem(
      "not_found",
      "cli.no_such_snapshot",
      `${host.name} has ${which}. See: rmctl snapshots list`,
    );
  }
  if (another !== undefined) {
    const message = `${matches.length} snapshots of ${host.name} begin with "${word}". Give more of the id.`;
    throw new Problem("invalid", "cli.ambiguous_snapshot", message);
  }
  return only;
}

/** The names of all hosts by their ids, for lists that carry ids only. */
export async function hostNames(client: Client): Promise<ReadonlyMap<string, string>> {
  const { data } = await listHosts(client);
  return new Map(data.hosts.map(({ id, name }) => [id, name]));
}

const isId = (word: string): boolean => /^[0-9A-Z]{26}$/.test(word);

/** @throws Problem of usage: every id of ours is 26 characters */
export function jobId(word: string): string {
  if (!isId(word))
    throw usageProblem("A job is called by its id, 26 capitals and digits. See: rmctl jobs list");
  return word;
}

/** A whole number of an option. @throws Problem of usage */
export function wholeNumber(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const parsed = z.coerce.number().int().min(1).safeParse(text);
  if (!parsed.success) throw usageProblem(`--${option} is a whole number from 1.`);
  return parsed.data;
}
