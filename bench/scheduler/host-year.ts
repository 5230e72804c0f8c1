/**
 * One host's span from event to event: its agent, the network and the server's rows. Hosts share nothing but the lives of
 * the servers, so each is simulated for itself. What the server is told is noted on demand, so that the same can be told
 * to the real one.
 */
import type { Fire } from "../../packages/agent/src/scheduler/due.ts";
import { Dice } from "./dice.ts";
import type { HostEvent, PlanHost, ServerLife, Span } from "./fleet-plan.ts";
import { lookMs, ModelAgent } from "./model-agent.ts";
import { type JobEnd, type JobRow, ModelServer, type ScheduleRows } from "./model-server.ts";
import { ServerLives } from "./server-ticks.ts";

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
/** One way through the network. */
const latencyMs = 10;
/** After the welcome: first what the agent did meanwhile, then new commands. */
const outboxMs = 50;
const commandsMs = 60;

/** What the server is told, and what it answered. */
export type Told =
  | { at: number; kind: "connect"; replica: number; hostId: string }
  | { at: number; kind: "disconnect"; replica: number; hostId: string }
  | { at: number; kind: "fire"; replica: number; hostId: string; fire: Fire; answer: "taken" | "refused" }
  | { at: number; kind: "ran"; replica: number; hostId: string; fire: Fire; groupId: string; taken: boolean }
  | { at: number; kind: "end"; replica: number; hostId: string; jobId: string; status: JobEnd };

type Report =
  | { kind: "ran"; schedule: ScheduleRows; groupId: string; plannedAt: number }
  | { kind: "end"; jobId: string; status: JobEnd };

type Happening =
  | { at: number; kind: "look" | "dial" | "commands" | "outbox"; id: number }
  | { at: number; kind: "request"; id: number; fire: Fire }
  | { at: number; kind: "answer"; id: number; fire: Fire; answer: "taken" | "refused" }
  | { at: number; kind: "done"; jobId: string };

export class HostYear {
  readonly server: ModelServer;
  readonly told: Told[] = [];
  /** Runs that the agent began without the server. */
  ownRuns = 0;
  private readonly host: PlanHost;
  private readonly span: Span;
  private readonly lives: ServerLives;
  private readonly dice: Dice;
  private readonly agent: ModelAgent;
  private readonly notes: boolean;
  private readonly rowsOf: Map<string, ScheduleRows>;
  /** The last is the next. */
  private queue: Happening[] = [];
  private now: number;
  private awake = true;
  private running = true;
  private wholeLine = true;
  private skewMs = 0;
  private sleptMs = 0;
  private sleepsSince = 0;
  private lookId = 0;
  /** Counts connections; what was sent on an earlier one is lost. */
  private linkId = 0;
  private life: ServerLife | null = null;
  private outbox: Report[] = [];
  private readonly doneAsleep: string[] = [];

  constructor(host: PlanHost, input: { span: Span; lives: ServerLife[]; seed: number; notes: boolean }) {
    const { span, lives, seed, notes } = input;
    this.host = host;
    this.span = span;
    this.lives = new ServerLives(lives);
    this.notes = notes;
    this.now = span.from;
    this.dice = new Dice(seed, host.index, 0x11fe);
    this.server = new ModelServer(host);
    this.rowsOf = new Map(this.server.schedules.map((rows) => [rows.plan.id, rows]));
    this.agent = new ModelAgent(host, this.moment(), {
      ask: (fire) => this.ask(fire),
      runOwn: (run) => this.runOwn(run),
    });
  }

  run(): void {
    this.lookIn(0);
    this.dialIn(0);
    const { events } = this.host;
    for (let nextEvent = 0; ; ) {
      const event = events[nextEvent];
      const happening = this.queue.at(-1);
      const eventAt = Math.min(
        event?.at ?? Number.POSITIVE_INFINITY,
        this.life?.to ?? Number.POSITIVE_INFINITY,
      );
      const until = Math.min(eventAt, happening?.at ?? Number.POSITIVE_INFINITY, this.span.to);
      if (this.tickBefore(until)) continue;
      if (until >= this.span.to) return;
      this.now = until;
      if (this.life !== null && this.life.to <= until) this.disconnect();
      else if (event !== undefined && event.at <= until) {
        nextEvent++;
        this.meet(event);
      } else if (happening) {
        this.queue.pop();
        this.happen(happening);
      }
    }
  }

  /** A tick of a server that has something to do and comes before anything else does. */
  private tickBefore(until: number): boolean {
    const lookAt = this.server.lookDueAt;
    const drainAt = this.server.drainDueAt;
    if (lookAt >= until && drainAt >= until) return false;
    const tick = this.lives.firstTick({ lookAt, drainAt, now: this.now, until });
    if (tick === null) return false;
    const { replica, from } = tick.life;
    this.now = tick.at;
    this.server.look(tick.at, replica, from);
    if (tick.drains) this.server.drain(tick.at, replica, from);
    this.sendQueued();
    return true;
  }

  private meet(event: HostEvent): void {
    if (event.kind === "cut" || event.kind === "restore") this.wholeLine = event.kind === "restore";
    else if (event.kind === "stop" || event.kind === "start") this.running = event.kind === "start";
    else if (event.kind === "clock") this.agent.beforeJump(this.moment());
    else if (event.kind === "sleep") {
      this.agent.beforeJump(this.moment());
      this.awake = false;
      this.sleepsSince = this.now;
    } else {
      if (!this.host.countsSleep) this.sleptMs += this.now - this.sleepsSince;
      this.awake = true;
      for (const jobId of this.doneAsleep.splice(0))
        this.push({ at: this.now + minuteMs, kind: "done", jobId });
    }
    if (event.kind === "clock") this.skewMs = event.skewMs;
    if (this.life !== null && !this.canConnect) this.disconnect();
    if (event.kind === "start") this.agent.restart(this.moment());
    this.lookId++;
    if (this.awake && this.running) this.lookIn(event.kind === "start" ? 0 : this.dice.between(0, lookMs));
    if (this.canConnect && this.life === null) this.dialIn(this.dice.between(1000, 10_000));
  }

  private get canConnect(): boolean {
    return this.awake && this.running && this.wholeLine;
  }

  private moment() {
    const wallMs = this.now + this.skewMs;
    return { wallMs, monotonicMs: this.now - this.sleptMs };
  }

  private happen(happening: Happening): void {
    switch (happening.kind) {
      case "look":
        if (happening.id === this.lookId) this.lookIn(this.agent.look(this.moment()));
        break;
      case "dial":
        if (happening.id === this.linkId && this.life === null) this.dial();
        break;
      case "request":
        if (happening.id === this.linkId && this.life !== null) this.answer(happening.fire);
        break;
      case "answer":
        if (happening.id === this.linkId && this.life !== null) this.hear(happening.fire, happening.answer);
        break;
      case "outbox":
        if (happening.id === this.linkId && this.life !== null) this.report();
        break;
      case "commands":
        if (happening.id === this.linkId && this.life !== null) this.receiveCommands();
        break;
      default:
        this.done(happening.jobId);
    }
  }

  private dial(): void {
    if (!this.canConnect) return;
    const up = this.lives.upAt(this.now);
    const life = up[this.dice.between(0, up.length - 1)];
    if (!life) {
      // It dials every few seconds, in vain until a server is up.
      this.dialIn(this.lives.nextFrom(this.now) - this.now + this.dice.between(1000, 10_000));
      return;
    }
    this.life = life;
    this.linkId++;
    this.server.connect(life.replica, this.now);
    if (this.notes)
      this.told.push({ at: this.now, kind: "connect", replica: life.replica, hostId: this.host.id });
    if (this.agent.connected()) this.lookIn(0);
    this.push({ at: this.now + outboxMs, kind: "outbox", id: this.linkId });
    this.push({ at: this.now + commandsMs, kind: "commands", id: this.linkId });
  }

  private disconnect(): void {
    if (this.life === null) return;
    this.server.disconnect(this.now);
    if (this.notes)
      this.told.push({ at: this.now, kind: "disconnect", replica: this.life.replica, hostId: this.host.id });
    this.life = null;
    this.linkId++;
    if (this.canConnect) this.dialIn(this.dice.between(1000, 10_000));
  }

  private ask(fire: Fire): boolean {
    if (this.life === null) return false;
    const { scheduleId, plannedAt } = fire;
    this.push({
      at: this.now + latencyMs,
      kind: "request",
      id: this.linkId,
      fire: { scheduleId, plannedAt },
    });
    return true;
  }

  private answer(fire: Fire): void {
    const answer = this.server.answerFire(this.rows(fire), fire.plannedAt, this.now);
    const replica = this.life?.replica ?? 0;
    if (this.notes)
      this.told.push({ at: this.now, kind: "fire", replica, hostId: this.host.id, fire, answer });
    this.push({ at: this.now + latencyMs, kind: "answer", id: this.linkId, fire, answer });
    this.sendQueued();
  }

  private hear(fire: Fire, answer: "taken" | "refused"): void {
    const waitMs = this.agent.answered(fire, answer, this.now + this.skewMs);
    if (waitMs !== null) this.lookIn(waitMs);
  }

  private runOwn({ id, groupId, scheduleId, plannedAt }: Fire & { id: string; groupId: string }): void {
    this.ownRuns++;
    this.outbox.push({ kind: "ran", schedule: this.rows({ scheduleId, plannedAt }), groupId, plannedAt });
    this.hold({ id, groupId, scheduleId, plannedAt, tries: 0 });
    if (this.life !== null) this.push({ at: this.now + latencyMs, kind: "outbox", id: this.linkId });
  }

  private report(): void {
    for (const report of this.outbox.splice(0)) {
      if (report.kind === "end") this.reportEnd(report.jobId, report.status);
      else {
        const { schedule, groupId, plannedAt } = report;
        const taken = this.server.ran(schedule, groupId, plannedAt, this.now);
        const told = { at: this.now, replica: this.life?.replica ?? 0, hostId: this.host.id };
        if (this.notes)
          this.told.push({
            ...told,
            kind: "ran",
            fire: { scheduleId: schedule.plan.id, plannedAt },
            groupId,
            taken,
          });
      }
    }
  }

  private reportEnd(jobId: string, status: JobEnd): void {
    const job = this.server.jobs.get(jobId);
    // A run that the server refused has no row; an end that was told is told again after a second command.
    if (!job || job.status === "succeeded" || job.status === "failed") return;
    this.server.end(job, status, this.now);
    if (this.notes)
      this.told.push({
        at: this.now,
        kind: "end",
        replica: this.life?.replica ?? 0,
        hostId: this.host.id,
        jobId,
        status,
      });
  }

  private sendQueued(): void {
    if (this.life !== null && this.server.queued.length > 0)
      this.push({ at: this.now + latencyMs, kind: "commands", id: this.linkId });
  }

  private receiveCommands(): void {
    for (const job of [...this.server.queued]) this.receive(job);
  }

  private receive({ id, groupId, schedule, plannedAt, tries }: JobRow): void {
    const job = this.server.jobs.get(id);
    if (this.agent.knows.has(id)) {
      if (!this.agent.unfinished.some((held) => held.id === id)) this.reportEnd(id, "succeeded");
    } else this.hold({ id, groupId, scheduleId: schedule.plan.id, plannedAt, tries });
    if (job?.status === "queued") this.server.begin(job);
  }

  private hold(run: Fire & { id: string; groupId: string; tries: number }): void {
    const long = this.dice.chance(0.004);
    const lastsMs = long
      ? this.dice.between(6 * hourMs, 40 * hourMs)
      : this.dice.between(20_000, 20 * minuteMs);
    const { id, groupId, scheduleId, plannedAt, tries } = run;
    this.agent.knows.add(id);
    this.agent.unfinished.push({ id, groupId, scheduleId, plannedAt, tries, endsAt: this.now + lastsMs });
    this.push({ at: this.now + lastsMs, kind: "done", jobId: id });
  }

  private done(jobId: string): void {
    if (!this.awake) {
      this.doneAsleep.push(jobId);
      return;
    }
    this.agent.unfinished = this.agent.unfinished.filter(({ id }) => id !== jobId);
    this.outbox.push({ kind: "end", jobId, status: this.dice.chance(0.02) ? "failed" : "succeeded" });
    if (this.life !== null) this.report();
  }

  private rows({ scheduleId }: Fire): ScheduleRows {
    const rows = this.rowsOf.get(scheduleId);
    if (!rows) throw new Error(`there is no schedule ${scheduleId}`);
    return rows;
  }

  private lookIn(ms: number): void {
    if (ms === Number.POSITIVE_INFINITY) return;
    this.lookId++;
    this.push({ at: this.now + ms, kind: "look", id: this.lookId });
  }

  private dialIn(ms: number): void {
    this.push({ at: this.now + ms, kind: "dial", id: this.linkId });
  }

  /** Few wait at a time, so a sorted list does. */
  private push(happening: Happening): void {
    const { queue } = this;
    let at = queue.length;
    while (at > 0 && (queue[at - 1]?.at ?? 0) <= happening.at) at--;
    queue.splice(at, 0, happening);
  }
}
