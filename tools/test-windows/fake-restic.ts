/**
 * Stands in for restic.exe, which can't be had here: enough of it for an agent to enrol, back up, list and stop. What a
 * backup shall do stands in the name of the source group: `slow` takes half a minute, `no-snapshot` can't make a volume
 * snapshot, `no-vss` ends at once because of it. Files are counted, not kept.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const args = process.argv.slice(2);
const repository = process.env.RESTIC_REPOSITORY ?? "";
const say = (document: unknown) => process.stdout.write(`${JSON.stringify(document)}\n`);
const complain = (text: string) => process.stderr.write(`${text}\n`);
const option = (name: string) => args[args.indexOf(name) + 1] ?? "";
const listFile = join(repository, "snapshots.json");
type Snapshot = { id: string; tags: string[] };
const readList = () => JSON.parse(readFileSync(listFile, "utf8")) as Snapshot[];

async function main(): Promise<number> {
  const [command] = args;
  if (command === "version") {
    say({ version: "0.18.0", go_version: "none", go_os: "windows", go_arch: "amd64" });
    return 0;
  }
  if (command === "init") {
    mkdirSync(repository, { recursive: true });
    writeFileSync(listFile, "[]");
    say({ message_type: "initialized", id: "0".repeat(64), repository });
    return 0;
  }
  if (!existsSync(listFile)) {
    complain("Fatal: repository does not exist");
    return 10;
  }
  if (command === "backup") return backUp(option("--tag"));
  if (command === "snapshots") say(readList());
  else say({});
  return 0;
}

async function backUp(tag: string): Promise<number> {
  const isSnapshotting = args.includes("--use-fs-snapshot");
  if (isSnapshotting && tag === "no-vss") {
    complain(JSON.stringify({ message_type: "exit_error", code: 1, message: "Fatal: VSS error: not ours" }));
    return 1;
  }
  if (isSnapshotting && tag === "no-snapshot") {
    const message = "failed to create snapshot for [c:\\]: VSS error: unlucky";
    complain(JSON.stringify({ message_type: "error", error: { message }, during: "", item: "c:\\" }));
  }
  for (let second = 0; tag === "slow" && second < 30; second += 1) {
    say({ message_type: "status", percent_done: second / 30, seconds_elapsed: second });
    await new Promise((next) => setTimeout(next, 1_000));
  }
  const paths = readFileSync(option("--files-from-raw"), "utf8").split("\0").filter(Boolean);
  const files = paths.flatMap((path) => listFiles(path));
  const bytes = files.reduce((sum, path) => sum + statSync(path).size, 0);
  const id = `${readList().length + 1}`.padStart(64, "a");
  const time = new Date().toISOString();
  const snapshot = { id, short_id: id.slice(0, 8), time, tags: [tag], paths, hostname: option("--host") };
  writeFileSync(listFile, JSON.stringify([...readList(), snapshot]));
  const counts = { files_new: files.length, total_files_processed: files.length };
  say({ message_type: "summary", snapshot_id: id, total_bytes_processed: bytes, ...counts });
  return 0;
}

function listFiles(path: string): string[] {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path).flatMap((name) => listFiles(join(path, name)));
}

void main().then((code) => {
  process.exitCode = code;
});
