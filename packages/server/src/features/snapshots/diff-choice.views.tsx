/** The two snapshots to compare, chosen from lists, so that they may be as far apart as they like. */
import type { JSX } from "preact";
import { formatBytes, formatUtc } from "../../platform/html/format.ts";
import { FormMessage, PostForm } from "../../platform/html/forms.tsx";
import { renderPage } from "../../platform/html/page.tsx";
import { Empty, Panel } from "../../platform/html/parts.tsx";
import type { PageContext } from "../../platform/html/scope.ts";

interface Offered {
  id: string;
  at: number;
  tags: readonly string[];
  sizeBytes: number | null;
}

export interface ComparePageProps {
  host: { id: string; name: string; online: boolean };
  /** Newest first. */
  snapshots: readonly Offered[];
  /** How many the host has; more than are offered when there are very many. */
  total: number;
  /** What was chosen; else the newest, and the one before it of the same group. */
  from?: string | undefined;
  to?: string | undefined;
  message?: string | undefined;
}

const hostUrl = (host: { id: string }): string => `/hosts/${encodeURIComponent(host.id)}`;

/** The page /hosts/{id}/diff. */
export function renderComparePage(page: PageContext, props: ComparePageProps): string {
  const { host } = props;
  return renderPage(page, {
    title: `${host.name} · Compare snapshots`,
    nav: "dashboard",
    crumbs: [
      { label: "Hosts", href: "/" },
      { label: host.name, href: hostUrl(host), mono: true },
      { label: "Snapshots", href: hostUrl(host) },
      { label: "Compare" },
    ],
    content: <ComparePage {...props} />,
  });
}

/** What is compared most often: the last backup with the one before. */
function defaultPair(snapshots: readonly Offered[]): { from: string; to: string } {
  const [newest, ...older] = snapshots;
  const group = newest?.tags.join(",");
  const before = older.find(({ tags }) => tags.join(",") === group) ?? older[0];
  return { from: before?.id ?? "", to: newest?.id ?? "" };
}

function ComparePage(props: ComparePageProps): JSX.Element {
  const { host, snapshots } = props;
  const usual = defaultPair(snapshots);
  const reason = host.online ? undefined : "Offline: start its agent first.";
  return (
    <div class="column wide">
      <div class="head">
        <div class="head-main">
          <h1>Compare two snapshots</h1>
          <p class="head-line">
            <span>What was added, removed and changed between them.</span>
          </p>
        </div>
      </div>
      <FormMessage message={props.message} />
      <Panel title="Snapshots" id="compare">
        {snapshots.length < 2 ? (
          <Empty title="Fewer than two snapshots">
            There is nothing to compare yet: each backup makes a snapshot.
          </Empty>
        ) : (
          <PostForm action={`${hostUrl(host)}/diff`} class="panel-body stack" label="Compare two snapshots">
            <Choice name="from" label="From (the older one)" chosen={props.from ?? usual.from} {...props} />
            <Choice name="to" label="To (the newer one)" chosen={props.to ?? usual.to} {...props} />
            {props.total > snapshots.length ? (
              <p class="hint">
                The newest {snapshots.length} are offered; older ones can be named by the API.
              </p>
            ) : null}
            <div class="actions form-actions">
              <button type="submit" class="btn primary" disabled={reason !== undefined} title={reason}>
                Compare
              </button>
              <a class="btn quiet" href={hostUrl(host)}>
                Cancel
              </a>
            </div>
            {reason === undefined ? null : <p class="hint">{reason}</p>}
          </PostForm>
        )}
      </Panel>
    </div>
  );
}

function Choice(props: {
  name: "from" | "to";
  label: string;
  chosen: string;
  snapshots: readonly Offered[];
}): JSX.Element {
  const id = `field-${props.name}`;
  return (
    <div class="field">
      <label for={id}>{props.label}</label>
      <select class="input mono" id={id} name={props.name}>
        {props.snapshots.map((snapshot) => (
          <option key={snapshot.id} value={snapshot.id} selected={snapshot.id === props.chosen}>
            {[
              formatUtc(snapshot.at),
              snapshot.tags.join(", ") || "no tag",
              snapshot.id.slice(0, 8),
              ...(snapshot.sizeBytes === null ? [] : [formatBytes(snapshot.sizeBytes)]),
            ].join(" · ")}
          </option>
        ))}
      </select>
    </div>
  );
}
