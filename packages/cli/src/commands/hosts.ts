/** Hosts and the fleet. */
import { type Call, show, tell } from "../call.ts";
import { findHost, listHosts } from "../lookup.ts";
import { usageProblem } from "../problem.ts";
import { facts, table } from "../table.ts";
import { bytes, relative, utc, visible } from "../text.ts";
import * as wire from "../wire.ts";

export async function showFleet(call: Call): Promise<undefined> {
  const { raw, data } = await (await call.client()).get("/api/fleet/summary", wire.fleet);
  await show(call, raw, () =>
    facts([
      ["Hosts online", `${data.online} of ${data.hosts}`],
      ["Need attention", String(data.need_attention)],
      ["Running jobs", String(data.running)],
      ["Snapshots", String(data.snapshots)],
      ["Protected", bytes(data.protected_bytes)],
      ["Repositories", String(data.repositories)],
      ["Restore proven", `${data.restore_proven} of ${data.hosts}`],
    ]),
  );
}

export async function showHosts(call: Call): Promise<undefined> {
  const { args, world } = call;
  const query = { q: args.text("search"), tag: args.text("tag"), state: args.text("state") };
  const { raw, data } = await listHosts(await call.client(), query);
  await show(call, raw, (columns) =>
    table(
      [
        { title: "NAME", yields: true },
        { title: "STATE" },
        { title: "SEEN" },
        { title: "SYSTEM" },
        { title: "AGENT", yields: true },
        { title: "RESTIC", yields: true },
        { title: "TAGS", yields: true },
      ],
      data.hosts.map((host) => [
        host.name,
        host.online ? "online" : "offline",
        relative(host.last_seen_at, world.now()),
        `${host.os}/${host.arch}`,
        host.agent_version ?? "-",
        host.restic_version ?? "-",
        host.tags.join(","),
      ]),
      columns,
    ),
  );
}

export async function showHost(call: Call): Promise<undefined> {
  const { raw, data: host } = await findHost(await call.client(), call.args.word("HOST"));
  const cap = (kib: number | null) => (kib === null ? "unlimited" : `${kib} KiB/s`);
  const { upload_kib: up, download_kib: down } = host.bandwidth;
  await show(call, raw, () =>
    facts([
      ["Name", host.name],
      ["Id", host.id],
      [
        "State",
        `${host.online ? "online" : "offline"}, seen ${relative(host.last_seen_at, call.world.now())}`,
      ],
      ["System", `${host.os}/${host.arch}`],
      ["Mode", host.mode],
      ["Agent", host.agent_version ?? "-"],
      ["restic", host.restic_version ?? "-"],
      ["Problem", host.restic_problem?.message],
      ["Tags", host.tags.length === 0 ? "-" : host.tags.join(", ")],
      ["Bandwidth", up === null && down === null ? "unlimited" : `up ${cap(up)}, down ${cap(down)}`],
      ["Clock", host.clock_skew_ms === null ? "-" : `${Math.round(host.clock_skew_ms / 1000)} s off`],
      ["Enrolled", utc(host.created_at)],
    ]),
  );
}

export async function deleteHost(call: Call): Promise<undefined> {
  const confirm = call.args.text("confirm");
  if (confirm === undefined) throw usageProblem("Type the host's name once more: --confirm NAME.");
  const client = await call.client();
  const { raw, data: host } = await findHost(client, call.args.word("HOST"));
  await client.delete(`/api/hosts/${host.id}`, { confirm_name: confirm });
  await tell(call, raw, `${visible(host.name)} is removed. Its snapshots stay in the repository.`);
}
