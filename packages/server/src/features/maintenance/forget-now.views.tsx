/** The question before a forget: what each group keeps and what would go. A page of its own, so it works without scripts. */
import type { JSX } from "preact";
import { formatCount, formatNoun } from "../../platform/html/format.ts";
import { FormMessage, PostForm } from "../../platform/html/forms.tsx";
import { renderPage } from "../../platform/html/page.tsx";
import { Empty, Notice, Panel } from "../../platform/html/parts.tsx";
import type { PageContext } from "../../platform/html/scope.ts";
import type { ForgetPreview } from "./forget-now.ts";

export interface ForgetPageProps {
  host: { id: string; name: string; online: boolean };
  groups: readonly ForgetPreview[];
  maxRemovedPercent: number;
  message?: string | undefined;
}

const hostUrl = (host: { id: string }): string => `/hosts/${encodeURIComponent(host.id)}`;

/** The page /hosts/{id}/forget. */
export function renderForgetPage(page: PageContext, props: ForgetPageProps): string {
  const { host } = props;
  return renderPage(page, {
    title: `${host.name} · Forget`,
    nav: "dashboard",
    crumbs: [
      { label: "Hosts", href: "/" },
      { label: host.name, href: hostUrl(host), mono: true },
      { label: "Repository", href: `${hostUrl(host)}?tab=repository` },
      { label: "Forget now" },
    ],
    content: <ForgetPage {...props} />,
  });
}

function ForgetPage(props: ForgetPageProps): JSX.Element {
  const { host, groups } = props;
  return (
    <div class="column wide">
      <div class="head">
        <div class="head-main">
          <h1>Forget snapshots now?</h1>
          <p class="head-line">
            <span>As far as this server knows them. Their data stays until the next prune.</span>
          </p>
        </div>
      </div>
      <FormMessage message={props.message} />
      <AboveLimit {...props} />
      <Panel title="What would go" note={formatNoun(groups.length, "group")}>
        {groups.length === 0 ? (
          <Empty title="No source group">There is nothing whose snapshots could be forgotten.</Empty>
        ) : (
          <ul class="forget-groups">
            {groups.map((group) => (
              <GroupLine key={group.groupId} group={group} host={host} />
            ))}
          </ul>
        )}
      </Panel>
      <Decision {...props} />
    </div>
  );
}

function AboveLimit({ groups, maxRemovedPercent }: ForgetPageProps): JSX.Element | null {
  const above = groups.filter((group) => group.isAboveLimit);
  if (above.length === 0) return null;
  const words = above.map(
    ({ name, removed, total }) =>
      `${name} would lose ${formatNoun(removed, "snapshot")} of ${formatCount(total)}`,
  );
  return (
    <div id="forget-limit">
      <Notice tone="warn" title={`More than ${maxRemovedPercent} % would go.`}>
        <span>
          {words.join("; ")}. A planned forget leaves such a group alone until somebody confirms it here.
        </span>
      </Notice>
    </div>
  );
}

function GroupLine({ group, host }: { group: ForgetPreview; host: { id: string } }): JSX.Element {
  const url = `${hostUrl(host)}/sources/${encodeURIComponent(group.groupId)}/retention`;
  return (
    <li>
      <div>
        <a class="link mono" href={url}>
          {group.name}
        </a>
        <small>{group.kept}</small>
      </div>
      <div class="forget-count">
        {group.isLeftOut ? (
          <span class="muted">left out</span>
        ) : (
          <span class={group.isAboveLimit ? "word warn" : undefined}>
            {group.removed === 0 ? "none" : `${formatCount(group.removed)} of ${formatCount(group.total)}`}
          </span>
        )}
        <small>{group.isLeftOut ? `${formatNoun(group.total, "snapshot")} kept` : "would be removed"}</small>
      </div>
    </li>
  );
}

function Decision({ host, groups }: ForgetPageProps): JSX.Element {
  const isConfirming = groups.some((group) => group.isAboveLimit);
  const removed = groups.reduce((sum, group) => sum + group.removed, 0);
  const nothing = groups.every((group) => group.isLeftOut);
  const reason = nothing
    ? "Every group keeps its snapshots for ever: set a retention first."
    : host.online
      ? undefined
      : "Offline: start its agent first.";
  return (
    <>
      <PostForm action={`${hostUrl(host)}/forget`} class="actions form-actions">
        {isConfirming ? <input type="hidden" name="confirmed" value="1" /> : null}
        <button
          type="submit"
          class={isConfirming ? "btn danger" : "btn primary"}
          disabled={reason !== undefined}
        >
          {isConfirming ? `Remove ${formatNoun(removed, "snapshot")}` : "Forget now"}
        </button>
        <a class="btn quiet" href={`${hostUrl(host)}?tab=repository`}>
          Cancel
        </a>
      </PostForm>
      {reason === undefined ? null : <p class="hint">{reason}</p>}
    </>
  );
}
