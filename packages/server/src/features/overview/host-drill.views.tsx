/** Beside a host's tabs: when its snapshots were last proven to come back, and the way to prove it now. */
import type { JSX } from "preact";
import { formatBytes, formatNoun } from "../../platform/html/format.ts";
import { PostForm } from "../../platform/html/forms.tsx";
import { Panel } from "../../platform/html/parts.tsx";
import { useMayOperate } from "../../platform/html/scope.ts";
import { Pair, Time } from "../../platform/html/values.tsx";
import type { DrillRun, HostDrill } from "./host-drill.ts";
import { drillWord } from "./repository-words.ts";
import { type Reachable, RunButton } from "./run-button.views.tsx";

interface DrillPanelProps {
  host: Reachable & { id: string };
  drill: HostDrill;
}

export function DrillPanel({ host, drill }: DrillPanelProps): JSX.Element {
  const { proven, last } = drill;
  const mayOperate = useMayOperate();
  return (
    <Panel title="Restore proven" id="host-drill">
      <dl class="pairs">
        <Pair label="Proven">
          <Proven drill={drill} />
        </Pair>
        {proven === null ? null : <ProvenFigures run={proven} />}
        {last === null || last.status === "succeeded" ? null : (
          <Pair label="Last try">
            <LastBad run={last} />
          </Pair>
        )}
      </dl>
      <div class="panel-body stack">
        <DrillHint host={host} drill={drill} />
        {mayOperate ? (
          <PostForm action={`/hosts/${encodeURIComponent(host.id)}/verify`}>
            <RunButton host={host} class="btn small" label="Run a restore drill now">
              Drill now
            </RunButton>
          </PostForm>
        ) : null}
      </div>
    </Panel>
  );
}

function Proven({ drill: { proven, late } }: Pick<DrillPanelProps, "drill">): JSX.Element {
  if (proven === null) return <span class={late ? "word warn" : "muted"}>never</span>;
  return (
    <a class={`word ${late ? "warn" : "ok"}`} href={`/jobs/${encodeURIComponent(proven.jobId)}`}>
      <Time at={proven.finishedAt} />
    </a>
  );
}

function ProvenFigures({ run: { figures, sourceGroup } }: { run: DrillRun }): JSX.Element | null {
  if (figures === null) return null;
  return (
    <>
      <Pair label="Group">
        <span class="mono break">{sourceGroup}</span>
      </Pair>
      <Pair label="Restored">{`${formatNoun(figures.files, "file")}, ${formatBytes(figures.bytes)}`}</Pair>
      <Pair label="Compared">{`${formatNoun(figures.sourceFiles, "file")} with the source`}</Pair>
    </>
  );
}

/** What came after the last good one. */
function LastBad({ run }: { run: DrillRun }): JSX.Element {
  const { word, tone } = drillWord(run);
  return (
    <a class={`word ${tone}`} href={`/jobs/${encodeURIComponent(run.jobId)}`}>
      {word}, <Time at={run.finishedAt} />
    </a>
  );
}

function DrillHint({ host, drill }: DrillPanelProps): JSX.Element | null {
  if (drill.late) {
    return (
      <p class="hint" id="host-drill-late">
        Two planned restore drills have passed without a good one.
      </p>
    );
  }
  if (drill.planned) return null;
  return (
    <p class="hint">
      A drill restores some files and compares them. The{" "}
      <a class="link" href={`/hosts/${encodeURIComponent(host.id)}/maintenance`}>
        maintenance
      </a>{" "}
      can run it by itself.
    </p>
  );
}
