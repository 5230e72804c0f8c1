/**
 * Every migration in order. Forward only: a released file is never changed, a mistake is mended by a new one.
 * Listed by hand, not read from a folder, so that the program also works as one bundled file.
 */
import type { Migration } from "kysely";
import type { Engine } from "../src/platform/db/db.ts";
import * as users from "./0001-users-and-audit.ts";
import * as hosts from "./0002-hosts-and-repositories.ts";
import * as jobs from "./0003-jobs-and-snapshots.ts";
import * as limits from "./0004-limits.ts";
import * as schedules from "./0005-schedules.ts";
import * as maintenance from "./0006-maintenance.ts";
import * as rotation from "./0007-rotation.ts";
import * as backends from "./0008-backends.ts";
import * as drills from "./0009-drills.ts";
import * as pendingHosts from "./0010-pending-hosts.ts";
import * as updates from "./0011-updates.ts";
import * as apiTokens from "./0012-api-tokens.ts";
import * as installers from "./0013-installers.ts";
import * as replicas from "./0014-replicas.ts";
import * as fleetReads from "./0015-fleet-reads.ts";
import * as jobLists from "./0016-job-lists.ts";
import * as historyByRepository from "./0017-history-by-repository.ts";

export const migrations = (engine: Engine): Record<string, Migration> => ({
  "0001-users-and-audit": users,
  "0002-hosts-and-repositories": hosts,
  "0003-jobs-and-snapshots": { up: (db) => jobs.up(db, engine) },
  "0004-limits": limits,
  "0005-schedules": schedules,
  "0006-maintenance": maintenance,
  "0007-rotation": rotation,
  "0008-backends": backends,
  "0009-drills": drills,
  "0010-pending-hosts": pendingHosts,
  "0011-updates": updates,
  "0012-api-tokens": apiTokens,
  "0013-installers": installers,
  "0014-replicas": replicas,
  "0015-fleet-reads": fleetReads,
  "0016-job-lists": jobLists,
  "0017-history-by-repository": { up: (db) => historyByRepository.up(db, engine) },
});
