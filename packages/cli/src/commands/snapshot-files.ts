/** Looking into a snapshot: a folder, or a search. */
import { type Call, show } from "../call.ts";
import { type Client, segment } from "../client.ts";
import { findHost, findSnapshot } from "../lookup.ts";
import { Problem } from "../problem.ts";
import { table } from "../table.ts";
import { bytes, utc } from "../text.ts";
import * as wire from "../wire.ts";

/** How long it is waited between two looks at an index that is being made. */
const indexPauseMs = 2000;

async function snapshotPath(call: Call, client: Client): Promise<string> {
  const { data: host } = await findHost(client, call.args.word("HOST"));
  const id = await findSnapshot(client, host, call.args.word("SNAPSHOT"));
  return `/api/hosts/${host.id}/snapshots/${segment(id)}`;
}

export async function listFolder(call: Call): Promise<undefined> {
  const client = await call.client();
  const query = { path: call.args.manyWords("PATH")[0], after: call.args.text("after") };
  const { raw, data } = await client.get(`${await snapshotPath(call, client)}/tree`, wire.folder, query);
  await show(
    call,
    raw,
    (columns) =>
      listing(
        data.entries.map((entry) => ({ entry, name: shownName(entry) })),
        columns,
      ) + moreOf(data),
  );
}

export async function searchFiles(call: Call): Promise<undefined> {
  const client = await call.client();
  const path = await snapshotPath(call, client);
  const query = { pattern: call.args.word("PATTERN"), after: call.args.text("after") };
  const { raw, data } = await search(call, client, `${path}/search`, query);
  await show(
    call,
    raw,
    (columns) =>
      listing(
        data.matches.map((entry) => ({ entry, name: entry.path })),
        columns,
      ) + moreOf(data, data.matches),
  );
}

/** Asks until the snapshot is indexed; the person waits and may interrupt. */
async function search(
  call: Call,
  client: Client,
  path: string,
  query: { pattern: string; after: string | undefined },
) {
  const { world } = call;
  for (let told = ""; ; ) {
    const answer = await client.get(path, wire.matches, query);
    const { state, problem, waits_for_job: waits, indexed_files: files } = answer.data;
    if (state === "ready") return answer;
    if (problem) throw new Problem("conflict", "cli.no_index", problem.message);
    const news = waits ? "Waiting for the host's jobs to end…\n" : `Indexing: ${files} files so far…\n`;
    if (news !== told && world.err.columns !== null) await world.err.write(news);
    told = news;
    await world.sleep(indexPauseMs, world.interrupted);
    if (world.interrupted.aborted) throw new Problem("interrupted", "cli.interrupted", "Interrupted.");
  }
}

function listing(rows: { entry: wire.Entry; name: string }[], columns: number | null): string {
  return table(
    [
      { title: "MODE" },
      { title: "OWNER", yields: true },
      { title: "SIZE", right: true },
      { title: "MODIFIED" },
      { title: "NAME", yields: true },
    ],
    rows.map(({ entry, name }) => [
      modeOf(entry),
      entry.user === null ? "-" : `${entry.user}:${entry.group ?? ""}`,
      entry.kind === "file" ? bytes(entry.size_bytes) : "-",
      utc(entry.modified_at).replace(/:\d\d UTC$/, ""),
      entry.target === null ? name : `${name} -> ${entry.target}`,
    ]),
    columns,
  );
}

const shownName = ({ name, kind }: wire.Entry): string => (kind === "folder" ? `${name}/` : name);

const letters: Readonly<Record<string, string>> = { folder: "d", link: "l", device: "b", fifo: "p" };

/** As `ls` has it; the type's letter alone when the mode is unknown. */
function modeOf({ kind, mode }: wire.Entry): string {
  const letter = letters[kind] ?? "-";
  if (mode === null) return letter;
  const bits = [..."rwxrwxrwx"].map((bit, index) => ((mode >> (8 - index)) & 1 ? bit : "-"));
  return letter + bits.join("");
}

function moreOf({ more }: { more: boolean }, entries: readonly wire.Entry[] = []): string {
  if (!more) return "";
  const last = entries.at(-1);
  return last
    ? `There is more: --after with the "ref" of the last entry, as --json has it.\n`
    : "There is more: --after with the last name.\n";
}
