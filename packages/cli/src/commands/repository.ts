/** A host's repository: what it is, and whether the host can open it. */
import { type Call, show } from "../call.ts";
import { exitCodes } from "../exit-codes.ts";
import { findHost } from "../lookup.ts";
import { facts, table } from "../table.ts";
import { bytes, duration, relative, visible } from "../text.ts";
import * as wire from "../wire.ts";

export async function showRepository(call: Call): Promise<undefined> {
  const client = await call.client();
  const { data: host } = await findHost(client, call.args.word("HOST"));
  const { raw, data } = await client.get(`/api/hosts/${host.id}/repository`, wire.repository);
  const now = call.world.now();
  const { statistics } = data;
  await show(call, raw, (columns) => {
    const about = facts([
      ["Location", data.location],
      ["Size", `${bytes(statistics.raw_bytes)} stored, ${bytes(statistics.uncompressed_bytes)} uncompressed`],
      ["Snapshots", statistics.snapshot_count === null ? "-" : String(statistics.snapshot_count)],
      ["Counted", relative(statistics.at, now)],
      ["Shared by", data.hosts.map(({ name }) => name).join(", ")],
      ["Prune access", data.admin_credentials_set ? "set" : "not set: prune is refused"],
      ...(data.locks ?? []).map((lock): [string, string] => [
        "Lock",
        `${lock.exclusive ? "exclusive" : "shared"}, ${lock.hostname} pid ${lock.pid}, ${relative(lock.created_at, now)}`,
      ]),
    ]);
    const cadences = table(
      [{ title: "MAINTENANCE" }, { title: "LAST" }, { title: "STATUS" }, { title: "NEXT" }],
      data.cadences.map(({ operation, last_run: last, next_at: next }) => [
        operation,
        relative(last?.finished_at, now),
        last?.status ?? "-",
        next === null ? "off" : relative(next, now),
      ]),
      columns,
    );
    return `${about}\n${cadences}`;
  });
}

export async function testRepository(call: Call): Promise<number | undefined> {
  const client = await call.client();
  const { data: host } = await findHost(client, call.args.word("HOST"));
  const { raw, data } = await client.post(`/api/hosts/${host.id}/repo-credentials/test`, {}, wire.tried);
  const lines = data.last_lines.map((line) => `  ${visible(line)}\n`).join("");
  const code = data.code === null ? "" : ` (${visible(data.code)})`;
  await show(
    call,
    raw,
    () => `${visible(data.message)}${code}\n${lines}It took ${duration(data.duration_ms)}.\n`,
  );
  return data.outcome === "ok" ? undefined : exitCodes.failed.code;
}
