/** Cron expressions as a person reads them. The times that they mean are the protocol's business, not this file's. */
import cronstrue from "cronstrue";

/** E.g. `At 03:00, Monday through Friday`; empty for what is no cron expression. */
export function cronWords(expression: string): string {
  try {
    return cronstrue.toString(expression, { use24HourTimeFormat: true, verbose: false });
  } catch {
    return "";
  }
}
