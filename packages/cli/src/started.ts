/** After a job was started: its id, or with `--follow` the whole of it. */
import type { Call } from "./call.ts";
import { tell } from "./call.ts";
import type { Client } from "./client.ts";
import { followAll } from "./follow.ts";

/** @returns the exit code of what was followed */
export async function afterStart(
  call: Call,
  client: Client,
  started: { raw: unknown; jobIds: readonly string[]; what: string },
): Promise<number | undefined> {
  const { raw, jobIds, what } = started;
  const isFollowed = call.args.is("follow");
  // With --json and --follow the first document tells the ids, and the lines after it are the jobs'.
  const words = jobIds.map((jobId) => `${what}: job ${jobId}`);
  const hint = isFollowed ? [] : [`See it run: rmctl jobs follow ${jobIds[0] ?? ""}`];
  await tell(call, raw, [...words, ...hint].join("\n"));
  return isFollowed ? followAll(call, client, jobIds) : undefined;
}
