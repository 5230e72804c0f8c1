/** Restoring files of a snapshot. */
import type { Call } from "../call.ts";
import { findHost, findSnapshot } from "../lookup.ts";
import { usageProblem } from "../problem.ts";
import { afterStart } from "../started.ts";
import { visible } from "../text.ts";
import * as wire from "../wire.ts";

export async function runRestore(call: Call): Promise<number | undefined> {
  const { args } = call;
  const target = targetOf(call);
  const client = await call.client();
  const { data: host } = await findHost(client, args.word("HOST"));
  const body = {
    snapshot_id: await findSnapshot(client, host, args.word("SNAPSHOT")),
    paths: args.manyWords("PATH"),
    target,
    keep_ownership: args.is("keep-ownership"),
    includes: args.texts("include"),
    excludes: args.texts("exclude"),
    dry_run: args.is("dry-run"),
    verify: args.is("verify"),
  };
  const { raw, data } = await client.post(`/api/hosts/${host.id}/restore`, body, wire.accepted);
  return afterStart(call, client, { raw, jobIds: [data.job_id], what: `restore on ${visible(host.name)}` });
}

function targetOf({ args }: Call): Record<string, unknown> {
  const [folder, confirm, overwrite] = [args.text("target"), args.text("confirm"), args.text("overwrite")];
  if (args.is("in-place")) {
    if (folder !== undefined) throw usageProblem("Either --target or --in-place, not both.");
    if (confirm === undefined) {
      throw usageProblem("--in-place overwrites files: type the host's name with --confirm NAME.");
    }
    return { kind: "in_place", confirm_name: confirm, ...(overwrite === undefined ? {} : { overwrite }) };
  }
  if (overwrite !== undefined) throw usageProblem("--overwrite belongs to --in-place; a folder is new.");
  return { kind: "directory", ...(folder === undefined ? {} : { path: folder }) };
}
