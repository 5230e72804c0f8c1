/** The fleet in a row of figures, at the head of the dashboard. */
import type { ComponentChildren, JSX } from "preact";
import { formatCount, formatNoun, splitBytes } from "../../platform/html/format.ts";
import { urlWith } from "../../platform/html/parts.tsx";
import { type JobStatus, type Tone, wordOf } from "../../platform/html/state.tsx";
import { None, Time } from "../../platform/html/values.tsx";

/** Figures of the whole fleet, not of the filtered rows. */
export interface FleetFigures {
  total: number;
  online: number;
  attention: number;
  running: number;
  offline: number;
  /** E.g. `1 failed, 1 offline`; empty when nothing needs attention. */
  attentionSummary: string;
  snapshotCount: number;
  newestSnapshotAt: number | null;
  protectedBytes: number;
  repositoryCount: number;
  /** Of those that are not online: known to sleep. */
  asleep: number;
  nextRun: { hostId: string; hostName: string; at: number } | null;
  lastBackup: { hostId: string; hostName: string; finishedAt: number; status: JobStatus } | null;
  /** On how many hosts restores are proven, when last, and where a planned proof is late; null without drills. */
  drills: {
    provenHosts: number;
    lastProvenAt: number | null;
    late: readonly { id: string; name: string }[];
  } | null;
  /** How many hosts have older programs than are served. */
  behind: { agent: number; restic: number };
}

function Tile(props: {
  id: string;
  label: string;
  value: ComponentChildren;
  note: ComponentChildren;
  tone?: Tone;
}): JSX.Element {
  return (
    <div class="tile" id={props.id}>
      <dt>{props.label}</dt>
      <dd class={props.tone ? `figure ${props.tone}` : "figure"}>{props.value}</dd>
      <dd class="tile-note">{props.note}</dd>
    </div>
  );
}

/** The row of figures. */
export function Tiles({ figures }: { figures: FleetFigures }): JSX.Element {
  const away = figures.total - figures.online;
  const words = [
    ...(figures.asleep > 0 ? [`${formatCount(figures.asleep)} asleep`] : []),
    ...(away > figures.asleep ? [`${formatCount(away - figures.asleep)} not connected`] : []),
  ];
  return (
    <dl class="tiles" aria-label="Fleet">
      <Tile
        id="tile-online"
        label="Hosts online"
        value={<Figure value={formatCount(figures.online)} unit={`/ ${formatCount(figures.total)}`} />}
        note={
          away === 0 ? "all connected" : <a href={urlWith("/", { state: "offline" })}>{words.join(", ")}</a>
        }
      />
      <Tile
        id="tile-attention"
        label="Need attention"
        value={formatCount(figures.attention)}
        note={
          figures.attentionSummary === "" ? (
            "nothing to do"
          ) : (
            <a href={urlWith("/", { state: "attention" })}>{figures.attentionSummary}</a>
          )
        }
        {...(figures.attention > 0 ? { tone: "fail" as const } : {})}
      />
      <Tile
        id="tile-last"
        label="Last backup"
        value={<LastBackupFigure figures={figures} />}
        note={<LastBackupNote figures={figures} />}
      />
      <Tile
        id="tile-next"
        label="Next run"
        value={figures.nextRun === null ? <None label="none" /> : <Time at={figures.nextRun.at} />}
        note={<NextRunNote figures={figures} />}
      />
      <Tile
        id="tile-snapshots"
        label="Snapshots"
        value={formatCount(figures.snapshotCount)}
        note={<NewestSnapshot at={figures.newestSnapshotAt} />}
      />
      <Tile
        id="tile-size"
        label="Data protected"
        value={<Figure {...splitBytes(figures.protectedBytes)} />}
        note={`in ${formatNoun(figures.repositoryCount, "repository", "repositories")}`}
      />
    </dl>
  );
}

/** More names than this are a list, not a line. */
const namedLate = 3;

/** Under the tiles: whether what is backed up was proven to come back. */
export function DrillLine({ figures }: { figures: FleetFigures }): JSX.Element | null {
  const { drills, total } = figures;
  if (drills === null) return null;
  const { provenHosts, lastProvenAt, late } = drills;
  return (
    <p class="fleet-line" id="fleet-drills">
      <span>
        Restore proven on {formatCount(provenHosts)} of {formatNoun(total, "host")}
        {lastProvenAt === null ? null : (
          <>
            , last <Time at={lastProvenAt} />
          </>
        )}
      </span>
      {late.length === 0 ? null : (
        <span class="word warn">
          late on{" "}
          {late.slice(0, namedLate).map(({ id, name }, index) => (
            <>
              {index > 0 ? ", " : null}
              <a class="link mono" href={`/hosts/${encodeURIComponent(id)}`}>
                {name}
              </a>
            </>
          ))}
          {late.length > namedLate ? ` and ${formatCount(late.length - namedLate)} more` : null}
        </span>
      )}
    </p>
  );
}

/** Under the tiles: how many hosts are behind what this server serves. */
export function BehindLine({ figures }: { figures: FleetFigures }): JSX.Element | null {
  const { agent, restic } = figures.behind;
  if (agent === 0 && restic === 0) return null;
  return (
    <p class="fleet-line" id="fleet-behind">
      {agent === 0 ? null : (
        <a class="link" href={urlWith("/", { agent: "behind" })}>
          {formatNoun(agent, "agent")} behind
        </a>
      )}
      {restic === 0 ? null : (
        <a class="link" href={urlWith("/", { restic: "behind" })}>
          restic behind on {formatNoun(restic, "host")}
        </a>
      )}
      <a class="link" href="/settings/agents">
        Versions and updates
      </a>
    </p>
  );
}

function Figure({ value, unit }: { value: string; unit: string }): JSX.Element {
  return (
    <>
      {value}
      <small> {unit}</small>
    </>
  );
}

function NewestSnapshot({ at }: { at: number | null }): JSX.Element {
  return at === null ? (
    <>none yet</>
  ) : (
    <>
      newest <Time at={at} />
    </>
  );
}

function NextRunNote({ figures }: { figures: FleetFigures }): JSX.Element {
  const { nextRun } = figures;
  if (nextRun === null) return <>nothing scheduled</>;
  return (
    <a class="mono clip" href={`/hosts/${encodeURIComponent(nextRun.hostId)}`} title={nextRun.hostName}>
      {nextRun.hostName}
    </a>
  );
}

function LastBackupFigure({ figures }: { figures: FleetFigures }): JSX.Element {
  return figures.lastBackup === null ? (
    <None label="no backup yet" />
  ) : (
    <Time at={figures.lastBackup.finishedAt} />
  );
}

function LastBackupNote({ figures }: { figures: FleetFigures }): JSX.Element {
  const { lastBackup } = figures;
  if (lastBackup === null) return <>none yet</>;
  return (
    <a
      class="mono clip"
      href={`/hosts/${encodeURIComponent(lastBackup.hostId)}`}
      title={`${lastBackup.hostName}: ${wordOf(lastBackup.status)}`}
    >
      {lastBackup.hostName}
    </a>
  );
}
