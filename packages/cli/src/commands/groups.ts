/** Source groups: what a host backs up. */
import { type Call, show } from "../call.ts";
import { findGroup, findHost } from "../lookup.ts";
import { afterStart } from "../started.ts";
import { table } from "../table.ts";
import { visible } from "../text.ts";
import * as wire from "../wire.ts";

export async function listGroups(call: Call): Promise<undefined> {
  const client = await call.client();
  const { data: host } = await findHost(client, call.args.word("HOST"));
  const { raw, data } = await client.get(`/api/hosts/${host.id}/source-groups`, wire.groups);
  await show(call, raw, (columns) =>
    table(
      [
        { title: "GROUP", yields: true },
        { title: "KEEP", yields: true },
        { title: "PATHS", yields: true },
        { title: "LEFT OUT", yields: true },
      ],
      data.source_groups.map((group) => [
        group.name,
        keepOf(group),
        group.includes.join(" "),
        group.excludes.join(" ") || "-",
      ]),
      columns,
    ),
  );
}

/** `7 daily, 4 weekly`; everything without a retention. */
function keepOf({ retention }: wire.Group): string {
  const kept = Object.entries(retention).flatMap(([name, value]) =>
    value === null ? [] : [`${value} ${name.replace("keep_", "")}`],
  );
  return kept.length === 0 ? "everything" : kept.join(", ");
}

export async function runGroup(call: Call): Promise<number | undefined> {
  const client = await call.client();
  const { data: host } = await findHost(client, call.args.word("HOST"));
  const group = await findGroup(client, host, call.args.word("GROUP"));
  const path = `/api/hosts/${host.id}/source-groups/${group.id}/run`;
  const { raw, data } = await client.post(path, {}, wire.accepted);
  const what = `backup of ${visible(group.name)} on ${visible(host.name)}`;
  return afterStart(call, client, { raw, jobIds: [data.job_id], what });
}
