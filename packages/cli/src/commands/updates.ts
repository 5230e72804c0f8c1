/** Updates of the fleet in waves, and of one host. */
import { type Call, show } from "../call.ts";
import { segment } from "../client.ts";
import { findHost } from "../lookup.ts";
import { afterStart } from "../started.ts";
import { facts, table } from "../table.ts";
import { relative, utc, visible } from "../text.ts";
import * as wire from "../wire.ts";

const programOf = (call: Call): string => call.args.text("program") ?? "agent";

export async function listUpdates(call: Call): Promise<undefined> {
  const { raw, data } = await (await call.client()).get("/api/updates", wire.updates);
  const now = call.world.now();
  await show(call, raw, (columns) =>
    table(
      [
        { title: "UPDATE" },
        { title: "TO", yields: true },
        { title: "STATE" },
        { title: "DONE", right: true },
        { title: "FAILED", right: true },
        { title: "LEFT", right: true },
        { title: "STARTED" },
      ],
      data.updates.map((update) => [
        update.id,
        `${update.program} ${update.version}`,
        update.state,
        String(update.counts.done),
        String(update.counts.failed),
        String(update.counts.waiting + update.counts.updating),
        relative(update.started_at, now),
      ]),
      columns,
    ),
  );
}

export async function showUpdate(call: Call): Promise<undefined> {
  const { raw, data } = await (await call.client()).get(pathOf(call), wire.updateRun);
  await show(call, raw, (columns) => runText(data, columns));
}

export async function startUpdate(call: Call): Promise<undefined> {
  const { args } = call;
  const client = await call.client();
  const hostIds: string[] = [];
  for (const word of args.texts("host")) hostIds.push((await findHost(client, word)).data.id);
  const tag = args.text("tag");
  const body = {
    program: programOf(call),
    ...(tag === undefined ? {} : { tag }),
    ...(hostIds.length === 0 ? {} : { host_ids: hostIds }),
  };
  const { raw, data } = await client.post("/api/updates", body, wire.updateRun);
  await show(call, raw, (columns) => runText(data, columns));
}

const decide =
  (verb: string) =>
  async (call: Call): Promise<undefined> => {
    const { raw, data } = await (await call.client()).post(`${pathOf(call)}/${verb}`, {}, wire.updateRun);
    await show(call, raw, (columns) => runText(data, columns));
  };
export const pauseUpdate = decide("pause");
export const resumeUpdate = decide("resume");
export const cancelUpdate = decide("cancel");

export async function updateHost(call: Call): Promise<number | undefined> {
  const client = await call.client();
  const { data: host } = await findHost(client, call.args.word("HOST"));
  const program = programOf(call);
  const { raw, data } = await client.post(`/api/hosts/${host.id}/update`, { program }, wire.accepted);
  const what = `update of ${program} on ${visible(host.name)}`;
  return afterStart(call, client, { raw, jobIds: [data.job_id], what });
}

const pathOf = (call: Call): string => `/api/updates/${segment(call.args.word("UPDATE"))}`;

function runText(run: wire.UpdateRun, columns: number | null): string {
  const about = facts([
    ["Update", run.id],
    ["To", `${run.program} ${run.version}`],
    ["State", run.state],
    ["Stands still", run.pause?.message],
    ["Tag", run.tag ?? undefined],
    ["By", run.started_by],
    ["Started", utc(run.started_at)],
    ["Ended", run.ended_at === null ? undefined : utc(run.ended_at)],
  ]);
  const hosts = table(
    [
      { title: "HOST", yields: true },
      { title: "WAVE", right: true },
      { title: "STATE" },
      { title: "FROM", yields: true },
      { title: "WHY", yields: true },
    ],
    run.hosts.map((host) => [
      host.name,
      host.wave === null ? "-" : String(host.wave),
      host.online ? host.state : `${host.state}, offline`,
      host.from_version ?? "-",
      host.error ? `${host.error.message} (${host.error.code})` : "-",
    ]),
    columns,
  );
  return `${about}\n${hosts}`;
}
