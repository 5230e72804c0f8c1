/** SQL of `schedule_fires`: what became of each planned time. Its primary key is what makes a run happen once. */
import type { Db } from "../../platform/db/db.ts";

/** `run`: its jobs exist. `skipped`: the run before had not ended. `expired`: its host did not come back in time. */
export type FireOutcome = "run" | "skipped" | "expired";

export interface Fire {
  scheduleId: string;
  plannedAt: number;
  hostId: string;
  firedAt: number;
  outcome: FireOutcome;
  /** It stands for the missed planned times from here on; its own when there was none. */
  coversFrom: number;
}

type Tables = {
  schedule_fires: {
    schedule_id: string;
    planned_at: number;
    host_id: string;
    fired_at: number;
    outcome: string;
    covers_from: number;
  };
};

/** Claims a planned time. @returns false when it has its outcome already */
export async function insertFire(tx: Db, fire: Fire): Promise<boolean> {
  const result = await tx
    .withTables<Tables>()
    .insertInto("schedule_fires")
    .values({
      schedule_id: fire.scheduleId,
      planned_at: fire.plannedAt,
      host_id: fire.hostId,
      fired_at: fire.firedAt,
      outcome: fire.outcome,
      covers_from: fire.coversFrom,
    })
    .onConflict((c) => c.columns(["schedule_id", "planned_at"]).doNothing())
    .executeTakeFirst();
  return (result.numInsertedOrUpdatedRows ?? 0n) > 0n;
}

export async function setFireOutcome(
  tx: Db,
  key: { scheduleId: string; plannedAt: number },
  outcome: FireOutcome,
): Promise<void> {
  await tx
    .withTables<Tables>()
    .updateTable("schedule_fires")
    .set({ outcome })
    .where("schedule_id", "=", key.scheduleId)
    .where("planned_at", "=", key.plannedAt)
    .execute();
}

/** From which planned time on an outcome stands for those that were missed. */
export async function setCovers(
  tx: Db,
  input: { scheduleId: string; plannedAt: number; coversFrom: number },
): Promise<void> {
  await tx
    .withTables<Tables>()
    .updateTable("schedule_fires")
    .set({ covers_from: input.coversFrom })
    .where("schedule_id", "=", input.scheduleId)
    .where("planned_at", "=", input.plannedAt)
    .execute();
}

const ofSchedule = (db: Db, scheduleId: string) =>
  db.withTables<Tables>().selectFrom("schedule_fires").selectAll().where("schedule_id", "=", scheduleId);

const toFire = (row: Tables["schedule_fires"]): Fire => ({
  scheduleId: row.schedule_id,
  plannedAt: row.planned_at,
  hostId: row.host_id,
  firedAt: row.fired_at,
  outcome: row.outcome as FireOutcome,
  coversFrom: row.covers_from,
});

type Key = { scheduleId: string; plannedAt: number };

/** The later outcome that stands for a planned time, too. */
export async function findFireOver(db: Db, { scheduleId, plannedAt }: Key): Promise<Fire | null> {
  const row = await ofSchedule(db, scheduleId)
    .where("planned_at", ">", plannedAt)
    .where("covers_from", "<=", plannedAt)
    .orderBy("planned_at")
    .limit(1)
    .executeTakeFirst();
  return row ? toFire(row) : null;
}

/** The newest outcome of an earlier planned time. */
export async function findFireBefore(db: Db, { scheduleId, plannedAt }: Key): Promise<Fire | null> {
  const row = await ofSchedule(db, scheduleId)
    .where("planned_at", "<", plannedAt)
    .orderBy("planned_at", "desc")
    .limit(1)
    .executeTakeFirst();
  return row ? toFire(row) : null;
}

/** The newest planned time first. */
export async function listFires(db: Db, scheduleId: string, limit: number): Promise<Fire[]> {
  return (await ofSchedule(db, scheduleId).orderBy("planned_at", "desc").limit(limit).execute()).map(toFire);
}

/** Outcomes that nobody will ask for again; the jobs stay. @returns how many went */
export async function purgeFires(db: Db, before: number, limit: number): Promise<number> {
  const result = await db
    .withTables<Tables>()
    .deleteFrom("schedule_fires")
    .where("fired_at", "<", before)
    .where((e) =>
      e(
        e.refTuple("schedule_id", "planned_at"),
        "in",
        e
          .selectFrom("schedule_fires")
          .select(["schedule_id", "planned_at"])
          .where("fired_at", "<", before)
          .limit(limit)
          .$asTuple("schedule_id", "planned_at"),
      ),
    )
    .executeTakeFirst();
  return Number(result.numDeletedRows);
}
