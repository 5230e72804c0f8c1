/** Beside a host's tabs: when its snapshots were last proven to come back, and the way to prove it now. */
import type { JSX } from "preact";
import { formatBytes, formatNoun } from "../../platform/html/format.ts";
import { PostForm } from "../../platform/html/forms.tsx";
import { Panel } from "../../platform/html/parts.tsx";
import { useMayOperate } from "../../platform/html/scope.ts";
import { Time } from "../../platform/html/values.tsx";
import type { DrillRun, HostDrill } from "./host-drill.ts";
import { drillWord } from "./repository-words.ts";
import { type Reachable, RunButton } from "./run-button.views.tsx";

export function DrillPanel({
  host,
  drill,
}: {
  host: Reachable & { id: string };
  drill: HostDrill;
}): JSX.Element {
  const { proven, last } = drill;
  const mayOperate = useMayOperate();
  const isBad = last !== null && last.status !== "succeeded";
  return (
    <Panel title="Restore proven" id="host-drill">
      <div class="panel-body stack">
        {proven === null ? (
          <p class={drill.late ? "word warn" : "muted"}>Never yet.</p>
        ) : (
          <p>
            <a
              class={`word ${drill.late ? "warn" : "ok"}`}
              href={`/jobs/${encodeURIComponent(proven.jobId)}`}
            >
              <Time at={proven.finishedAt} />
            </a>{" "}
            <ProvenFigures run={proven} />
          </p>
        )}
        {isBad ? <LastBad run={last} /> : null}
        {drill.late ? (
          <p class="hint" id="host-drill-late">
            Two planned restore drills have passed without a good one.
          </p>
        ) : null}
        {mayOperate ? (
          <PostForm action={`/hosts/${encodeURIComponent(host.id)}/verify`}>
            <RunButton host={host} class="btn small" label="Run a restore drill now">
              Drill now
            </RunButton>
          </PostForm>
        ) : null}
        {drill.planned || drill.late ? null : (
          <p class="hint">
            A drill restores some files and compares them. It can run by itself:{" "}
            <a class="link" href={`/hosts/${encodeURIComponent(host.id)}/maintenance`}>
              maintenance
            </a>
            .
          </p>
        )}
      </div>
    </Panel>
  );
}

function ProvenFigures({ run: { figures, sourceGroup } }: { run: DrillRun }): JSX.Element | null {
  if (figures === null) return null;
  return (
    <span class="muted">
      {formatNoun(figures.files, "file")}, {formatBytes(figures.bytes)}
      {sourceGroup === null ? null : <> of {sourceGroup}</>}, {formatNoun(figures.sourceFiles, "file")}{" "}
      compared with the source
    </span>
  );
}

/** What came after the last good one. */
function LastBad({ run }: { run: DrillRun }): JSX.Element {
  const { word, tone } = drillWord({ status: run.status, error: run.error });
  return (
    <p>
      Last drill:{" "}
      <a class={`word ${tone}`} href={`/jobs/${encodeURIComponent(run.jobId)}`}>
        {word}
      </a>{" "}
      <Time at={run.finishedAt} class="faint" />
    </p>
  );
}
