/** How a repository looks after itself: its cadences with a verb each, and repair where a check asks for it. */
import type { ComponentChildren, JSX } from "preact";
import { cronWords } from "../../platform/html/cron-words.ts";
import { formatCount } from "../../platform/html/format.ts";
import { PostForm } from "../../platform/html/forms.tsx";
import { Icon } from "../../platform/html/icons.tsx";
import { Panel } from "../../platform/html/parts.tsx";
import { useMayOperate } from "../../platform/html/scope.ts";
import { type Tone, toneOf, wordOf } from "../../platform/html/state.tsx";
import { Time } from "../../platform/html/values.tsx";
import { type CadenceView, cronOf, type LastRun, type RepositoryView } from "../maintenance/maintenance.ts";
import {
  checkWord,
  drillBounds,
  drillWord,
  isDamaged,
  newestSkip,
  operationWords,
  plannedDepth,
  wantsIndex,
} from "./repository-words.ts";
import { type Reachable, RunButton, whyNotRun } from "./run-button.views.tsx";

export interface UpkeepProps {
  host: Reachable & { id: string; name: string };
  view: RepositoryView;
}

const hostUrl = (host: { id: string }): string => `/hosts/${encodeURIComponent(host.id)}`;

/** What keeps every verb from its repository. */
const whyNotAtAll = (view: RepositoryView): string | undefined =>
  view.repository.foreignId === null ? undefined : "Another repository answers under this address.";

export function UpkeepPanel(props: UpkeepProps): JSX.Element {
  const { host, view } = props;
  const mayOperate = useMayOperate();
  const { maintenance } = view;
  return (
    <Panel
      title="Maintenance"
      id="repository-maintenance"
      note={maintenance.timeZone}
      tools={
        <a class="btn small" href={`${hostUrl(host)}/maintenance`}>
          {mayOperate ? "Change" : "Details"}
        </a>
      }
    >
      <ul class="cadences">
        {view.cadences.map((cadence) => (
          <Cadence key={cadence.operation} cadence={cadence} {...props} />
        ))}
      </ul>
      <p class="panel-body hint">
        <OwnerWords view={view} /> Forget asks before more than {maintenance.maxRemovedPercent} % of a group’s
        snapshots go.
      </p>
    </Panel>
  );
}

function OwnerWords({ view }: { view: RepositoryView }): JSX.Element | null {
  const owner = view.sharers.find(({ isOwner }) => isOwner);
  if (owner === undefined || view.sharers.length < 2) return null;
  return (
    <>
      Each host forgets its own snapshots;{" "}
      <a class="link mono" href={`${hostUrl(owner)}?tab=repository`}>
        {owner.name}
      </a>{" "}
      prunes and checks for all.
    </>
  );
}

function Cadence({ cadence, host, view }: UpkeepProps & { cadence: CadenceView }): JSX.Element {
  const { operation } = cadence;
  const cron = cronOf(view.maintenance, operation);
  const words = operationWords[operation];
  return (
    <li id={`cadence-${operation}`}>
      <div class="cadence-name">
        <strong>{words.name}</strong>
        <small>{planWords(cadence, view) ?? words.what}</small>
      </div>
      <div class="cadence-when">
        {cron === null ? <span class="muted">off</span> : <span title={cron}>{cronWords(cron)}</span>}
        <small>
          {cadence.nextAt === null ? (
            "by hand only"
          ) : (
            <>
              next <Time at={cadence.nextAt} />
            </>
          )}
        </small>
      </div>
      <div class="cadence-last">
        <LastOutcome cadence={cadence} />
      </div>
      <Verb operation={operation} host={host} view={view} />
    </li>
  );
}

/** What an operation does, where that can be set. */
function planWords({ operation }: CadenceView, { maintenance }: RepositoryView): string | undefined {
  if (operation === "check") return plannedDepth(maintenance);
  return operation === "verify" ? drillBounds(maintenance) : undefined;
}

/** What became of the last planned time, or of a run by hand, whichever is newer. */
function LastOutcome({ cadence }: { cadence: CadenceView }): JSX.Element {
  const skip = newestSkip(cadence);
  if (skip) {
    return (
      <>
        <span class={`word ${skip.calm ? "idle" : "warn"}`}>
          skipped <Time at={skip.at} />
        </span>
        <small>{skip.reason}</small>
      </>
    );
  }
  const run = cadence.lastRun;
  if (run?.finishedAt == null) return <span class="faint">never run</span>;
  const { word, tone } = runWord(cadence.operation, run);
  return (
    <>
      <a class={`word ${tone}`} href={`/jobs/${encodeURIComponent(run.jobId)}`}>
        {word}
      </a>
      <small>
        <Time at={run.finishedAt} />
      </small>
    </>
  );
}

function runWord(operation: CadenceView["operation"], run: LastRun): { word: string; tone: Tone } {
  if (operation === "check") return checkWord(run);
  if (operation === "verify") return drillWord(run);
  return { word: run.status === "warning" ? "warnings" : wordOf(run.status), tone: toneOf(run.status) };
}

function Verb({ operation, host, view }: UpkeepProps & Pick<CadenceView, "operation">): JSX.Element | null {
  if (!useMayOperate()) return null;
  switch (operation) {
    case "forget":
      return <ForgetVerb host={host} view={view} />;
    case "prune":
      return <PruneVerb host={host} view={view} />;
    case "check":
      return <CheckVerb host={host} view={view} />;
    case "verify":
      return <DrillVerb host={host} view={view} />;
  }
}

/** What would go is shown on a page of its own first. */
function ForgetVerb({ host, view }: UpkeepProps): JSX.Element {
  const reason = whyNotAtAll(view) ?? whyNotRun(host);
  return (
    <div class="cadence-verb">
      {reason === undefined ? (
        <a class="btn small" href={`${hostUrl(host)}/forget`}>
          Forget now…
        </a>
      ) : (
        <button type="button" class="btn small" disabled title={reason}>
          Forget now…
        </button>
      )}
    </div>
  );
}

function PruneVerb({ host, view }: UpkeepProps): JSX.Element {
  if (view.adminCredentials !== null) {
    return (
      <PostForm action={`${hostUrl(host)}/prune`} class="cadence-verb">
        <RunButton host={host} class="btn small" reason={whyNotAtAll(view)}>
          Prune now
        </RunButton>
      </PostForm>
    );
  }
  return (
    <div class="cadence-verb">
      <button type="button" class="btn small" disabled title="This host has no admin credentials.">
        Prune now
      </button>
      <small>
        needs{" "}
        <a class="link" href="#admin-credentials">
          admin credentials
        </a>
      </small>
    </div>
  );
}

/** Of every group of this host that has a snapshot. */
function DrillVerb({ host, view }: UpkeepProps): JSX.Element {
  return (
    <PostForm action={`${hostUrl(host)}/verify`} class="cadence-verb">
      <RunButton host={host} class="btn small" reason={whyNotAtAll(view)}>
        Drill now
      </RunButton>
    </PostForm>
  );
}

/** Shares that are worth choosing by hand. */
const handyPercents = [1, 5, 10, 25, 50] as const;

function CheckVerb({ host, view }: UpkeepProps): JSX.Element {
  const { nextSlice, slicesOf } = view.coverage;
  return (
    <PostForm action={`${hostUrl(host)}/check`} class="cadence-verb">
      <select class="input small" name="depth" aria-label="What the check reads">
        <option value="structure">Structure only</option>
        {nextSlice === null || slicesOf === null ? null : (
          <option value="slice" selected>
            Part {formatCount(nextSlice)} of {formatCount(slicesOf)}
          </option>
        )}
        {handyPercents.map((percent) => (
          <option key={percent} value={`${percent}`} selected={percent === view.maintenance.checkPercent}>
            {percent} % of the data
          </option>
        ))}
        <option value="100">All data</option>
      </select>
      <RunButton host={host} class="btn small" reason={whyNotAtAll(view)}>
        Check now
      </RunButton>
    </PostForm>
  );
}

/** Offered when a check says so; never by itself. */
export function RepairPanel({ host, view }: UpkeepProps): JSX.Element | null {
  const mayOperate = useMayOperate();
  const check = view.cadences.find(({ operation }) => operation === "check")?.lastRun ?? null;
  if (check === null || !wantsIndex(check)) return null;
  const damaged = isDamaged(check);
  return (
    <Panel title="Repair" id="repository-repair" class="danger">
      <div class="panel-body stack">
        <p>
          The{" "}
          <a class="link" href={`/jobs/${encodeURIComponent(check.jobId)}`}>
            last check
          </a>{" "}
          {damaged
            ? "found damage. Copy the repository first if you can: repairing keeps what is whole and gives up what is not. Until then run no forget and no prune."
            : "found an index that does not fit the data. No data is lost by that."}
        </p>
        {mayOperate ? (
          <>
            <RepairOffer host={host} view={view} what="index" label="Repair the index">
              Makes a new index from what is stored. It deletes no data. Check again afterwards.
            </RepairOffer>
            {damaged ? (
              <RepairOffer host={host} view={view} what="snapshots" label="Repair snapshots">
                Writes the damaged snapshots anew without the files that can’t be read; those files are lost
                from them. Only after the index was repaired, and a check still found damage.
              </RepairOffer>
            ) : null}
          </>
        ) : (
          <p class="muted">Only operators and admins repair.</p>
        )}
      </div>
    </Panel>
  );
}

function RepairOffer(
  props: UpkeepProps & {
    what: "index" | "snapshots";
    label: string;
    children: ComponentChildren;
  },
): JSX.Element {
  return (
    <div class="offer">
      <p class="muted">{props.children}</p>
      <PostForm action={`${hostUrl(props.host)}/repair`}>
        <input type="hidden" name="what" value={props.what} />
        <RunButton host={props.host} class="btn" reason={whyNotAtAll(props.view)}>
          <Icon name="alert" />
          {props.label}
        </RunButton>
      </PostForm>
    </div>
  );
}
