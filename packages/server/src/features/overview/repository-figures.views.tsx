/** A repository in figures: what it holds, and how it was looked after last. */
import type { ComponentChildren, JSX } from "preact";
import { formatBytes, formatCount, splitBytes } from "../../platform/html/format.ts";
import { usePage } from "../../platform/html/scope.ts";
import { type Tone, toneOf, wordOf } from "../../platform/html/state.tsx";
import { None, Time } from "../../platform/html/values.tsx";
import type { LastRun, RepositoryView } from "../maintenance/maintenance.ts";
import { checkWord, compressionWords, coverageWords, depthWords } from "./repository-words.ts";

function Tile(props: {
  term: string;
  value: ComponentChildren;
  note: ComponentChildren;
  tone?: Tone;
}): JSX.Element {
  return (
    <div class="tile">
      <dt>{props.term}</dt>
      <dd class="figure">{props.value}</dd>
      <dd class="tile-note">{props.note}</dd>
    </div>
  );
}

function Size({ size }: { size: number | null }): JSX.Element {
  if (size === null) return <None label="unknown" />;
  const { value, unit } = splitBytes(size);
  return (
    <span title={`${formatCount(size)} bytes`}>
      {value}
      <small> {unit}</small>
    </span>
  );
}

/** The row of figures, and how much of the data was ever read. */
export function RepositoryFigures({ view }: { view: RepositoryView }): JSX.Element {
  const { now } = usePage();
  const { repository, sharers } = view;
  const lastOf = (operation: string) =>
    view.cadences.find((one) => one.operation === operation)?.lastRun ?? null;
  return (
    <section class="figures" aria-label="Repository in figures" id="repository-figures">
      <dl class="tiles repository">
        <Tile
          term="Stored size"
          value={<Size size={repository.rawBytes} />}
          note={
            repository.statsAt === null ? (
              "measured after a backup"
            ) : (
              <>
                told <Time at={repository.statsAt} />
              </>
            )
          }
        />
        <Tile
          term="Before compression"
          value={<Size size={repository.uncompressedBytes} />}
          note={compressionWords(repository.rawBytes, repository.uncompressedBytes)}
        />
        <Tile
          term="Snapshots"
          value={
            repository.snapshotCount === null ? (
              <None label="unknown" />
            ) : (
              formatCount(repository.snapshotCount)
            )
          }
          note={
            sharers.length > 1 ? `of all ${formatCount(sharers.length)} hosts` : "in the whole repository"
          }
        />
        <LastTile term="Last check" run={lastOf("check")} note={checkNote} />
        <LastTile term="Last prune" run={lastOf("prune")} note={pruneNote} />
      </dl>
      <p class="coverage">{coverageWords(view.coverage, now)}</p>
    </section>
  );
}

function LastTile(props: {
  term: string;
  run: LastRun | null;
  note: (run: LastRun) => JSX.Element;
}): JSX.Element {
  const { term, run } = props;
  if (run?.finishedAt == null) return <Tile term={term} value={<None label="never" />} note="never yet" />;
  return <Tile term={term} value={<Time at={run.finishedAt} />} note={props.note(run)} />;
}

function checkNote(run: LastRun): JSX.Element {
  const { word, tone } = checkWord(run);
  return (
    <a class={`word ${tone}`} href={`/jobs/${encodeURIComponent(run.jobId)}`}>
      {word}, {depthWords(run.readData)}
    </a>
  );
}

function pruneNote(run: LastRun): JSX.Element {
  const freed = run.result?.kind === "prune" ? run.result.freed_bytes : null;
  return (
    <a class={`word ${toneOf(run.status)}`} href={`/jobs/${encodeURIComponent(run.jobId)}`}>
      {run.status === "succeeded" && freed !== null
        ? `${formatBytes(freed)} freed`
        : run.status === "warning"
          ? "warnings"
          : wordOf(run.status)}
    </a>
  );
}
