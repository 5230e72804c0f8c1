/** The question before a paused schedule is run: a page of its own, so that it works without scripts. */
import type { JSX } from "preact";
import { FormMessage, PostForm } from "../../platform/html/forms.tsx";
import { renderPage } from "../../platform/html/page.tsx";
import { Panel } from "../../platform/html/parts.tsx";
import type { PageContext } from "../../platform/html/scope.ts";
import { schedulesTabUrl, scheduleUrl } from "./schedule-panels.views.tsx";

/** The question before a paused schedule is run. */
export interface RunPausedProps {
  host: { id: string; name: string; online: boolean };
  schedule: { id: string; cron: string; pausedAt: number };
  groups: readonly string[];
  message?: string | undefined;
}

/** The page /hosts/{id}/schedules/{sid}/run. */
export function renderRunPausedPage(page: PageContext, props: RunPausedProps): string {
  const { host, schedule } = props;
  return renderPage(page, {
    title: `${host.name} · Run ${schedule.cron}`,
    nav: "dashboard",
    crumbs: [
      { label: "Hosts", href: "/" },
      { label: host.name, href: `/hosts/${encodeURIComponent(host.id)}`, mono: true },
      { label: "Schedules", href: schedulesTabUrl(host) },
      { label: "Run now" },
    ],
    content: <RunPaused {...props} />,
  });
}

function RunPaused({ host, schedule, groups, message }: RunPausedProps): JSX.Element {
  return (
    <div class="column">
      <div class="head">
        <h1>Run a paused schedule?</h1>
      </div>
      <Panel title="Paused">
        <div class="panel-body stack">
          <FormMessage message={message} />
          <p>
            <code>{schedule.cron}</code> is paused. This runs it once, now, and leaves it paused: one backup
            each of {groups.join(", ")}.
          </p>
          <PostForm action={`${scheduleUrl(host, schedule.id)}/run`} class="actions">
            <input type="hidden" name="confirmed" value="1" />
            <button type="submit" class="btn primary" disabled={!host.online}>
              Run once
            </button>
            <a class="btn quiet" href={schedulesTabUrl(host)}>
              Cancel
            </a>
          </PostForm>
          {host.online ? null : <p class="hint">Offline: start its agent first.</p>}
        </div>
      </Panel>
    </div>
  );
}
