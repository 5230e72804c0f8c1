/** The update that is under way, or the last one: how far it is, why it stands still, and what each host is doing. */
import type { JSX } from "preact";
import { formatCount, formatNoun } from "../../platform/html/format.ts";
import { PostForm } from "../../platform/html/forms.tsx";
import { Facts, Notice, Panel, ProgressBar } from "../../platform/html/parts.tsx";
import { useIsAdmin } from "../../platform/html/scope.ts";
import { Dot, type Tone } from "../../platform/html/state.tsx";
import { Time } from "../../platform/html/values.tsx";
import type { TargetState } from "./update-run.ts";
import type { RunView, TargetView } from "./update-view.ts";

const stateWords = {
  running: { tone: "running", word: "running" },
  paused: { tone: "warn", word: "paused" },
  done: { tone: "ok", word: "done" },
  cancelled: { tone: "idle", word: "cancelled" },
} as const satisfies Record<string, { tone: Tone; word: string }>;

const waveWords = { 1: "1 of 3: one host", 2: "2 of 3: a tenth", 3: "3 of 3: the rest" } as const;

export function RunPanel({ view }: { view: RunView }): JSX.Element {
  const { run, counts, targets } = view;
  const { tone, word } = stateWords[run.state];
  const all = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const total = all - counts.skipped;
  const isOver = run.endedAt !== null;
  return (
    <Panel
      title={`Update of ${run.program === "agent" ? "agents" : "restic"} to ${run.version}`}
      id="update-run"
      tools={
        <span class={`pill ${tone}`}>
          <Dot tone={tone} />
          {word}
        </span>
      }
    >
      <div class="panel-body stack">
        <PauseNotice view={view} />
        <ProgressBar
          share={total === 0 ? 1 : counts.done / total}
          label="Hosts that are updated"
          tone={isOver ? "ok" : tone}
        />
      </div>
      <Facts
        facts={[
          {
            term: "Updated",
            value: `${formatCount(counts.done)} of ${formatNoun(total, "host")}`,
            id: "run-done",
          },
          ...(isOver ? [] : [{ term: "Wave", value: waveWords[view.wave] }]),
          ...(counts.failed > 0 ? [{ term: "Failed", value: formatCount(counts.failed) }] : []),
          ...(counts.skipped > 0 ? [{ term: "By hand", value: formatCount(counts.skipped) }] : []),
          ...(run.tag === null ? [] : [{ term: "Tag", value: run.tag }]),
          { term: "Started", value: <Started view={view} /> },
          ...(run.endedAt === null ? [] : [{ term: "Ended", value: <Time at={run.endedAt} /> }]),
        ]}
      />
      <Decisions view={view} />
      <ul class="sharers update-hosts">
        {targets.map((target) => (
          <TargetLine key={target.id} target={target} isOver={isOver} />
        ))}
      </ul>
      {all > targets.length ? (
        <p class="panel-body hint">
          {formatNoun(all - targets.length, "more host")}, {formatCount(counts.waiting)} of all waiting and{" "}
          {formatCount(counts.done)} done.
        </p>
      ) : null}
    </Panel>
  );
}

const Started = ({ view: { run } }: { view: RunView }): JSX.Element => (
  <>
    <Time at={run.startedAt} /> by {run.actor.name}
  </>
);

function PauseNotice({ view: { run, counts } }: { view: RunView }): JSX.Element | null {
  if (run.state === "cancelled" && run.endedAt === null) {
    return (
      <Notice tone="idle" title="Cancelled.">
        <p>{formatNoun(counts.updating, "host")} had begun already and comes to the end of it.</p>
      </Notice>
    );
  }
  const { pause } = run;
  if (run.state !== "paused" || pause === null) return null;
  if (pause.hostId === null)
    return (
      <Notice tone="warn" title={pause.message}>
        <p>What had begun goes on; no other host begins.</p>
      </Notice>
    );
  return (
    <div id="update-pause">
      <Notice tone="fail" title="Paused: an update did not end well.">
        <p>
          <a class="link mono break" href={`/hosts/${encodeURIComponent(pause.hostId)}`}>
            {pause.hostName}
          </a>
          : {pause.message}
        </p>
        <p>
          No other host begins. Look at that host first; going on leaves it as it is and takes the next one.
        </p>
      </Notice>
    </div>
  );
}

function Decisions({ view: { run } }: { view: RunView }): JSX.Element | null {
  const isAdmin = useIsAdmin();
  if (!isAdmin || (run.state !== "running" && run.state !== "paused")) return null;
  const action = `/settings/agents/updates/${encodeURIComponent(run.id)}`;
  const [verb, word] =
    run.state === "running" ? (["pause", "Pause"] as const) : (["resume", "Go on"] as const);
  return (
    <div class="actions update-actions">
      <PostForm action={`${action}/${verb}`}>
        <button type="submit" class={run.state === "paused" ? "btn primary" : "btn"}>
          {word}
        </button>
      </PostForm>
      <PostForm action={`${action}/cancel`}>
        <button type="submit" class="btn quiet">
          Cancel the update
        </button>
      </PostForm>
    </div>
  );
}

const targetTones: Readonly<Record<TargetState, Tone>> = {
  waiting: "idle",
  updating: "running",
  done: "ok",
  failed: "fail",
  skipped: "warn",
};

function TargetLine({ target, isOver }: { target: TargetView; isOver: boolean }): JSX.Element {
  return (
    <li id={`update-host-${target.id}`}>
      <Dot tone={targetTones[target.state]} />
      <a class="link mono clip" href={`/hosts/${encodeURIComponent(target.id)}`} title={target.name}>
        {target.name}
      </a>
      <small>
        <TargetWords target={target} isOver={isOver} />
      </small>
    </li>
  );
}

function TargetWords({ target, isOver }: { target: TargetView; isOver: boolean }): JSX.Element {
  switch (target.state) {
    case "done":
      return (
        <span class="word ok">updated{target.fromVersion === null ? "" : ` from ${target.fromVersion}`}</span>
      );
    case "failed":
      return <JobLink target={target} tone="fail" words={target.problem?.message ?? "failed"} />;
    case "skipped":
      return <span class="word warn">by hand: {target.problem?.message}</span>;
    case "updating":
      return (
        <JobLink
          target={target}
          tone="running"
          words={target.jobStatus === "queued" ? "waits for its turn on this host" : "updating"}
        />
      );
    case "waiting":
      return <Waiting target={target} isOver={isOver} />;
  }
}

function Waiting({ target, isOver }: { target: TargetView; isOver: boolean }): JSX.Element {
  if (isOver) return <>not updated</>;
  if (target.isOnline) return <>waits for its wave</>;
  return target.lastSeenAt === null ? (
    <>offline, taken when it connects</>
  ) : (
    <>
      offline, seen <Time at={target.lastSeenAt} />; taken when it is back
    </>
  );
}

function JobLink(props: { target: TargetView; tone: Tone; words: string }): JSX.Element {
  const { jobId } = props.target;
  if (jobId === null) return <span class={`word ${props.tone}`}>{props.words}</span>;
  return (
    <a class={`word ${props.tone}`} href={`/jobs/${encodeURIComponent(jobId)}`}>
      {props.words}
    </a>
  );
}
