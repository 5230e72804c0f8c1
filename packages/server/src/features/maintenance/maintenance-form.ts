/** The form of a repository's maintenance as text, as it was posted or as it is stored; a box is `on` or empty. */
import type { FieldProblem } from "../../platform/errors.ts";
import { type Maintenance, type Operation, operations } from "./cadences.ts";
import type { MaintenanceDraft } from "./edit-maintenance.ts";

export const maintenanceFields = [
  "forget_on",
  "forget_cron",
  "prune_on",
  "prune_cron",
  "check_on",
  "check_cron",
  "check_depth",
  "check_percent",
  "check_slices",
  "verify_on",
  "verify_cron",
  "verify_files",
  "verify_mib",
  "time_zone",
  "max_removed_percent",
  "owner_host_id",
] as const;
export type MaintenanceField = (typeof maintenanceFields)[number];
export type MaintenanceValues = Record<MaintenanceField, string>;

/** What a switched-off cadence is offered with. */
const offeredCrons: Readonly<Record<Operation, string>> = {
  forget: "0 3 * * *",
  prune: "0 4 * * 0",
  check: "0 5 1 * *",
  verify: "0 6 * * 6",
};

const mib = 1024 * 1024;

const textOf = (amount: number | null): string => (amount === null ? "" : String(amount));

function depthOf({ checkPercent, checkSlices }: Maintenance): string {
  if (checkSlices !== null) return "slices";
  return checkPercent === null ? "structure" : "percent";
}

/** The maintenance as its form has it. */
export const maintenanceValues = (maintenance: Maintenance): MaintenanceValues => ({
  forget_on: maintenance.forgetCron === null ? "" : "on",
  forget_cron: maintenance.forgetCron ?? offeredCrons.forget,
  prune_on: maintenance.pruneCron === null ? "" : "on",
  prune_cron: maintenance.pruneCron ?? offeredCrons.prune,
  check_on: maintenance.checkCron === null ? "" : "on",
  check_cron: maintenance.checkCron ?? offeredCrons.check,
  check_depth: depthOf(maintenance),
  check_percent: textOf(maintenance.checkPercent),
  check_slices: textOf(maintenance.checkSlices),
  verify_on: maintenance.verifyCron === null ? "" : "on",
  verify_cron: maintenance.verifyCron ?? offeredCrons.verify,
  verify_files: textOf(maintenance.verifyFiles),
  verify_mib: textOf(maintenance.verifyBytes / mib),
  time_zone: maintenance.timeZone,
  max_removed_percent: textOf(maintenance.maxRemovedPercent),
  owner_host_id: maintenance.ownerHostId ?? "",
});

/** A number as typed, a comma read as a point; NaN for what is none: the rules refuse that. */
const amountOf = (text: string): number => {
  const digits = text.trim().replace(",", ".").replace(/\s*%$/, "");
  return /^\d+(\.\d+)?$/.test(digits) ? Number(digits) : Number.NaN;
};

/** A cadence that is on and says no time: for a draft it would be off, which nobody asked for. */
export const emptyCadences = (values: MaintenanceValues): FieldProblem[] =>
  operations
    .filter((operation) => values[`${operation}_on`] === "on" && values[`${operation}_cron`].trim() === "")
    .map((operation) => ({ path: `${operation}_cron`, message: "Write when it runs, or switch it off." }));

/** What was typed as a draft; what it can't be is left to the rules. */
export function readMaintenanceForm(values: MaintenanceValues): MaintenanceDraft {
  const cron = (isOn: string, text: string) => (isOn === "on" ? text : null);
  return {
    ownerHostId: values.owner_host_id || null,
    timeZone: values.time_zone.trim(),
    forgetCron: cron(values.forget_on, values.forget_cron),
    pruneCron: cron(values.prune_on, values.prune_cron),
    checkCron: cron(values.check_on, values.check_cron),
    checkPercent: values.check_depth === "percent" ? amountOf(values.check_percent) : null,
    checkSlices: values.check_depth === "slices" ? amountOf(values.check_slices) : null,
    verifyCron: cron(values.verify_on, values.verify_cron),
    verifyFiles: amountOf(values.verify_files),
    verifyBytes: Math.round(amountOf(values.verify_mib) * mib),
    maxRemovedPercent: amountOf(values.max_removed_percent),
  };
}

const onOff = (cron: string | null): string => (cron === null ? "off now" : `now ${cron}`);

/** How a field is now that somebody else changed; null where another sentence says it. */
export function changeSentence(
  field: string,
  now: Maintenance,
  hosts: readonly { id: string; name: string }[],
): string | null {
  switch (field) {
    case "forget_on":
    case "forget_cron":
      return `Forget is ${onOff(now.forgetCron)}.`;
    case "prune_on":
    case "prune_cron":
      return `Prune is ${onOff(now.pruneCron)}.`;
    case "check_on":
    case "check_cron":
      return `Check is ${onOff(now.checkCron)}.`;
    case "check_depth":
    case "check_percent":
    case "check_slices":
      if (now.checkSlices !== null) return `A check now reads one of ${now.checkSlices} parts in turn.`;
      return now.checkPercent === null
        ? "A check now reads the structure only."
        : `A check now reads ${now.checkPercent} % of the data.`;
    case "verify_on":
    case "verify_cron":
      return `The restore drill is ${onOff(now.verifyCron)}.`;
    case "verify_files":
    case "verify_mib":
      return `A drill now restores up to ${now.verifyFiles} files of ${now.verifyBytes / mib} MiB together.`;
    case "time_zone":
      return `The time zone is now ${now.timeZone}.`;
    case "max_removed_percent":
      return `Forget now asks above ${now.maxRemovedPercent} %.`;
    case "owner_host_id": {
      const owner = hosts.find(({ id }) => id === now.ownerHostId);
      return owner ? `${owner.name} now prunes and checks.` : "The first host now prunes and checks.";
    }
    default:
      return null;
  }
}
