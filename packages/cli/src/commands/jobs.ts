/** Jobs: list, show, cancel, log, follow. */
import { type Call, show, tell } from "../call.ts";
import { follow, logText } from "../follow.ts";
import { findHost, hostNames, jobId, wholeNumber } from "../lookup.ts";
import { Problem } from "../problem.ts";
import { facts, table } from "../table.ts";
import { bytes, counted, duration, jsonLine, relative, utc } from "../text.ts";
import * as wire from "../wire.ts";

export async function listJobs(call: Call): Promise<undefined> {
  const { args, world } = call;
  const client = await call.client();
  const wanted = args.text("host");
  const path =
    wanted === undefined ? "/api/jobs" : `/api/hosts/${(await findHost(client, wanted)).data.id}/jobs`;
  const page = wholeNumber("page", args.text("page"));
  const query = { status: args.text("status"), kind: args.text("kind"), page };
  const { raw, data } = await client.get(path, wire.jobs, query);
  const names = call.json ? new Map<string, string>() : await hostNames(client);
  await show(call, raw, (columns) => {
    const rows = data.jobs.map((job) => [
      job.id,
      names.get(job.host_id) ?? job.host_id,
      job.kind,
      job.source_group ?? "-",
      job.status,
      relative(job.finished_at ?? job.started_at ?? job.created_at, world.now()),
      job.actor.name,
    ]);
    const titles = ["JOB", "HOST", "KIND", "GROUP", "STATUS", "WHEN", "BY"];
    const gives = ["HOST", "GROUP", "BY"];
    const list = table(
      titles.map((title) => ({ title, ...(gives.includes(title) ? { yields: true as const } : {}) })),
      rows,
      columns,
    );
    const more =
      data.total > data.jobs.length ? `${data.jobs.length} of ${counted(data.total, "job")}\n` : "";
    return list + more;
  });
}

export async function showJob(call: Call): Promise<undefined> {
  const client = await call.client();
  const { raw, data: job } = await client.get(`/api/jobs/${jobId(call.args.word("JOB"))}`, wire.job);
  const names = call.json ? new Map<string, string>() : await hostNames(client);
  const { summary, error } = job;
  await show(call, raw, () =>
    facts([
      ["Job", job.id],
      ["Host", names.get(job.host_id) ?? job.host_id],
      ["Kind", job.kind],
      ["Group", job.source_group ?? undefined],
      ["Status", job.status],
      ["Waits", job.waits_for?.message],
      ["By", `${job.actor.name} (${job.actor.kind})`],
      ["Created", utc(job.created_at)],
      ["Started", utc(job.started_at)],
      ["Finished", utc(job.finished_at)],
      ["Took", tookOf(job)],
      ["Snapshot", summary?.snapshot_id ?? undefined],
      ["Files", summary ? `${summary.total_files}, ${bytes(summary.total_bytes)}` : undefined],
      ["Added", summary ? bytes(summary.added_bytes) : undefined],
      ["Error", error ? `${error.message} (${error.code})` : undefined],
      ...(error?.last_lines ?? []).map((line): [string, string] => ["", line]),
    ]),
  );
}

const tookOf = ({ started_at: from, finished_at: to }: wire.Job): string | undefined =>
  from && to ? duration(Date.parse(to) - Date.parse(from)) : undefined;

const outcomes: Readonly<Record<string, string>> = {
  cancelled: "The job is cancelled.",
  requested: "The job's agent is asked to stop it.",
  already_finished: "The job had ended already and stays as it is.",
};

export async function cancelJob(call: Call): Promise<undefined> {
  const path = `/api/jobs/${jobId(call.args.word("JOB"))}/cancel`;
  const { raw, data } = await (await call.client()).post(path, {}, wire.cancelled);
  await tell(call, raw, outcomes[data.outcome] ?? "The job is asked to stop.");
}

export async function printLog(call: Call): Promise<undefined> {
  const client = await call.client();
  for await (const text of client.lines(`/api/jobs/${jobId(call.args.word("JOB"))}/log.ndjson`)) {
    if (text === "") continue;
    const { raw, line } = readLine(text);
    await call.world.out.write(call.json ? jsonLine(raw) : logText(line));
  }
}

function readLine(text: string) {
  try {
    const raw: unknown = JSON.parse(text);
    return { raw, line: wire.logLine.parse(raw) };
  } catch {
    throw new Problem(
      "internal",
      "cli.unexpected_answer",
      "A line of the log is not what this rmctl understands.",
    );
  }
}

export const followOne = async (call: Call): Promise<number> =>
  follow(call, await call.client(), jobId(call.args.word("JOB")));
