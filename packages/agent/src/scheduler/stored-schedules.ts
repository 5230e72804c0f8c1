/**
 * The host's schedules as the server told them last, sealed on the disk because hooks carry passwords. Invariants: a set
 * counts as a whole or not at all; within a connection an older version changes nothing; what belongs to another
 * enrolment does not count; a set is on the disk before it is in force.
 */
import {
  readCron,
  type ScheduledGroup,
  type ScheduleEntry,
  type ScheduleSet,
  scheduledGroup,
  scheduleEntry,
} from "@restic-manager/protocol";
import { z } from "zod";
import type { ScheduleAck } from "../link/session.ts";
import type { Log } from "../platform/log.ts";
import type { Secrets } from "../platform/secrets.ts";
import type { PlannedSchedule } from "./due.ts";

const SLOT = "schedules";
const wholeSet = z.object({
  version: z.int(),
  groups: z.array(scheduledGroup),
  schedules: z.array(scheduleEntry),
});
type WholeSet = z.infer<typeof wholeSet>;
const storedSet = z.object({ host_id: z.string(), set: wholeSet });

export class StoredSchedules {
  readonly #secrets: Secrets;
  readonly #hostId: string;
  readonly #log: Log;
  #current: WholeSet | undefined;
  #planned: PlannedSchedule[];
  #parts: ScheduleSet[] = [];

  /** A stored set that can't be read is none: the server tells it again. */
  constructor(secrets: Secrets, hostId: string, log: Log) {
    this.#secrets = secrets;
    this.#hostId = hostId;
    this.#log = log;
    this.#current = readStored(secrets.find(SLOT), hostId, log);
    this.#planned = planAll(this.#current, log);
  }

  /** 0 before there was any. */
  get version(): number {
    return this.#current?.version ?? 0;
  }

  /** Every schedule in force whose times this agent can compute. */
  listPlanned(): readonly PlannedSchedule[] {
    return this.#planned;
  }

  /** The groups of a schedule in force, in its order; undefined when there is no such schedule. */
  findGroups(scheduleId: string): ScheduledGroup[] | undefined {
    const entry = this.#current?.schedules.find((schedule) => schedule.schedule_id === scheduleId);
    const groups = new Map(this.#current?.groups.map((group) => [group.source_group_id, group]));
    return entry?.source_group_ids.flatMap((id) => groups.get(id) ?? []);
  }

  /**
   * Takes one part. The acknowledgement when with it a set is whole: of the version that is then in force.
   * `opens`: no set of this connection was whole yet, so this one counts whatever its number.
   */
  async take(part: ScheduleSet, opens: boolean): Promise<ScheduleAck | undefined> {
    const set = this.#collect(part);
    if (set === undefined) return undefined;
    if (this.#current === undefined || (opens ? differs(set, this.#current) : set.version > this.version)) {
      await this.#secrets.put(SLOT, JSON.stringify({ host_id: this.#hostId, set }));
      this.#current = set;
      this.#planned = planAll(set, this.#log);
      this.#log.info({ version: set.version, schedules: set.schedules.length }, "schedules received");
    }
    return { type: "schedule.ack", version: this.version };
  }

  /** A first part begins anew; one that does not continue what is here is dropped. */
  #collect(part: ScheduleSet): WholeSet | undefined {
    const last = this.#parts.at(-1);
    const follows =
      last?.version === part.version && last.parts === part.parts && last.part + 1 === part.part;
    if (part.part === 1) this.#parts = [part];
    else if (follows) this.#parts.push(part);
    else {
      this.#log.warn(
        { version: part.version, part: part.part },
        "a part of a set of schedules is out of order",
      );
      return undefined;
    }
    if (part.part < part.parts) return undefined;
    const parts = this.#parts;
    this.#parts = [];
    return {
      version: part.version,
      groups: parts.flatMap(({ groups }) => groups),
      schedules: parts.flatMap(({ schedules }) => schedules),
    };
  }
}

/** Both went through the same schema, so their fields stand in the same order. */
function differs(a: WholeSet, b: WholeSet): boolean {
  return JSON.stringify(a) !== JSON.stringify(b);
}

function readStored(text: string | undefined, hostId: string, log: Log): WholeSet | undefined {
  if (text === undefined) return undefined;
  const parsed = storedSet.safeParse(JSON.parse(text));
  if (!parsed.success) {
    log.error("the stored schedules can't be read; this host has none until the server tells them again");
    return undefined;
  }
  return parsed.data.host_id === hostId ? parsed.data.set : undefined;
}

function planAll(set: WholeSet | undefined, log: Log): PlannedSchedule[] {
  return (set?.schedules ?? []).flatMap((entry) => plan(entry, log) ?? []);
}

function plan(entry: ScheduleEntry, log: Log): PlannedSchedule | undefined {
  const read = readCron(entry.cron, entry.time_zone);
  if ("problem" in read) {
    const { code } = read.problem;
    log.error(
      { schedule_id: entry.schedule_id, code },
      `a schedule can't be kept here: ${read.problem.message}`,
    );
    return undefined;
  }
  return {
    scheduleId: entry.schedule_id,
    times: read.times,
    jitterSeconds: entry.jitter_seconds,
    firstPlannedAt: Date.parse(entry.first_planned_at),
  };
}
