/** Snapshots: list and diff. */
import { type Call, show } from "../call.ts";
import { exitCodes, jobOutcome } from "../exit-codes.ts";
import { endText } from "../follow.ts";
import { followJob } from "../job-stream.ts";
import { findHost, findSnapshot, wholeNumber } from "../lookup.ts";
import { table } from "../table.ts";
import { bytes, counted, utc } from "../text.ts";
import * as wire from "../wire.ts";

export async function listSnapshots(call: Call): Promise<undefined> {
  const { args } = call;
  const client = await call.client();
  const { data: host } = await findHost(client, args.word("HOST"));
  const query = {
    limit: wholeNumber("limit", args.text("limit")),
    offset: wholeNumber("offset", args.text("offset")),
  };
  const { raw, data } = await client.get(`/api/hosts/${host.id}/snapshots`, wire.snapshots, query);
  await show(call, raw, (columns) => {
    const list = table(
      [
        { title: "SNAPSHOT" },
        { title: "TIME" },
        { title: "GROUP", yields: true },
        { title: "SIZE", right: true },
        { title: "FILES", right: true },
        { title: "PATHS", yields: true },
      ],
      data.snapshots.map((snapshot) => [
        snapshot.id.slice(0, 8),
        utc(snapshot.time).replace(" UTC", ""),
        snapshot.tags.join(","),
        bytes(snapshot.size_bytes),
        snapshot.file_count === null ? "-" : String(snapshot.file_count),
        snapshot.paths.join(" "),
      ]),
      columns,
    );
    const isPart = data.total > data.snapshots.length;
    return list + (isPart ? `${data.snapshots.length} of ${counted(data.total, "snapshot")}\n` : "");
  });
}

/** Waits for the job without its log, which is long: what differs is read afterwards, a page of it. */
export async function diffSnapshots(call: Call): Promise<number | undefined> {
  const { args, world } = call;
  const client = await call.client();
  const { data: host } = await findHost(client, args.word("HOST"));
  const limit = wholeNumber("limit", args.text("limit"));
  const from = await findSnapshot(client, host, args.word("FROM"));
  const to = await findSnapshot(client, host, args.word("TO"));
  const started = await client.post(`/api/hosts/${host.id}/snapshots/diff`, { from, to }, wire.accepted);
  const jobId = started.data.job_id;
  let last: wire.Job | null = null;
  for await (const told of followJob(client, world, jobId)) if (told.type === "job") last = told.job;
  const outcome = jobOutcome(last?.status ?? "") ?? "internal";
  if (outcome !== "done" && outcome !== "warning") {
    if (last) await world.err.write(endText(last));
    return exitCodes[outcome].code;
  }
  const { raw, data } = await client.get(`/api/jobs/${jobId}/diff`, wire.diff, { limit });
  await show(call, raw, (columns) => {
    const changes = table(
      [
        { title: "CHANGE" },
        { title: "BEFORE", right: true },
        { title: "AFTER", right: true },
        { title: "PATH", yields: true },
      ],
      data.changes.map((change) => [
        change.kind,
        bytes(change.size_before),
        bytes(change.size_after),
        change.path,
      ]),
      columns,
    );
    const { result } = data;
    const figures = result
      ? `${result.added.count} added, ${result.removed.count} removed, ${result.changed.count} changed, ${result.metadata} only in mode, owner or time\n`
      : "";
    const part =
      data.matching > data.changes.length ? `${data.changes.length} of ${data.matching} are shown.\n` : "";
    return changes + part + figures;
  });
  return exitCodes[outcome].code;
}
