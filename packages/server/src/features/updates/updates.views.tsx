/**
 * Settings → Agents: which versions the fleet has beside those that are served, the update that is under way, and the files
 * that hosts get. What a run is doing host by host is in update-run.views.tsx.
 */
import type { JSX } from "preact";
import { formatBytes, formatCount, formatNoun } from "../../platform/html/format.ts";
import { FormMessage, PostForm } from "../../platform/html/forms.tsx";
import { renderFragment, renderPage } from "../../platform/html/page.tsx";
import { CopyBlock, CopyButton, Empty, Notice, Panel, urlWith } from "../../platform/html/parts.tsx";
import { type PageContext, useIsAdmin } from "../../platform/html/scope.ts";
import { SettingsTabs } from "../../platform/html/settings-tabs.tsx";
import { Dot, type Tone } from "../../platform/html/state.tsx";
import { None, Pair, Time } from "../../platform/html/values.tsx";
import type { Drift, Release } from "../artefacts/artefacts.ts";
import { RunPanel } from "./update-run.views.tsx";
import type { AgentsView, ProgramView, VersionCount } from "./update-view.ts";

export interface AgentsPageProps {
  view: AgentsView;
  /** The origin that hosts reach this server by. */
  server: string;
  /** Why a form was refused. */
  message?: string | undefined;
}

const LIVE_MS = 2000;
/** Nothing is under way: what changes is which agents are there. */
const LIVE_CALM_MS = 20_000;

/** The page /settings/agents. */
export function renderAgentsPage(page: PageContext, props: AgentsPageProps): string {
  const { run } = props.view;
  return renderPage(page, {
    title: "Agents",
    nav: "settings",
    crumbs: [{ label: "Settings", href: "/settings/account" }, { label: "Agents" }],
    content: (
      <>
        <div class="head">
          <h1>Agents</h1>
        </div>
        <SettingsTabs current="agents" />
        <FormMessage message={props.message} />
        <div
          id="agents-live"
          class="agents"
          data-live-src="/fragments/settings/agents"
          data-live-ms={run && run.run.endedAt === null ? LIVE_MS : LIVE_CALM_MS}
        >
          <AgentsBody {...props} />
        </div>
      </>
    ),
  });
}

/** The fragment /fragments/settings/agents. */
export function renderAgentsFragment(page: PageContext, props: AgentsPageProps): string {
  return renderFragment(page, <AgentsBody {...props} />);
}

function AgentsBody({ view, server }: AgentsPageProps): JSX.Element {
  const isBusy = view.run !== null && view.run.run.endedAt === null;
  return (
    <>
      <ReleaseNotice release={view.release} />
      {view.run === null ? null : <RunPanel view={view.run} />}
      <div class="agents-programs">
        {view.programs.map((program) => (
          <ProgramPanel key={program.program} program={program} isBusy={isBusy} />
        ))}
      </div>
      <ByHandPanel programs={view.programs} server={server} release={view.release} />
      <FilesPanel release={view.release} />
    </>
  );
}

const sourceWords = { data: "from the data folder", built_in: "came with the server" } as const;

/** Only what keeps hosts from getting anything. */
function ReleaseNotice({ release }: { release: Release }): JSX.Element | null {
  if (release.kind !== "broken") return null;
  return (
    <div id="release-broken">
      <Notice tone="fail" title="The files for hosts are damaged or incomplete, so none of them is served.">
        <p>
          {release.problem} Put the whole release into <code class="break">{release.folder}</code> once more
          {release.source === "data" ? ", or empty that folder to serve what came with the server" : ""}. It
          is read anew within seconds.
        </p>
        <p class="faint">
          Last read <Time at={release.checkedAt} />. Until then no host can be installed or updated from here.
        </p>
      </Notice>
    </div>
  );
}

const programWords = { agent: "Agent", restic: "restic" } as const;

function ProgramPanel({ program, isBusy }: { program: ProgramView; isBusy: boolean }): JSX.Element {
  const isAdmin = useIsAdmin();
  const { served, behind, byHand, onWindows, unusable, unserved } = program;
  const name = programWords[program.program];
  const ready = behind - byHand;
  return (
    <Panel
      title={name}
      note={served === null ? "none served" : <span class="mono">{served} served</span>}
      id={`program-${program.program}`}
      tools={
        isAdmin && ready > 0 && !isBusy ? (
          <PostForm action="/settings/agents/updates">
            <input type="hidden" name="program" value={program.program} />
            <button type="submit" class="btn primary small">
              Update {formatNoun(ready, "host")}
            </button>
          </PostForm>
        ) : null
      }
    >
      {program.versions.length === 0 ? (
        <Empty title="No host has connected yet">Its version is shown here once it does.</Empty>
      ) : (
        <table class="rows fleet-versions">
          <caption class="sr-only">Versions of {name} in the fleet</caption>
          <thead>
            <tr>
              <th scope="col">Version</th>
              <th scope="col" class="num">
                Hosts
              </th>
              <th scope="col">State</th>
            </tr>
          </thead>
          <tbody>
            {program.versions.map((version) => (
              <VersionLine key={version.version} version={version} program={program} />
            ))}
          </tbody>
        </table>
      )}
      {unserved.length === 0 ? null : (
        <p class="panel-body hint">
          The files for hosts hold no {program.program} for{" "}
          {unserved.map(({ system, count }) => `${system} (${formatNoun(count, "host")})`).join(", ")}: bring
          it up to date there by hand, or serve a release that has it.
        </p>
      )}
      {behind === 0 && unusable === 0 ? null : (
        <p class="panel-body hint">
          {behind === 0 ? null : (
            <a class="link" href={urlWith("/", { [program.program]: "behind" })}>
              {formatNoun(behind, "host")} behind
            </a>
          )}
          {byHand === 0 ? null : `, ${formatCount(byHand)} of them to be updated by hand`}
          {behind === 0 ? null : ". "}
          {onWindows === 0 ? null : (
            <span class="word warn">
              {formatNoun(onWindows, "host")} among them on Windows: updates were never tried on a real
              Windows.{" "}
            </span>
          )}
          {unusable === 0 ? null : (
            <span class="word fail">
              {" "}
              {formatNoun(unusable, "host")} can’t back up: restic is missing or too old.
            </span>
          )}
        </p>
      )}
    </Panel>
  );
}

const driftWords: Readonly<Record<Drift, { tone: Tone; word: string }>> = {
  current: { tone: "ok", word: "as served" },
  behind: { tone: "warn", word: "behind" },
  ahead: { tone: "idle", word: "newer than served" },
  unknown: { tone: "idle", word: "can’t be compared" },
};

function VersionLine({ version, program }: { version: VersionCount; program: ProgramView }): JSX.Element {
  const { tone, word } = driftWords[version.drift];
  const missing = version.version === null && program.program === "restic";
  return (
    <tr>
      <td class="mono">{version.version ?? <None label="not known" />}</td>
      <td class="num">{formatCount(version.count)}</td>
      <td>
        <span class={`state ${missing ? "fail" : tone}`}>
          <Dot tone={missing ? "fail" : tone} />
          <span>{missing ? "not found" : word}</span>
        </span>
      </td>
    </tr>
  );
}

/** Agents that can't replace themselves: the installer does it, once more. */
function ByHandPanel(props: {
  programs: readonly ProgramView[];
  server: string;
  release: Release;
}): JSX.Element | null {
  const byHand = props.programs.find(({ program }) => program === "agent")?.byHand ?? 0;
  if (byHand === 0 || props.release.kind !== "whole") return null;
  const { files } = props.release;
  const has = (name: string) => files.has(name);
  return (
    <Panel title="Update by hand" note={formatNoun(byHand, "host")} id="by-hand">
      <div class="panel-body stack">
        <p>
          These agents are too old to replace themselves. Run the installer once more on the host, as root; it
          keeps the host’s enrolment and its settings.
        </p>
        {has("install.sh") ? (
          <CopyBlock
            id="by-hand-linux"
            label="command for Linux"
            text={`curl -fsSL ${props.server}/install/install.sh | sudo sh`}
          />
        ) : null}
        {has("install.ps1") ? (
          <CopyBlock
            id="by-hand-windows"
            label="command for Windows"
            text={`irm ${props.server}/install/install.ps1 | iex`}
          />
        ) : null}
      </div>
    </Panel>
  );
}

function FilesPanel({ release }: { release: Release }): JSX.Element {
  if (release.kind === "none") {
    return (
      <Panel title="Files for hosts" id="release-files">
        <Empty title="This server has no files for hosts">
          <p>
            Put the files of a release, with SHA256SUMS and its signature, into{" "}
            <code class="break">{release.dataFolder}</code>. They are served within seconds, without a
            restart.
          </p>
        </Empty>
      </Panel>
    );
  }
  if (release.kind === "broken") {
    return (
      <Panel title="Files for hosts" note="none served" id="release-files">
        <p class="panel-body muted">See above: {release.problem}</p>
      </Panel>
    );
  }
  return <ServedFiles release={release} />;
}

function ServedFiles({ release }: { release: Extract<Release, { kind: "whole" }> }): JSX.Element {
  const files = [...release.files.values()];
  const programs = files.filter(({ artefact }) => artefact !== null);
  const others = files.filter(({ artefact }) => artefact === null);
  return (
    <Panel title="Files for hosts" note={formatCount(files.length)} id="release-files">
      <dl class="pairs wide">
        <Pair label="Source">
          <span class="mono break">{release.folder}</span>{" "}
          <span class="faint">{sourceWords[release.source]}</span>
        </Pair>
        <Pair label="Signature">
          <span class="word ok">good</span>{" "}
          <span class="faint">
            over every digest below; agents check it with the key that they were built with
          </span>
        </Pair>
        <Pair label="Key">
          <span class="digest">
            <span class="mono break" id="release-key">
              SHA256:{release.keyFingerprint}
            </span>
            <CopyButton target="release-key" label="fingerprint of the key" />
          </span>
        </Pair>
        <Pair label="Read">
          <Time at={release.checkedAt} />
        </Pair>
      </dl>
      <table class="rows release-rows">
        <caption class="sr-only">Files that hosts can download</caption>
        <thead>
          <tr>
            <th scope="col" class="col-file">
              File
            </th>
            <th scope="col" class="col-system mid-up">
              For
            </th>
            <th scope="col" class="col-version mid-up">
              Version
            </th>
            <th scope="col" class="num col-bytes">
              Size
            </th>
            <th scope="col" class="wide-only">
              SHA-256
            </th>
          </tr>
        </thead>
        <tbody>
          {[...programs, ...others].map((file, index) => (
            <tr key={file.name}>
              <td>
                <a class="link mono break" href={`/install/${encodeURIComponent(file.name)}`}>
                  {file.name}
                </a>
              </td>
              <td class="mid-up">
                {file.artefact ? `${file.artefact.os}/${file.artefact.arch}` : <None label="every system" />}
              </td>
              <td class="mono mid-up">{file.artefact?.version ?? <None />}</td>
              <td class="num">{formatBytes(file.sizeBytes)}</td>
              <td class="wide-only">
                <span class="digest">
                  <span class="mono clip" id={`digest-${index}`} title={file.sha256}>
                    {file.sha256}
                  </span>
                  <CopyButton target={`digest-${index}`} label={`SHA-256 of ${file.name}`} />
                </span>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Panel>
  );
}
