/** Schedules: when a host is backed up. */
import { type Call, show } from "../call.ts";
import { findHost } from "../lookup.ts";
import { Problem } from "../problem.ts";
import { afterStart } from "../started.ts";
import { table } from "../table.ts";
import { relative, visible } from "../text.ts";
import * as wire from "../wire.ts";

export async function listSchedules(call: Call): Promise<undefined> {
  const client = await call.client();
  const { data: host } = await findHost(client, call.args.word("HOST"));
  const { raw, data } = await client.get(`/api/hosts/${host.id}/schedules`, wire.schedules);
  const groups = await client.get(`/api/hosts/${host.id}/source-groups`, wire.groups);
  const names = new Map(groups.data.source_groups.map(({ id, name }) => [id, name]));
  const now = call.world.now();
  await show(call, raw, (columns) =>
    table(
      [
        { title: "SCHEDULE" },
        { title: "CRON" },
        { title: "ZONE", yields: true },
        { title: "GROUPS", yields: true },
        { title: "NEXT" },
        { title: "LAST" },
      ],
      data.schedules.map((schedule) => [
        // The end of an id tells apart; its beginning is the time.
        schedule.id.slice(-6),
        schedule.cron,
        schedule.time_zone,
        schedule.source_group_ids.map((id) => names.get(id) ?? id).join(","),
        schedule.enabled ? relative(schedule.next_at, now) : "paused",
        schedule.last ? `${schedule.last.status}, ${relative(schedule.last.at, now)}` : "-",
      ]),
      columns,
    ),
  );
}

export async function runSchedule(call: Call): Promise<number | undefined> {
  const { args } = call;
  const client = await call.client();
  const { data: host } = await findHost(client, args.word("HOST"));
  const word = args.word("SCHEDULE").toUpperCase();
  const { data } = await client.get(`/api/hosts/${host.id}/schedules`, wire.schedules);
  const [found, another] = data.schedules.filter(
    ({ id }) => id === word || (word.length >= 4 && id.endsWith(word)),
  );
  if (!found || another) {
    const many = found ? "more than one schedule" : "no schedule";
    const message = `${host.name} has ${many} with this id. See: rmctl schedules list`;
    throw new Problem(found ? "invalid" : "not_found", "cli.no_such_schedule", message);
  }
  const path = `/api/hosts/${host.id}/schedules/${found.id}/run`;
  const body = args.is("confirm-paused") ? { confirm_paused: true } : {};
  const started = await client.post(path, body, wire.acceptedMany);
  const { raw } = started;
  return afterStart(call, client, {
    raw,
    jobIds: started.data.job_ids,
    what: `backup on ${visible(host.name)}`,
  });
}
