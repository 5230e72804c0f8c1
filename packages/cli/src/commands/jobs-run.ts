/** What is run on a host now: `jobs run`, and the repository's verbs, which are jobs too. */
import type { Call } from "../call.ts";
import type { Client } from "../client.ts";
import { findGroup, findHost, wholeNumber } from "../lookup.ts";
import { usageProblem } from "../problem.ts";
import { afterStart } from "../started.ts";
import { visible } from "../text.ts";
import * as wire from "../wire.ts";

type Host = wire.Host;
type Body = Record<string, unknown>;

/** What is posted for each kind. */
const bodies: Readonly<Record<string, (call: Call, client: Client, host: Host) => Promise<Body>>> = {
  backup: async (call, client, host) => {
    const limits = { ...limit(call, "upload"), ...limit(call, "download") };
    return {
      ...(await groupsOf(call, client, host, "source_group_ids")),
      ...(Object.keys(limits).length > 0 ? { limits } : {}),
    };
  },
  init: async (call) => confirmOf(call),
  check: async (call) => readData(call),
  forget: async (call) => (call.args.is("confirmed") ? { confirmed: true } : {}),
  prune: async () => ({}),
  unlock: async (call) => (call.args.is("all") ? { remove_all: true, ...confirmOf(call) } : {}),
  repair: async (call) => {
    const what = call.args.text("what");
    if (what === undefined) throw usageProblem("Say what to repair: --what index or --what snapshots.");
    return { what };
  },
  verify: async (call, client, host) => groupsOf(call, client, host, "source_group_id"),
};

export async function runJob(call: Call): Promise<number | undefined> {
  const kind = call.args.word("KIND");
  if (!Object.hasOwn(bodies, kind)) {
    throw usageProblem(`KIND is one of ${Object.keys(bodies).join(", ")}. See: rmctl help jobs run`);
  }
  return start(call, kind);
}

export const forget = (call: Call): Promise<number | undefined> => start(call, "forget");
export const prune = (call: Call): Promise<number | undefined> => start(call, "prune");
export const check = (call: Call): Promise<number | undefined> => start(call, "check");

async function start(call: Call, kind: string): Promise<number | undefined> {
  const client = await call.client();
  const { data: host } = await findHost(client, call.args.word("HOST"));
  const body = { kind, ...(await bodies[kind]?.(call, client, host)) };
  const { raw, data } = await client.post(`/api/hosts/${host.id}/jobs`, body, wire.acceptedMany);
  return afterStart(call, client, { raw, jobIds: data.job_ids, what: `${kind} on ${visible(host.name)}` });
}

async function groupsOf(call: Call, client: Client, host: Host, field: string): Promise<Body> {
  const names = call.args.texts("group");
  if (names.length === 0) return {};
  const ids: string[] = [];
  for (const name of names) ids.push((await findGroup(client, host, name)).id);
  if (field === "source_group_ids") return { source_group_ids: ids };
  if (ids.length > 1)
    throw usageProblem("One --group, please: a restore drill is of one source group or of all.");
  return { source_group_id: ids[0] };
}

function limit(call: Call, direction: "upload" | "download"): Body {
  const kib = wholeNumber(`${direction}-limit`, call.args.text(`${direction}-limit`));
  return kib === undefined ? {} : { [`${direction}_kib`]: kib };
}

function readData(call: Call): Body {
  const text = call.args.text("percent");
  if (text === undefined) return {};
  const percent = Number(text);
  if (!(percent > 0 && percent <= 100)) throw usageProblem("--percent is a number above 0 and up to 100.");
  return { read_data: { percent } };
}

function confirmOf(call: Call): Body {
  const name = call.args.text("confirm");
  return name === undefined ? {} : { confirm_name: name };
}
