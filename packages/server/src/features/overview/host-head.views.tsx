/** The head of a host's page: who it is, how it is, whether its agent has its schedules, and the way to run it. */
import type { JSX } from "preact";
import { PostForm } from "../../platform/html/forms.tsx";
import { Icon } from "../../platform/html/icons.tsx";
import { Tags } from "../../platform/html/parts.tsx";
import { useMayOperate } from "../../platform/html/scope.ts";
import { Dot, toneOf, wordOf } from "../../platform/html/state.tsx";
import { Time } from "../../platform/html/values.tsx";
import type { HostPageProps, ScheduleSync } from "./host.views.tsx";
import { RunButton } from "./run-button.views.tsx";

/** Name, state in words, and the one verb. */
export function HostHead({ host, activeJob }: Pick<HostPageProps, "host" | "activeJob">): JSX.Element {
  const mayOperate = useMayOperate();
  return (
    <div class="head" id="host-head">
      <div class="head-main">
        <h1>
          <Dot tone={toneOf(host.condition)} />
          <span class="mono break">{host.name}</span>
        </h1>
        <p class="head-line">
          <span class={`word ${toneOf(host.condition)}`}>{wordOf(host.condition)}</span>
          <span>{host.os === null ? "platform unknown" : `${host.os}/${host.arch ?? "?"}`}</span>
          <span>
            {host.lastSeenAt === null ? (
              "never connected"
            ) : (
              <>
                {host.online ? "online, seen" : "last seen"} <Time at={host.lastSeenAt} />
              </>
            )}
          </span>
          <span>{host.mode === "intermittent" ? "intermittent" : "always on"}</span>
          {host.sync === null ? null : <Sync sync={host.sync} />}
          <Tags tags={host.tags} />
        </p>
      </div>
      {mayOperate ? <HeadAction host={host} activeJob={activeJob} /> : null}
    </div>
  );
}

/** What was changed reaches an agent at once, or with its next connection. */
function Sync({ sync }: { sync: ScheduleSync }): JSX.Element {
  const { version, applied, late } = sync;
  if (applied === version) return <span>schedules v{version} · in sync</span>;
  const behind = applied === null ? "agent has none" : `agent at v${applied}`;
  return (
    <span
      class={late ? "word warn" : undefined}
      title={
        late
          ? "The agent is connected and has not taken the newest schedules. Restart it, and look at its log."
          : "The agent gets them when it is connected; until then it runs what it knows."
      }
    >
      schedules v{version} · {behind}
    </span>
  );
}

function HeadAction({ host, activeJob }: Pick<HostPageProps, "host" | "activeJob">): JSX.Element {
  if (activeJob !== null) {
    return (
      <a class="btn" href={`/jobs/${encodeURIComponent(activeJob.id)}`}>
        Open job
      </a>
    );
  }
  return (
    <PostForm action={`/hosts/${encodeURIComponent(host.id)}/run`}>
      <RunButton host={host} class="btn primary">
        <Icon name="play" />
        Run now
      </RunButton>
    </PostForm>
  );
}
