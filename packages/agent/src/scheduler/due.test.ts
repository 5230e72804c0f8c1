/** When a schedule fires: on time, missed, at the edges of summer time, and with a clock that nobody can trust. */
import { jitterMs, readCron } from "@restic-manager/protocol";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type DueInput, decideDue, fireKey, MAX_AHEAD_MS, ON_TIME_MS, type PlannedSchedule } from "./due.ts";
import { type FireState, firedKeys, withFires, withOutcome } from "./fire-state.ts";
import { SETTLE_MS, WakeWatch } from "./wake.ts";

const NIGHTLY = "01KAQ2V0C5D7F9H2J4K6M8N0PR";
const OTHER = "01KAQ2V0C5D7F9H2J4K6M8N0PT";
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const MIDNIGHT = Date.UTC(2026, 10, 23);
const THREE = MIDNIGHT + 3 * HOUR;

function scheduleOf(cron: string, timeZone = "UTC", change: Partial<PlannedSchedule> = {}): PlannedSchedule {
  const read = readCron(cron, timeZone);
  if (!("times" in read)) throw new Error(read.problem.message);
  return { scheduleId: NIGHTLY, times: read.times, jitterSeconds: 0, firstPlannedAt: MIDNIGHT, ...change };
}

const nightly = scheduleOf("0 3 * * *");

/** One look at one schedule. */
function look(nowMs: number, change: Partial<DueInput> = {}) {
  return decideDue({
    ...{ schedules: [nightly], dealtUntil: new Map(), fired: new Set(), nowMs, settled: true },
    ...change,
  });
}

const plannedOf = (decision: ReturnType<typeof decideDue>) =>
  decision.fires.map(({ plannedAt }) => plannedAt);

describe("on time", () => {
  test("nothing is due before, and the next look is told", () => {
    expect(look(THREE - 1)).toMatchObject({ fires: [], nextDueMs: THREE, waits: false });
  });

  test.each([0, ON_TIME_MS])("found %i ms late it fires at once, also right after a start", (lateMs) => {
    const decision = look(THREE + lateMs, { settled: false });
    expect(decision.fires).toEqual([{ scheduleId: NIGHTLY, plannedAt: THREE, missed: false }]);
    expect(decision.dealtUntil.get(NIGHTLY)).toBe(THREE);
    expect(decision.nextDueMs).toBe(THREE + DAY);
  });

  test("what is dealt with does not fire again, even when the clock is set back", () => {
    const dealtUntil = new Map([[NIGHTLY, THREE]]);
    expect(look(THREE, { dealtUntil }).fires).toEqual([]);
    expect(look(THREE - HOUR, { dealtUntil })).toMatchObject({ fires: [], nextDueMs: THREE + DAY });
  });

  test("nor does what was fired when its position is lost", () => {
    const fired = new Set([fireKey({ scheduleId: NIGHTLY, plannedAt: THREE })]);
    const decision = look(THREE, { fired });
    expect(decision.fires).toEqual([]);
    expect(decision.dealtUntil.get(NIGHTLY)).toBe(THREE);
  });

  test("a planned time before the schedule's first is not its own", () => {
    const late = { ...nightly, firstPlannedAt: THREE + MINUTE };
    expect(look(THREE + 10, { schedules: [late] })).toMatchObject({ fires: [], nextDueMs: THREE + DAY });
  });

  test("the spread moves the moment and not the planned time", () => {
    const spread = scheduleOf("0 3 * * *", "UTC", { jitterSeconds: 3600 });
    const dueMs = THREE + jitterMs(NIGHTLY, THREE, 3600);
    expect(dueMs).toBeGreaterThan(THREE);
    expect(look(dueMs - 1, { schedules: [spread] })).toMatchObject({ fires: [], nextDueMs: dueMs });
    expect(plannedOf(look(dueMs + ON_TIME_MS, { schedules: [spread], settled: false }))).toEqual([THREE]);
  });

  test("a spread that is longer than the pause between two runs loses none of them", () => {
    const spread = scheduleOf("* * * * *", "UTC", { jitterSeconds: 600 });
    const fired: number[] = [];
    let dealtUntil: ReadonlyMap<string, number> = new Map([[NIGHTLY, MIDNIGHT]]);
    for (let nowMs = MIDNIGHT; nowMs <= MIDNIGHT + HOUR; nowMs += 30_000) {
      const decision = look(nowMs, { schedules: [spread], dealtUntil });
      expect(decision.fires.every(({ missed }) => !missed)).toBe(true);
      fired.push(...plannedOf(decision));
      dealtUntil = new Map([...dealtUntil, ...decision.dealtUntil]);
    }
    expect(fired.length).toBeGreaterThanOrEqual(50);
    expect(fired).toEqual(fired.map((_, index) => MIDNIGHT + (index + 1) * MINUTE));
  });
});

describe("missed", () => {
  const hourly = scheduleOf("0 * * * *");

  test("only the newest fires, once, and all before it are dealt with", () => {
    const decision = look(THREE + 30 * MINUTE, { schedules: [hourly] });
    expect(decision.fires).toEqual([{ scheduleId: NIGHTLY, plannedAt: THREE, missed: true }]);
    const again = look(THREE + 31 * MINUTE, { schedules: [hourly], dealtUntil: decision.dealtUntil });
    expect(again.fires).toEqual([]);
  });

  test("waits until the machine has settled", () => {
    const decision = look(THREE + 30 * MINUTE, { schedules: [hourly], settled: false });
    expect(decision).toMatchObject({ fires: [], waits: true, nextDueMs: THREE + HOUR });
    expect(decision.dealtUntil.size).toBe(0);
  });

  test("a run that is due now stands for those that were missed before it", () => {
    const decision = look(THREE + 1, { schedules: [hourly], settled: false });
    expect(plannedOf(decision)).toEqual([THREE]);
    expect(decision).toMatchObject({ waits: false });
  });

  test("years of minutes are dealt with in one look", () => {
    const minutely = scheduleOf("* * * * *", "UTC", { firstPlannedAt: MIDNIGHT - 3650 * DAY });
    expect(plannedOf(look(THREE + 15_000, { schedules: [minutely] }))).toEqual([THREE - MINUTE, THREE]);
    const old = { ...minutely, firstPlannedAt: MIDNIGHT - 3650 * DAY, jitterSeconds: 86_400 };
    expect(look(THREE, { schedules: [old] }).fires).toHaveLength(1);
  });

  test("a position far ahead is set back to now, a day ahead is not", () => {
    const far = look(THREE, { dealtUntil: new Map([[NIGHTLY, THREE + MAX_AHEAD_MS + 1]]) });
    expect(far).toMatchObject({ setBack: [NIGHTLY], fires: [], nextDueMs: THREE + DAY });
    expect(far.dealtUntil.get(NIGHTLY)).toBe(THREE);
    const near = look(THREE, { dealtUntil: new Map([[NIGHTLY, THREE + MAX_AHEAD_MS]]) });
    expect(near).toMatchObject({ setBack: [], nextDueMs: THREE + 2 * DAY });
  });
});

describe("summer time", () => {
  /** Every planned time that fires when somebody looks every 30 s from `fromMs` on. */
  function firesWithin(schedule: PlannedSchedule, fromMs: number, hours: number): string[] {
    const fired: string[] = [];
    let dealtUntil: ReadonlyMap<string, number> = new Map();
    for (let nowMs = fromMs; nowMs < fromMs + hours * HOUR; nowMs += 30_000) {
      const decision = look(nowMs, { schedules: [{ ...schedule, firstPlannedAt: fromMs }], dealtUntil });
      expect(decision.fires.every(({ missed }) => !missed)).toBe(true);
      fired.push(...plannedOf(decision).map((plannedAt) => new Date(plannedAt).toISOString().slice(0, 16)));
      dealtUntil = new Map([...dealtUntil, ...decision.dealtUntil]);
    }
    return fired;
  }

  test.each([
    // The clock skips 02:30: the first moment after the gap.
    ["Europe/Berlin", "30 2 * * *", "2027-03-27T12:00Z", ["2027-03-28T01:00", "2027-03-29T00:30"]],
    ["America/New_York", "30 2 * * *", "2027-03-13T12:00Z", ["2027-03-14T07:00", "2027-03-15T06:30"]],
    // The clock shows 02:30 (01:30) twice: once.
    ["Europe/Berlin", "30 2 * * *", "2026-10-24T12:00Z", ["2026-10-25T00:30", "2026-10-26T01:30"]],
    ["America/New_York", "30 1 * * *", "2026-10-31T12:00Z", ["2026-11-01T05:30", "2026-11-02T06:30"]],
  ])("in %s a run at %s after %s fires once a day", (timeZone, cron, from, expected) => {
    expect(firesWithin(scheduleOf(cron, timeZone), Date.parse(from), 48)).toEqual(expected);
  });

  test.each([
    ["Europe/Berlin", "2027-03-28T00:00Z"],
    ["Europe/Berlin", "2026-10-25T00:00Z"],
    ["America/New_York", "2027-03-14T06:00Z"],
    ["America/New_York", "2026-11-01T05:00Z"],
  ])("in %s what runs every hour keeps running over the edge of %s", (timeZone, from) => {
    const fired = firesWithin(scheduleOf("15 * * * *", timeZone), Date.parse(from), 4);
    const first = Date.parse(from) + 15 * MINUTE;
    const hours = [0, 1, 2, 3].map((hour) => new Date(first + hour * HOUR).toISOString().slice(0, 16));
    expect(fired).toEqual(hours);
  });
});

/** An agent without disk and network: it looks, remembers and can be restarted; the world moves its clocks. */
class Simulated {
  wallMs = THREE;
  readonly fired: string[] = [];
  readonly missed: string[] = [];
  readonly #schedules: readonly PlannedSchedule[];
  #monotonicMs = 0;
  #state: FireState = { dealtUntil: new Map(), asked: [], recent: [] };
  #watch = new WakeWatch({ wallMs: THREE, monotonicMs: 0 });

  constructor(schedules: readonly PlannedSchedule[]) {
    this.#schedules = schedules;
  }

  /** What has to fire while the machine is awake for `ms` from here on. */
  listPunctual(ms: number): string[] {
    const done = firedKeys(this.#state);
    const keys: string[] = [];
    for (const { scheduleId, times, jitterSeconds, firstPlannedAt } of this.#schedules) {
      const dealtUntil = Math.max(this.#state.dealtUntil.get(scheduleId) ?? 0, firstPlannedAt - 1);
      const from = Math.max(dealtUntil, this.wallMs - jitterSeconds * 1000 - 1);
      for (let planned = times.next(from); planned !== null && planned < this.wallMs + ms; ) {
        const dueMs = planned + jitterMs(scheduleId, planned, jitterSeconds);
        const key = fireKey({ scheduleId, plannedAt: planned });
        if (dueMs >= this.wallMs && dueMs < this.wallMs + ms && !done.has(key)) keys.push(key);
        planned = times.next(planned);
      }
    }
    return keys;
  }

  awake(ms: number): void {
    const endMs = this.wallMs + ms;
    for (let pauseMs = 0; this.wallMs + pauseMs <= endMs; ) {
      this.#pass(pauseMs);
      pauseMs = this.#look(pauseMs);
    }
    this.#pass(endMs - this.wallMs);
  }

  jump(ms: number): void {
    this.wallMs += ms;
  }

  restart(offMs: number): void {
    this.#pass(offMs);
    this.#watch = new WakeWatch({ wallMs: this.wallMs, monotonicMs: this.#monotonicMs });
  }

  #pass(ms: number): void {
    this.wallMs += ms;
    this.#monotonicMs += ms;
  }

  #look(pauseMs: number): number {
    const now = { wallMs: this.wallMs, monotonicMs: this.#monotonicMs };
    const settleMs = this.#watch.look(now, pauseMs);
    const { dealtUntil } = this.#state;
    const decision = decideDue({
      ...{ schedules: this.#schedules, dealtUntil, fired: firedKeys(this.#state) },
      ...{ nowMs: this.wallMs, settled: settleMs === 0 },
    });
    this.#state = withFires(this.#state, decision.dealtUntil, decision.fires);
    for (const fire of decision.fires) {
      this.fired.push(fireKey(fire));
      if (fire.missed) this.missed.push(fireKey(fire));
      this.#state = withOutcome(this.#state, fire);
    }
    const dueInMs = (decision.nextDueMs ?? Number.POSITIVE_INFINITY) - this.wallMs;
    return Math.max(1, Math.min(10 * MINUTE, dueInMs, decision.waits ? settleMs : 10 * MINUTE));
  }
}

const step = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant("awake"), ms: fc.integer({ min: 1, max: 4 * HOUR }) }),
  },
  fc.record({ kind: fc.constant("jump"), ms: fc.integer({ min: -2 * DAY, max: 2 * DAY }) }),
  fc.record({ kind: fc.constant("jump"), ms: fc.integer({ min: -5 * MINUTE, max: 5 * MINUTE }) }),
  fc.record({ kind: fc.constant("restart"), ms: fc.integer({ min: 0, max: 8 * HOUR }) }),
);

/** There and back again: the same hours are passed through more than once. */
const sameHours = fc.oneof(
  fc.record({ kind: fc.constant("awake"), ms: fc.constant(HOUR) }),
  fc.record({ kind: fc.constant("jump"), ms: fc.constantFrom(-2 * DAY, 2 * DAY, -2 * HOUR) }),
);

describe("whatever the clocks do", () => {
  const schedules = [
    scheduleOf("*/30 * * * *", "Europe/Berlin", { jitterSeconds: 900 }),
    scheduleOf("7 * * * *", "America/New_York", { scheduleId: OTHER }),
  ];

  test.each([
    ["anything", fc.array(step, { maxLength: 12 })],
    ["the same hours again", fc.array(sameHours, { minLength: 8, maxLength: 16 })],
  ])("no planned time fires twice, and while the machine is awake each fires: %s", (_, days) => {
    fc.assert(
      fc.property(days, (steps) => {
        const agent = new Simulated(schedules);
        for (const { kind, ms } of steps) {
          if (kind === "jump") agent.jump(ms);
          else if (kind === "restart") agent.restart(ms);
          else {
            const punctual = agent.listPunctual(ms);
            agent.awake(ms);
            expect(agent.fired).toEqual(expect.arrayContaining(punctual));
            expect(agent.missed.filter((key) => punctual.includes(key))).toEqual([]);
          }
        }
        expect(new Set(agent.fired).size).toBe(agent.fired.length);
      }),
      { numRuns: 80 },
    );
  });

  test("a long sleep is caught up with once, a minute after the machine woke", () => {
    const agent = new Simulated([scheduleOf("7 * * * *")]);
    agent.awake(HOUR);
    const before = agent.fired.length;
    agent.jump(3 * DAY + 30 * MINUTE);
    agent.awake(SETTLE_MS - 1);
    expect(agent.fired).toHaveLength(before);
    agent.awake(2 * MINUTE);
    expect(agent.fired).toHaveLength(before + 1);
    expect(agent.missed.at(-1)).toBe(
      fireKey({ scheduleId: NIGHTLY, plannedAt: THREE + 3 * DAY + HOUR + 7 * MINUTE }),
    );
  });
});
