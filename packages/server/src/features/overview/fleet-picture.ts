/**
 * The fleet's figures, and its order and filters, without reading every host for every look. Read in slices, between which
 * requests and agents have their turn. Up to one slice of hosts each look is current; of more, a picture serves for some
 * seconds, and the rows that are shown are read anew each time. Made of rows only, so it needs nobody to tell it of changes.
 */
import { setImmediate as othersTurn } from "node:timers/promises";
import type { Logger } from "pino";
import { type Host, listHostPage } from "../hosts/hosts.ts";
import { listFleetSizes } from "../repositories/repositories.ts";
import { listFleetSchedules } from "../schedules/schedules.ts";
import { type FleetEntry, filterFleet, sortFleet, sumFleet, toEntry } from "./fleet.ts";
import type { FleetFigures } from "./fleet-tiles.views.tsx";
import { type HostDrill, listHostDrills } from "./host-drill.ts";
import type { HostFilter } from "./host-table.views.tsx";
import { describeHosts, type OverviewDeps } from "./overview.ts";

/** Hosts that are read without giving way: some milliseconds. */
const sliceHosts = 200;
/** So old a picture may be before another one is made beside the look. */
const renewAfterMs = 5000;
/** So old it may be before a look waits for the next one; nobody has looked for that long. */
const waitAfterMs = 15_000;

const noDrill: HostDrill = { proven: null, last: null, planned: false, late: false };

/** The entries of these hosts, in their order, by seven queries however many they are. */
export async function listEntries(deps: OverviewDeps, hosts: readonly Host[]): Promise<FleetEntry[]> {
  const { db } = deps;
  const now = deps.clock.now();
  const ids = hosts.map(({ id }) => id);
  const repositoryIds = [...new Set(hosts.flatMap(({ repositoryId }) => repositoryId ?? []))];
  const overviews = await describeHosts(deps, hosts);
  const planned = await listFleetSchedules(db, ids);
  const sizes = await listFleetSizes(db, repositoryIds, { days: 0, now });
  const drills = await listHostDrills(db, hosts, now);
  return overviews.map((overview) => {
    const { id, repositoryId } = overview.host;
    return toEntry(overview, {
      nextRunAt: planned.get(id)?.nextFireAt ?? null,
      repositoryBytes: sizes.get(repositoryId ?? "")?.rawBytes ?? null,
      drill: drills.get(id) ?? noDrill,
    });
  });
}

/** The fleet at one moment. */
export class FleetPicture {
  readonly figures: FleetFigures;
  /** Every tag in use, in order. */
  readonly tags: readonly string[];
  readonly madeAt: number;
  private readonly entries: readonly FleetEntry[];
  /** The entries in each order that was asked for. */
  private readonly orders = new Map<string, readonly FleetEntry[]>();

  constructor(entries: readonly FleetEntry[], madeAt: number) {
    this.entries = entries;
    this.madeAt = madeAt;
    this.figures = sumFleet(entries);
    this.tags = [...new Set(entries.flatMap(({ tags }) => tags))].sort();
  }

  /** The hosts that match, in the filter's order. */
  find(filter: HostFilter): readonly FleetEntry[] {
    const { sort = "name", direction = "asc" } = filter;
    const order = `${sort} ${direction}`;
    const sorted = this.orders.get(order) ?? sortFleet(this.entries, { sort, direction });
    this.orders.set(order, sorted);
    return filterFleet(sorted, filter);
  }
}

export type FleetPicturesDeps = OverviewDeps & { log: Logger };

export class FleetPictures {
  private readonly deps: FleetPicturesDeps;
  private last: FleetPicture | null = null;
  private making: Promise<FleetPicture> | null = null;

  constructor(deps: FleetPicturesDeps) {
    this.deps = deps;
  }

  /** The fleet now, or of some seconds ago when it is large. */
  async look(): Promise<FleetPicture> {
    const { last } = this;
    if (last !== null && last.figures.total <= sliceHosts) return this.take();
    // A clock that was set back makes it one of a later moment, which is no better than an old one.
    const ageMs = last === null ? Number.POSITIVE_INFINITY : Math.abs(this.deps.clock.now() - last.madeAt);
    if (last === null || ageMs > waitAfterMs) return this.renew();
    if (ageMs > renewAfterMs)
      void this.renew().catch((error: unknown) =>
        this.deps.log.error({ err: error }, "the fleet's figures could not be read"),
      );
    return last;
  }

  private renew(): Promise<FleetPicture> {
    this.making ??= this.take().finally(() => {
      this.making = null;
    });
    return this.making;
  }

  private async take(): Promise<FleetPicture> {
    const { db, clock } = this.deps;
    const madeAt = clock.now();
    const entries: FleetEntry[] = [];
    for (let after: string | undefined; ; ) {
      const hosts: Host[] = await listHostPage(db, {}, { after, limit: sliceHosts, nowMs: madeAt });
      entries.push(...(await listEntries(this.deps, hosts)));
      after = hosts.at(-1)?.name;
      if (hosts.length < sliceHosts) break;
      await othersTurn();
    }
    this.last = new FleetPicture(entries, madeAt);
    return this.last;
  }
}
