/** What a job of another kind than a backup did, on its page: figures among the facts, groups as a table. */
import type { JobResult, VerifyProblem, VerifyResult } from "@restic-manager/protocol";
import type { JSX } from "preact";
import { fromInstant } from "../../platform/clock.ts";
import { formatBytes, formatCount, formatNoun, visible } from "../../platform/html/format.ts";
import { Notice } from "../../platform/html/parts.tsx";
import { None, Time } from "../../platform/html/values.tsx";
import { RestoreSummary, restoreFacts } from "./restore-result.views.tsx";

type ForgottenGroup = Extract<JobResult, { kind: "forget" }>["groups"][number];

/** The figures of a result, to stand among the job's facts. */
export function resultFacts(result: JobResult): { term: string; value: string }[] {
  switch (result.kind) {
    case "forget": {
      const sum = (count: (group: ForgottenGroup) => number) =>
        formatCount(result.groups.reduce((total, group) => total + count(group), 0));
      return [
        { term: "Kept", value: sum((group) => group.kept) },
        { term: "Removed", value: sum((group) => group.removed) },
      ];
    }
    case "prune":
      return [
        { term: "Freed", value: result.freed_bytes === null ? "not told" : formatBytes(result.freed_bytes) },
      ];
    case "check":
      return [
        { term: "Errors", value: formatCount(result.error_count) },
        { term: "Broken packs", value: formatCount(result.broken_packs) },
      ];
    case "init":
      return [{ term: "Repository", value: result.created ? "created" : "was there already" }];
    case "diff":
      return [
        { term: "Added", value: `${formatCount(result.added.count)} · ${formatBytes(result.added.bytes)}` },
        {
          term: "Removed",
          value: `${formatCount(result.removed.count)} · ${formatBytes(result.removed.bytes)}`,
        },
        {
          term: "Changed",
          value: `${formatCount(result.changed.count)} · now ${formatBytes(result.changed.bytes)}`,
        },
        { term: "Metadata only", value: formatCount(result.metadata) },
      ];
    case "verify":
      return [
        { term: "Restored", value: `${formatNoun(result.files, "file")} · ${formatBytes(result.bytes)}` },
        { term: "Wrong", value: formatCount(result.mismatch_count) },
        { term: "Compared with source", value: formatNoun(result.source_files, "file") },
        { term: "Seed", value: String(result.seed) },
      ];
    case "restore":
      return restoreFacts(result);
    case "unlock":
      return [
        { term: "Locks removed", value: formatCount(result.removed) },
        { term: "Locks left", value: formatCount(result.remaining) },
      ];
    case "key":
      return [{ term: "Keys", value: formatCount(result.keys.length) }];
    case "update":
      return [
        { term: "Before", value: result.from ?? "not known" },
        { term: "Now", value: result.to },
      ];
  }
}

/** What figures do not say: the groups of a forget, what a check advises, what was wrong in a drill. */
export function ResultDetails({ jobId, result }: { jobId: string; result: JobResult }): JSX.Element | null {
  if (result.kind === "forget") return <ForgottenGroups groups={result.groups} />;
  if (result.kind === "verify") return <DrillDetails result={result} />;
  if (result.kind === "diff") {
    return (
      <p class="panel-body" id="job-diff">
        <a class="btn" href={`/jobs/${encodeURIComponent(jobId)}/diff`}>
          Show the changes
        </a>
      </p>
    );
  }
  if (result.kind === "restore") return <RestoreSummary result={result} />;
  if (result.kind !== "check") return null;
  const advice = [
    ...(result.suggest_repair_index
      ? ["The index does not fit the data: repair the index, then check again."]
      : []),
    ...(result.suggest_prune ? ["There is data that no snapshot uses: the next prune frees it."] : []),
  ];
  if (advice.length === 0) return null;
  return (
    <div id="job-advice">
      <Notice tone={result.suggest_repair_index ? "warn" : "idle"}>{advice.join(" ")}</Notice>
    </div>
  );
}

const problemWords: Readonly<Record<VerifyProblem, string>> = {
  missing: "did not come back",
  type: "is no file any more",
  size: "has another size",
  mtime: "has another time",
  mode: "has another mode",
  source: "differs from its source",
};

/** Which snapshot a drill is of, and the first files that were not as they should be. */
function DrillDetails({ result }: { result: VerifyResult }): JSX.Element {
  const more = result.mismatch_count - result.mismatches.length;
  return (
    <>
      <p class="panel-body hint" id="job-drill">
        Of snapshot <span class="mono">{result.snapshot_id.slice(0, 8)}</span>, made{" "}
        <Time at={fromInstant(result.snapshot_time)} />.
        {result.left_out === 0
          ? null
          : ` ${formatNoun(result.left_out, "file")} of it ${result.left_out === 1 ? "is" : "are"} too large for a drill, or can’t be named to restic.`}
      </p>
      {result.mismatches.length === 0 ? null : (
        <table class="rows differences" id="job-mismatches">
          <caption class="sr-only">Files that were not as they should be</caption>
          <thead>
            <tr>
              <th scope="col">File</th>
              <th scope="col">Problem</th>
            </tr>
          </thead>
          <tbody>
            {result.mismatches.map(({ path, problem }) => (
              <tr key={path}>
                <td class="mono break">{visible(path)}</td>
                <td>{problemWords[problem]}</td>
              </tr>
            ))}
            {more > 0 ? (
              <tr>
                <td colSpan={2}>{formatCount(more)} more; the log names them all.</td>
              </tr>
            ) : null}
          </tbody>
        </table>
      )}
    </>
  );
}

function ForgottenGroups({ groups }: { groups: readonly ForgottenGroup[] }): JSX.Element {
  return (
    <table class="rows forgotten" id="job-groups">
      <caption class="sr-only">What was forgotten, by source group</caption>
      <thead>
        <tr>
          <th scope="col">Source group</th>
          <th scope="col">Kept</th>
          <th scope="col">Removed</th>
          <th scope="col">Problem</th>
        </tr>
      </thead>
      <tbody>
        {groups.map((group) => (
          <tr key={group.source_group}>
            <td>{group.source_group}</td>
            <td>{formatCount(group.kept)}</td>
            <td>{formatCount(group.removed)}</td>
            <td>{group.error === null ? <None /> : group.error.message}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
