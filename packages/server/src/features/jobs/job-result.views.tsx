/** What a job of another kind than a backup did, on its page: figures among the facts, groups as a table. */
import type { JobResult } from "@restic-manager/protocol";
import type { JSX } from "preact";
import { formatBytes, formatCount } from "../../platform/html/format.ts";
import { Notice } from "../../platform/html/parts.tsx";
import { None } from "../../platform/html/values.tsx";
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
    case "restore":
      return restoreFacts(result);
    case "unlock":
      return [
        { term: "Locks removed", value: formatCount(result.removed) },
        { term: "Locks left", value: formatCount(result.remaining) },
      ];
  }
}

/** What figures do not say: the groups of a forget, and what a check advises. */
export function ResultDetails({ result }: { result: JobResult }): JSX.Element | null {
  if (result.kind === "forget") return <ForgottenGroups groups={result.groups} />;
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
