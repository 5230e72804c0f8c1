/** Machines that announced themselves. They are called by their fingerprint, which is what a person has compared. */
import { type Call, show, tell } from "../call.ts";
import type { Client } from "../client.ts";
import { planOf } from "../plan.ts";
import { Problem } from "../problem.ts";
import { facts } from "../table.ts";
import { relative, visible } from "../text.ts";
import * as wire from "../wire.ts";

export async function listPending(call: Call): Promise<undefined> {
  const { raw, data } = await (await call.client()).get("/api/pending-hosts", wire.pendingHosts);
  const now = call.world.now();
  const blocks = data.pending_hosts.map((machine) =>
    facts([
      ["Name", machine.hostname],
      ["Fingerprint", machine.fingerprint],
      ["Address", machine.address],
      ["System", `${machine.os}/${machine.arch}, agent ${machine.agent_version}`],
      ["Note", machine.note ?? undefined],
      ["Announced", `${relative(machine.announced_at, now)}, ends ${relative(machine.expires_at, now)}`],
      ["State", machine.connected ? "connected" : "not connected"],
      ["Careful", duplicateText(machine)],
    ]),
  );
  const none = "No machine waits.\n";
  await show(call, raw, () => (blocks.length === 0 ? none : blocks.join("\n")));
}

const same: Readonly<Record<string, string>> = {
  pending_name: "another machine that waits has the same name",
  pending_machine: "the same machine waits twice",
  host_name: "a host has this name",
  host_machine: "this machine is a host already",
};

const duplicateText = ({ duplicates }: wire.PendingHost): string | undefined =>
  duplicates.length === 0 ? undefined : duplicates.map(({ kind }) => same[kind] ?? kind).join("; ");

export async function acceptPending(call: Call): Promise<undefined> {
  const { args } = call;
  const client = await call.client();
  const machine = await findPending(client, args.word("FINGERPRINT"));
  const serverName = args.text("server-name");
  const body = {
    ...planOf(call, args.text("name") ?? machine.hostname),
    fingerprint: machine.fingerprint,
    ...(serverName === undefined ? {} : { server_name: serverName }),
  };
  const accepted = await client.post(`/api/pending-hosts/${machine.id}/accept`, body, wire.acceptedHost);
  await show(call, accepted.raw, () =>
    facts([
      ["Host id", accepted.data.host_id],
      ["Password", accepted.data.repo_password],
    ]),
  );
}

export async function rejectPending(call: Call): Promise<undefined> {
  const client = await call.client();
  const machine = await findPending(client, call.args.word("FINGERPRINT"));
  const reason = call.args.text("reason");
  const body = reason === undefined ? {} : { reason };
  const { raw } = await client.post(`/api/pending-hosts/${machine.id}/reject`, body, wire.rejected);
  await tell(call, raw, `${visible(machine.hostname)} is sent away.`);
}

/** By the whole of it: a beginning would be easy to forge. @throws Problem `cli.no_such_pending` */
async function findPending(client: Client, word: string): Promise<wire.PendingHost> {
  const { data } = await client.get("/api/pending-hosts", wire.pendingHosts);
  const found = data.pending_hosts.find(({ fingerprint }) => fingerprint === word);
  if (found) return found;
  const message = "No machine with this whole fingerprint waits. See: rmctl pending list";
  throw new Problem("not_found", "cli.no_such_pending", message);
}
