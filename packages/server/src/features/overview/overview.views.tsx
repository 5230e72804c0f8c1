/**
 * The dashboard: the fleet in a row of figures and one dense table whose search, filters, order and page live in
 * the URL. Hosts' own pages are in host.views.tsx.
 */
import type { JSX } from "preact";
import { formatCount } from "../../platform/html/format.ts";
import { PostForm } from "../../platform/html/forms.tsx";
import { Icon } from "../../platform/html/icons.tsx";
import { renderFragment, renderPage } from "../../platform/html/page.tsx";
import { Empty, type PageInfo, Pagination, urlWith } from "../../platform/html/parts.tsx";
import { type PageContext, useMayOperate } from "../../platform/html/scope.ts";
import type { Tone } from "../../platform/html/state.tsx";
import { PendingPanel, type PendingRow } from "../pending-hosts/pending-hosts.ts";
import { BehindLine, DrillLine, type FleetFigures, Tiles } from "./fleet-tiles.views.tsx";
import { type HostFilter, type HostRow, HostTable } from "./host-table.views.tsx";

export type { FleetFigures };

/** The dashboard. */
export interface DashboardProps {
  /** Machines that wait to be accepted. */
  pending: readonly PendingRow[];
  figures: FleetFigures;
  /** Already filtered and sorted: those of this page. */
  hosts: readonly HostRow[];
  page: PageInfo;
  filter: HostFilter;
  /** Every tag in use. */
  tags: readonly string[];
  notice?: { tone: Tone; text: string } | undefined;
}

/** The page /?search=&tag=&state=&sort=&direction=&page=. */
export function renderDashboardPage(page: PageContext, props: DashboardProps): string {
  return renderPage(page, {
    title: "Dashboard",
    nav: "dashboard",
    notice: props.notice,
    content: <Dashboard {...props} />,
  });
}

/** The fragment /fragments/dashboard with the same query: what changes by itself. */
export function renderDashboardFragment(page: PageContext, props: DashboardProps): string {
  return renderFragment(page, <DashboardLive {...props} />);
}

function Dashboard(props: DashboardProps): JSX.Element {
  const mayOperate = useMayOperate();
  const { page: number } = props.page;
  return (
    <>
      <div class="head">
        <h1>Dashboard</h1>
        {mayOperate && props.figures.total > 0 ? (
          <a class="btn primary" href="/hosts/new">
            <Icon name="plus" />
            Add host
          </a>
        ) : null}
      </div>
      {/* One form for all rows: a button names the host by its own address. */}
      <PostForm action="/" id="run" label="Run a backup" />
      <div
        id="dashboard-live"
        data-live-src={urlWith("/fragments/dashboard", {
          ...props.filter,
          page: number === 1 ? null : number,
        })}
        data-live-ms="5000"
      >
        <DashboardLive {...props} />
      </div>
    </>
  );
}

function FirstHost(): JSX.Element {
  const mayOperate = useMayOperate();
  return (
    <section class="panel" aria-label="Hosts">
      <Empty
        title="No host is connected yet"
        action={
          mayOperate ? (
            <a class="btn primary" href="/hosts/new">
              <Icon name="plus" />
              Add the first host
            </a>
          ) : null
        }
      >
        <ol class="steps">
          <li>Name the host and say where its repository is.</li>
          <li>Run the one command you get on that host, as root.</li>
          <li>It connects by itself, makes the repository and is ready for its first backup.</li>
        </ol>
      </Empty>
    </section>
  );
}

function DashboardLive(props: DashboardProps): JSX.Element {
  if (props.figures.total === 0)
    return (
      <>
        <PendingPanel pending={props.pending} />
        <FirstHost />
      </>
    );
  return (
    <>
      <Tiles figures={props.figures} />
      <DrillLine figures={props.figures} />
      <BehindLine figures={props.figures} />
      <PendingPanel pending={props.pending} />
      <section class="panel" aria-label="Hosts" id="hosts">
        <header>
          <h2>Hosts</h2>
          <HostTools {...props} />
        </header>
        {props.hosts.length === 0 ? (
          <Empty
            title={props.filter.search ? `No host matches “${props.filter.search}”` : "No host matches"}
            action={
              <a class="btn" href="/">
                Show all {formatCount(props.figures.total)}
              </a>
            }
          />
        ) : (
          <HostTable {...props} />
        )}
        <Pagination
          info={props.page}
          noun="hosts"
          words={{ back: "Previous", on: "Next" }}
          urlOf={(page) => urlWith("/", { ...props.filter, page })}
        />
      </section>
    </>
  );
}

function HostTools(props: DashboardProps): JSX.Element {
  const { figures, filter } = props;
  const chip = (state: HostFilter["state"] | null, label: string, count: number) => (
    <a
      class="chip"
      href={urlWith("/", { ...filter, state })}
      aria-current={(filter.state ?? null) === state ? "true" : undefined}
    >
      {label} <span class="chip-count">{formatCount(count)}</span>
    </a>
  );
  return (
    <div class="tools host-tools">
      <nav class="chips" aria-label="Filter by state" id="host-chips">
        {chip(null, "All", figures.total)}
        {chip("attention", "Attention", figures.attention)}
        {chip("running", "Running", figures.running)}
        {chip("offline", "Offline", figures.offline)}
        <BehindChip {...props} program="agent" label="Agent behind" />
        <BehindChip {...props} program="restic" label="restic behind" />
      </nav>
      <HostSearch filter={filter} tags={props.tags} />
    </div>
  );
}

/** Only while it is what is looked at: the way to it is the line under the tiles. */
function BehindChip(
  props: Pick<DashboardProps, "figures" | "filter"> & { program: "agent" | "restic"; label: string },
): JSX.Element | null {
  const { figures, filter, program } = props;
  if (filter[program] !== "behind") return null;
  return (
    <a class="chip" href={urlWith("/", { ...filter, [program]: undefined })} aria-current="true">
      {props.label} <span class="chip-count">{formatCount(figures.behind[program])}</span>
    </a>
  );
}

function HostSearch({ filter, tags }: Pick<DashboardProps, "filter" | "tags">): JSX.Element {
  return (
    <form
      class="search-form"
      method="get"
      action="/"
      aria-label="Find hosts"
      data-live-filter="dashboard-live"
    >
      <Kept name="state" value={filter.state} />
      <Kept name="agent" value={filter.agent} />
      <Kept name="restic" value={filter.restic} />
      <Kept name="sort" value={filter.sort} />
      <Kept name="direction" value={filter.direction} />
      {tags.length === 0 ? null : (
        <select class="input" name="tag" id="host-tag" aria-label="Tag">
          <option value="">Any tag</option>
          {tags.map((tag) => (
            <option key={tag} value={tag} selected={tag === filter.tag}>
              {tag}
            </option>
          ))}
        </select>
      )}
      <span class="search" id="host-search">
        <Icon name="search" />
        <input
          class="input"
          type="search"
          name="search"
          value={filter.search ?? ""}
          placeholder="Search hosts"
          aria-label="Search hosts"
          data-search=""
        />
        <kbd>/</kbd>
      </span>
      <noscript>
        <button type="submit" class="btn small">
          Apply
        </button>
      </noscript>
    </form>
  );
}

function Kept({ name, value }: { name: string; value: string | undefined }): JSX.Element | null {
  return value ? <input type="hidden" name={name} value={value} /> : null;
}
