/**
 * What happens in the simulated span, all of it drawn before it begins: which hosts there are with which schedules, when
 * each sleeps, restarts, loses its connection or has its clock set, and when the two servers are down.
 */
import { Dice } from "./dice.ts";
import { type KnownTimes, knownTimes } from "./known-times.ts";

const secondMs = 1000;
const minuteMs = 60 * secondMs;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

export interface Span {
  from: number;
  to: number;
}

export interface PlanSchedule {
  id: string;
  hostId: string;
  cron: string;
  timeZone: string;
  jitterSeconds: number;
  groupIds: string[];
  times: KnownTimes;
  firstPlannedAt: number;
  pausedAt: null;
  deletedAt: null;
}

export type HostEvent =
  | { at: number; kind: "sleep" | "wake" | "stop" | "start" | "cut" | "restore" }
  /** The host's clock is set to so much beside the right time. */
  | { at: number; kind: "clock"; skewMs: number };

export interface PlanHost {
  index: number;
  id: string;
  mode: "always-on" | "intermittent";
  groupIds: string[];
  schedules: PlanSchedule[];
  /** In the order of time. */
  events: HostEvent[];
  /** Its monotonic clock goes on while it sleeps, as on Windows. */
  countsSleep: boolean;
}

/** One life of one of the servers' programs. */
export interface ServerLife extends Span {
  replica: number;
}

const zones = ["Europe/Berlin", "America/New_York", "UTC", "Australia/Lord_Howe"] as const;
/** One of each for every host; the half past two of Berlin and New York does not exist on one night and is twice on another. */
const kinds = [
  ["0 3 * * *", "30 2 * * *", "15 1 * * *", "0 */6 * * *"],
  ["0 12 * * 1-5", "30 18 * * 1-5"],
  ["0 4 * * 0", "30 2 * * 0", "30 1 * * 6"],
  ["0 5 1 * *", "15 2 28 * *"],
] as const;

/** A ULID in form, different for every kind and index. */
export const planId = (kind: string, index: number): string =>
  `01YEAR${kind}${String(index).padStart(19, "0")}`;

const inForce = { pausedAt: null, deletedAt: null };

export function planHost(seed: number, index: number, span: Span): PlanHost {
  const dice = new Dice(seed, index);
  const id = planId("H", index);
  const groupIds = Array.from({ length: dice.chance(0.1) ? 2 : 1 }, (_, g) => planId("G", index * 4 + g));
  const timeZone = dice.pick(zones);
  const jitterSeconds = dice.chance(0.1) ? dice.pick([600, 1800, 7200]) : 0;
  const schedules = kinds.map((crons, k) => {
    const cron = k === 0 && dice.chance(0.1) ? "0 */6 * * *" : dice.pick(crons.slice(0, 3) as [string]);
    const times = knownTimes(cron, timeZone, span.from, span.to);
    const firstPlannedAt = times.next(span.from) ?? span.to;
    const shared = { ...inForce, hostId: id, cron, timeZone, jitterSeconds, groupIds, times, firstPlannedAt };
    return { id: planId("S", index * 4 + k), ...shared };
  });
  const character = dice.pick(["server", "server", "server", "laptop", "flaky"]);
  const mode = character === "laptop" && dice.chance(0.8) ? "intermittent" : "always-on";
  const events = [
    ...(character === "laptop"
      ? napsOf(dice, span)
      : outages(dice, span, ["sleep", "wake"], 200 * dayMs, [hourMs, 20 * dayMs])),
    ...eventsOf(dice, span, schedules, character === "flaky" ? 8 : 1),
  ];
  events.sort((a, b) => a.at - b.at);
  return { index, id, mode, groupIds, schedules, events, countsSleep: index % 5 === 0 };
}

function eventsOf(dice: Dice, span: Span, schedules: PlanSchedule[], often: number): HostEvent[] {
  return [
    ...aimed(dice, span, schedules, ["stop", "start"], (90 * dayMs) / often),
    ...aimed(dice, span, schedules, ["cut", "restore"], (60 * dayMs) / often),
    ...clockChanges(dice, span, (120 * dayMs) / often),
  ];
}

/** Closed at night and over the weekend, and for some weeks of the year. */
function napsOf(dice: Dice, span: Span): HostEvent[] {
  const events: HostEvent[] = [];
  for (let at = span.from + dice.between(14, 22) * hourMs; at < span.to; ) {
    const days = dice.chance(0.02) ? dice.between(5, 21) : dice.chance(0.2) ? 3 : 1;
    const wake = at + (days - 1) * dayMs + dice.between(6 * hourMs, 14 * hourMs);
    events.push({ at, kind: "sleep" }, { at: wake, kind: "wake" });
    at = wake + dice.between(2 * hourMs, 16 * hourMs);
  }
  return events;
}

type Pair = ["sleep", "wake"] | ["stop", "start"] | ["cut", "restore"];

function outages(
  dice: Dice,
  span: Span,
  [begin, end]: Pair,
  every: number,
  long: [number, number],
): HostEvent[] {
  const events: HostEvent[] = [];
  for (let at = span.from; ; ) {
    at += dice.between(minuteMs, 2 * every);
    const until = at + dice.spread(...long);
    if (at >= span.to) return events;
    events.push({ at, kind: begin }, { at: until, kind: end });
    at = until;
  }
}

/** As outages, half of them around the very second of a planned time. */
function aimed(
  dice: Dice,
  span: Span,
  schedules: PlanSchedule[],
  [begin, end]: Pair,
  every: number,
): HostEvent[] {
  const events: HostEvent[] = [];
  for (let at = span.from; ; ) {
    at += dice.between(minuteMs, 2 * every);
    const near = schedules[dice.between(0, schedules.length - 1)]?.times.next(at) ?? null;
    // A question takes 10 ms each way: these fall before it, into it and after it.
    if (near !== null && dice.chance(0.5)) at = near + dice.between(-15, 45);
    else if (near !== null && dice.chance(0.3)) at = near + dice.between(-70 * secondMs, 90 * secondMs);
    if (at >= span.to) return events;
    const until = at + dice.spread(secondMs, begin === "stop" ? 2 * hourMs : 3 * dayMs);
    events.push({ at, kind: begin }, { at: until, kind: end });
    at = until;
  }
}

/** Set wrong, and right again some time later. */
function clockChanges(dice: Dice, span: Span, every: number): HostEvent[] {
  const events: HostEvent[] = [];
  for (let at = span.from; ; ) {
    at += dice.between(minuteMs, 2 * every);
    const until = at + dice.spread(minuteMs, 5 * dayMs);
    if (at >= span.to) return events;
    const far = dice.chance(0.1) ? dice.spread(hourMs, 40 * dayMs) : dice.spread(secondMs, 3 * hourMs);
    events.push(
      { at, kind: "clock", skewMs: dice.chance(0.5) ? far : -far },
      { at: until, kind: "clock", skewMs: 0 },
    );
    at = until;
  }
}

/** Two servers over one database: each restarts now and then, and sometimes both are down for hours. */
export function planServers(seed: number, span: Span): ServerLife[] {
  const dice = new Dice(seed, 0x5e12);
  const dark: Span[] = [];
  for (let at = span.from + dayMs; at < span.to; at += dice.between(10 * dayMs, 50 * dayMs))
    dark.push({ from: at, to: at + dice.spread(20 * minuteMs, 36 * hourMs) });
  const lives: ServerLife[] = [];
  for (const replica of [0, 1]) {
    let from = span.from - dice.between(1, dayMs);
    for (const end of [...restarts(dice, span), ...dark, { from: span.to + dayMs, to: span.to + dayMs }].sort(
      (a, b) => a.from - b.from,
    )) {
      if (end.from > from) lives.push({ replica, from, to: end.from });
      from = Math.max(from, end.to + dice.between(0, 5 * secondMs));
    }
  }
  return lives.sort((a, b) => a.from - b.from);
}

function restarts(dice: Dice, span: Span): Span[] {
  const found: Span[] = [];
  for (let at = span.from; at < span.to; ) {
    at += dice.between(hourMs, 20 * dayMs);
    // Some in the minute in which half of the fleet is due.
    if (dice.chance(0.3)) at = Math.floor(at / dayMs) * dayMs + 3 * hourMs + dice.between(-20, 90 * secondMs);
    found.push({ from: at, to: at + dice.spread(2 * secondMs, 20 * minuteMs) });
    at += 30 * minuteMs;
  }
  return found;
}
