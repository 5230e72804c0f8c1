/** Settings → Server: the version, the database, and each server on it. */
import type { JSX } from "preact";
import { formatCount, formatNoun } from "../../platform/html/format.ts";
import { renderFragment, renderPage } from "../../platform/html/page.tsx";
import { Notice, Panel } from "../../platform/html/parts.tsx";
import type { PageContext } from "../../platform/html/scope.ts";
import { SettingsTabs } from "../../platform/html/settings-tabs.tsx";
import { Dot } from "../../platform/html/state.tsx";
import { Bytes, Pair, Time } from "../../platform/html/values.tsx";
import type { InstallationView, ReplicaView } from "./installation.ts";

const LIVE_MS = 5000;

/** The page /settings/server. */
export function renderServerPage(page: PageContext, view: InstallationView): string {
  return renderPage(page, {
    title: "Server",
    nav: "settings",
    crumbs: [{ label: "Settings", href: "/settings/account" }, { label: "Server" }],
    content: (
      <>
        <div class="head">
          <h1>Server</h1>
        </div>
        <SettingsTabs current="server" />
        <div
          id="server-live"
          class="installation"
          data-live-src="/fragments/settings/server"
          data-live-ms={LIVE_MS}
        >
          <ServerBody view={view} />
        </div>
      </>
    ),
  });
}

/** The fragment /fragments/settings/server. */
export function renderServerFragment(page: PageContext, view: InstallationView): string {
  return renderFragment(page, <ServerBody view={view} />);
}

function ServerBody({ view }: { view: InstallationView }): JSX.Element {
  const { database, jobLogDays, downloads, replicas } = view;
  return (
    <>
      <VersionNotice replicas={replicas} />
      <Panel title="This installation" id="installation">
        <dl class="pairs wide">
          <Pair label="restic-manager" mono>
            {view.version}
          </Pair>
          <Pair label="Database">
            <span>
              {database.engine} <span class="mono">{database.version}</span>
            </span>{" "}
            <span class="faint">
              · <Bytes size={database.sizeBytes} />
            </span>
          </Pair>
          <Pair label="Log lines of jobs">
            {jobLogDays === 0 ? "kept for ever" : `kept for ${formatNoun(jobLogDays, "day")}`}
          </Pair>
          <Pair label="Downloads">{downloads ? "on" : "switched off"}</Pair>
        </dl>
      </Panel>
      <Panel
        title={replicas.length === 1 ? "Server" : "Replicas"}
        note={replicas.length === 1 ? null : formatCount(replicas.length)}
        id="replicas"
      >
        <table class="rows replica-rows">
          <caption class="sr-only">Servers of this installation</caption>
          <thead>
            <tr>
              <th scope="col" class="col-state">
                State
              </th>
              <th scope="col">Address</th>
              <th scope="col" class="col-version mid-up">
                Version
              </th>
              <th scope="col" class="num col-agents">
                Agents
              </th>
              <th scope="col" class="col-time mid-up">
                Started
              </th>
              <th scope="col" class="col-time mid-up">
                Seen
              </th>
            </tr>
          </thead>
          <tbody>
            {replicas.map((replica) => (
              <ReplicaRow key={replica.id} replica={replica} isOnly={replicas.length === 1} />
            ))}
          </tbody>
        </table>
      </Panel>
    </>
  );
}

/** During an upgrade it is right, afterwards it is forgotten. */
function VersionNotice({ replicas }: { replicas: readonly ReplicaView[] }): JSX.Element | null {
  const versions = new Set(replicas.filter(({ isAlive }) => isAlive).map(({ version }) => version));
  if (versions.size < 2) return null;
  return (
    <Notice tone="warn" title="The replicas are of different versions.">
      <p>They work together while an upgrade goes on. Bring all of them to the newest version to end it.</p>
    </Notice>
  );
}

function ReplicaRow({ replica, isOnly }: { replica: ReplicaView; isOnly: boolean }): JSX.Element {
  const { isAlive, isLeader, isThis } = replica;
  const roles = [...(isThis ? ["answered this page"] : []), ...(isLeader ? ["leader"] : [])];
  return (
    <tr>
      <td>
        <span class={`state ${isAlive ? "ok" : "fail"}`}>
          <Dot tone={isAlive ? "ok" : "fail"} />
          <span>{isAlive ? "running" : "lost"}</span>
        </span>
      </td>
      <td>
        <span class="mono break">{replica.url.replace(/^http:\/\//, "")}</span>
        {isOnly || roles.length === 0 ? null : <div class="faint">{roles.join(", ")}</div>}
        <div class="phone-only faint">
          <span class="mono">{replica.version}</span>, seen <Time at={replica.seenAt} />
        </div>
      </td>
      <td class="mono mid-up">{replica.version}</td>
      <td class="num">{isAlive ? formatCount(replica.agents) : "0"}</td>
      <td class="mid-up">
        <Time at={replica.startedAt} />
      </td>
      <td class="mid-up">
        <Time at={replica.seenAt} />
      </td>
    </tr>
  );
}
