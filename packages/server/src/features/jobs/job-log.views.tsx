/**
 * The frame of a job's log. browser/job.ts fills it from the stream and draws only the lines in sight;
 * without scripts the last lines are there with the downloads. Line texts are untrusted: always text nodes.
 */
import type { JSX } from "preact";
import { formatClock, formatCount, formatNoun } from "../../platform/html/format.ts";
import { Icon } from "../../platform/html/icons.tsx";
import { Empty, Panel } from "../../platform/html/parts.tsx";
import { Time } from "../../platform/html/values.tsx";

/** One stored line, for the reader without scripts. */
export interface LogPreviewLine {
  number: number;
  at: number;
  level: "info" | "warning" | "error";
  text: string;
}

/** A log that is gone. */
export interface RemovedLogProps {
  at: number;
  afterMs: number;
}

/** The log's frame. */
export interface LogPanelProps {
  jobId: string;
  /** Whether more lines can come. */
  live: boolean;
  lineCount: number;
  /** The last stored lines. */
  preview: readonly LogPreviewLine[];
  /** When the log was removed for its age, and how long after the job's end; absent while it is kept. */
  removed?: RemovedLogProps | null;
}

const DAY_MS = 24 * 60 * 60_000;

/** Title, tools and the lines. */
export function LogPanel(props: LogPanelProps): JSX.Element {
  if (props.removed) return <RemovedLog {...props.removed} />;
  const api = `/api/jobs/${encodeURIComponent(props.jobId)}`;
  return (
    <Panel
      title="Log"
      id="log-panel"
      class="log-panel"
      note={<span id="log-count">{formatNoun(props.lineCount, "line")}</span>}
      tools={<LogTools api={api} />}
    >
      <p class="log-note" id="log-note" role="status" hidden />
      <div
        id="log"
        class="log"
        role="log"
        aria-label="Job log"
        aria-live="off"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls needs a tab stop
        tabIndex={0}
        data-log-src={`${api}/stream`}
        data-live={props.live ? "" : undefined}
      >
        <Preview {...props} />
      </div>
    </Panel>
  );
}

/** No tools and no stream: there is nothing to read or to take along. */
function RemovedLog({ at, afterMs }: RemovedLogProps): JSX.Element {
  const days = Math.floor(afterMs / DAY_MS);
  return (
    <Panel title="Log" id="log-panel">
      <Empty title="The log of this job was removed">
        Logs are kept for a time and then removed to save room: this one <Time at={at} />,{" "}
        {formatNoun(days, "day")} after the job ended. What the job did is kept above. The setting{" "}
        <code>RM_JOB_LOG_DAYS</code> says how long.
      </Empty>
    </Panel>
  );
}

function LogTools({ api }: { api: string }): JSX.Element {
  return (
    <>
      <span class="tools scripted" id="log-tools">
        <button type="button" class="chip" data-log-level="error" aria-pressed="false">
          Errors{" "}
          <span class="chip-count" id="log-errors">
            0
          </span>
        </button>
        <button type="button" class="chip" data-log-level="warning" aria-pressed="false">
          Warnings{" "}
          <span class="chip-count" id="log-warnings">
            0
          </span>
        </button>
        <span class="search">
          <Icon name="search" />
          <input
            class="input"
            type="search"
            id="log-find"
            placeholder="Find in log"
            aria-label="Find in log"
            data-search=""
          />
          <output id="log-hits" for="log-find" />
        </span>
        <button type="button" class="chip" id="log-wrap" aria-pressed="false">
          Wrap
        </button>
        <button type="button" class="chip" id="log-follow" aria-pressed="true">
          Follow
        </button>
      </span>
      <a class="btn small" href={`${api}/log.txt`} download="" title="Download the log as text">
        <Icon name="download" />
        .txt
      </a>
      <a class="btn small" href={`${api}/log.ndjson`} download="" title="Download the log as NDJSON">
        <Icon name="download" />
        .ndjson
      </a>
    </>
  );
}

function Preview(props: LogPanelProps): JSX.Element {
  const hidden = props.lineCount - props.preview.length;
  if (props.lineCount === 0) {
    return <p class="log-empty">{props.live ? "No lines yet." : "This job wrote no log."}</p>;
  }
  return (
    <>
      {hidden > 0 ? (
        <p class="log-empty">{formatCount(hidden)} earlier lines: download the log to read them.</p>
      ) : null}
      {props.preview.map((line) => (
        <div class={line.level === "info" ? "line" : `line ${line.level}`} key={line.number}>
          <span class="line-number">{line.number}</span>
          <span class="line-time">{formatClock(line.at)}</span>
          <span class="line-text">{line.text}</span>
        </div>
      ))}
    </>
  );
}
