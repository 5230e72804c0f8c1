/**
 * What a retention would keep: two counts, the snapshots one by one with the reason, and the months to come. Whether one
 * stays is said in words; the tint only helps the eye.
 */
import type { ComponentChildren, JSX } from "preact";
import { formatCount, formatNoun, formatPercent, formatUtc } from "../../platform/html/format.ts";
import { Icon } from "../../platform/html/icons.tsx";
import { renderFragment, renderPage } from "../../platform/html/page.tsx";
import { Empty, Facts, Notice, Panel, Tags } from "../../platform/html/parts.tsx";
import type { PageContext } from "../../platform/html/scope.ts";
import { Time } from "../../platform/html/values.tsx";
import type { RetentionPlan } from "./retention-plan.ts";
import { emptyRetentionSentence, type RetentionPreview as Preview } from "./retention-preview.ts";
import type { MonthKept } from "./retention-simulation.ts";

/** What the retention would do, or what is wrong with it as it is typed. */
export type ShownPreview = { problem: string } | ({ problem: null } & Preview);

export interface RetentionPageProps {
  host: { id: string; name: string };
  group: { id: string; name: string };
  preview: ShownPreview;
}

/** The page /hosts/{id}/sources/{gid}/retention. */
export function renderRetentionPage(page: PageContext, props: RetentionPageProps): string {
  const { host, group } = props;
  const hostUrl = `/hosts/${encodeURIComponent(host.id)}`;
  return renderPage(page, {
    title: `${host.name} · What ${group.name} keeps`,
    nav: "dashboard",
    crumbs: [
      { label: "Hosts", href: "/" },
      { label: host.name, href: hostUrl, mono: true },
      { label: "Sources", href: `${hostUrl}?tab=sources` },
      { label: group.name, href: `${hostUrl}/sources/${encodeURIComponent(group.id)}`, mono: true },
      { label: "Retention" },
    ],
    content: (
      <>
        <div class="head">
          <div class="head-main">
            <h1>
              What <span class="mono break">{group.name}</span> keeps
            </h1>
            <p class="head-line">
              <span>
                Looked at now, by the list of snapshots that the agent last reported. Nothing is changed.
              </span>
            </p>
          </div>
        </div>
        <Panel title="Retention">
          <div class="panel-body">
            <RetentionPreview preview={props.preview} />
          </div>
        </Panel>
      </>
    ),
  });
}

/** The fragment /fragments/hosts/{id}/sources/{gid}/retention?keep_last=…: the same for a group's form. */
export function renderRetentionFragment(page: PageContext, props: RetentionPageProps): string {
  return renderFragment(page, <RetentionPreview preview={props.preview} />);
}

/** Everything there is to say about a retention before it is saved. */
export function RetentionPreview({ preview }: { preview: ShownPreview }): JSX.Element {
  if (preview.problem !== null) {
    return (
      <p class="with-icon muted" role="status">
        <Icon name="alert" />
        <span>{preview.problem}</span>
      </p>
    );
  }
  return (
    <div class="retention">
      <Counts preview={preview} />
      <Warning preview={preview} />
      <Months simulation={preview.simulation} note={preview.simulationNote} />
      <Snapshots plan={preview} />
    </div>
  );
}

function Counts({ preview }: { preview: Preview }): JSX.Element {
  const { keep, remove, shareRemoved } = preview;
  const share = remove.length === 0 ? "" : ` (${formatPercent(shareRemoved)})`;
  return (
    <div role="status">
      <Facts
        facts={[
          { term: "Would be kept", value: formatNoun(keep.length, "snapshot") },
          { term: "Would be removed", value: `${formatNoun(remove.length, "snapshot")}${share}` },
        ]}
      />
    </div>
  );
}

function Warning({ preview }: { preview: Preview }): JSX.Element | null {
  if (preview.isEmpty) {
    return (
      <Notice tone="idle">
        <span>{emptyRetentionSentence}</span>
      </Notice>
    );
  }
  if (!preview.needsConfirmation) return null;
  return (
    <Notice tone="warn" title="Most of the snapshots would go.">
      <span>Forget removes so many only when somebody confirms it.</span>
    </Notice>
  );
}

const monthNames = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
/** The height of a bar for the most that is kept, and what the least is still seen by. */
const barHeight = 40;
const leastBar = 2;

/** `2026-11` as people say it. */
function monthWords(month: string): string {
  const [year = "", number = ""] = month.split("-");
  return `${monthNames[Number(number) - 1] ?? number} ${year}`;
}

/** One bar a month, each with its number: read aloud it is a list. */
function Months({ simulation, note }: { simulation: MonthKept[]; note: string | null }): JSX.Element {
  const most = Math.max(1, ...simulation.map(({ kept }) => kept));
  return (
    <section aria-labelledby="retention-months">
      <h3 id="retention-months">Kept at the end of each month, if every planned run makes a snapshot</h3>
      {note === null ? null : <p class="hint">{note}</p>}
      {simulation.length === 0 ? null : (
        <ol class="month-bars">
          {simulation.map(({ month, kept }) => (
            <li key={month} title={`${monthWords(month)}: ${formatNoun(kept, "snapshot")}`}>
              <MonthBar share={kept / most} />
              <span class="month-count">{formatCount(kept)}</span>{" "}
              <span class="month-name">
                {monthWords(month).slice(0, 3)}
                <span class="sr-only"> {month.slice(0, 4)}</span>
              </span>
            </li>
          ))}
        </ol>
      )}
    </section>
  );
}

function MonthBar({ share }: { share: number }): JSX.Element {
  const height = share === 0 ? 0 : Math.max(leastBar, Math.round(share * barHeight));
  return (
    <svg viewBox={`0 0 10 ${barHeight}`} preserveAspectRatio="none" aria-hidden="true">
      <rect x="0" y={barHeight - height} width="10" height={height} rx="1" />
    </svg>
  );
}

/** Rows that are shown; of more than so many nobody reads on, and a form must stay quick. */
const shownRows = 300;

interface Row {
  id: string;
  time: number;
  /** Null: it would be removed. */
  reasons: string[] | null;
}

function rowsOf({ keep, remove }: RetentionPlan): Row[] {
  const removed = remove.map((snapshot) => ({ ...snapshot, reasons: null }));
  return [...keep, ...removed].sort((a, b) => b.time - a.time || (a.id < b.id ? -1 : 1));
}

function Snapshots({ plan }: { plan: RetentionPlan }): JSX.Element {
  const rows = rowsOf(plan);
  if (rows.length === 0) {
    return (
      <Empty title="No snapshot of this group yet">
        <p>What it would keep shows here after its first backup.</p>
      </Empty>
    );
  }
  const hidden = rows.slice(shownRows);
  const gone = hidden.filter(({ reasons }) => reasons === null).length;
  return (
    <div>
      <ScrollBox>
        <table class="rows retention-rows">
          <caption class="sr-only">
            What becomes of each snapshot, newest first. Days end at midnight UTC.
          </caption>
          <thead>
            <tr>
              <th scope="col" class="col-id mid-up">
                Snapshot
              </th>
              <th scope="col" class="col-when">
                Made
              </th>
              <th scope="col">Outcome</th>
            </tr>
          </thead>
          <tbody>
            {rows.slice(0, shownRows).map((row) => (
              <SnapshotLine key={row.id} row={row} />
            ))}
          </tbody>
        </table>
      </ScrollBox>
      {hidden.length === 0 ? null : (
        <p class="hint">
          And {formatCount(hidden.length)} older, of which {formatCount(gone)} would be removed.
        </p>
      )}
      <p class="hint">Hours, days, weeks and months are counted in UTC.</p>
    </div>
  );
}

function ScrollBox({ children }: { children: ComponentChildren }): JSX.Element {
  return (
    <section
      class="retention-scroll"
      aria-label="Snapshots one by one"
      // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls needs a tab stop
      tabIndex={0}
    >
      {children}
    </section>
  );
}

function SnapshotLine({ row }: { row: Row }): JSX.Element {
  const { id, time, reasons } = row;
  return (
    <tr class={reasons === null ? "short goes" : "short"}>
      <td class="mono mid-up" title={id}>
        {id.slice(0, 8)}
      </td>
      <td>
        <span class="mono">{formatUtc(time).slice(0, 16)}</span> <Time at={time} class="faint mid-up" />
      </td>
      <td>
        {reasons === null ? (
          <span class="with-icon goes-word">
            <Icon name="alert" />
            would be removed
          </span>
        ) : (
          <span>
            kept <Tags tags={reasons} />
          </span>
        )}
      </td>
    </tr>
  );
}
