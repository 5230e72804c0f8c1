/** What an agent's batch is made of before it is stored. Pure. */
import type { DurableEvent, LogStream } from "@restic-manager/protocol";

/** Of JSON, about: so much is deflated at once, and a reader has no more to open than it wanted. */
const maxJoinedChars = 16 * 1024;
/** What stands around the text of a line. */
const lineOverheadChars = 100;

/**
 * Log events of one job whose lines follow each other, as one event with the number of the last: a fleet that comes back
 * brings many small ones, and each would cost its own rows. What does not fit together stays as it came, to be refused or
 * stored by itself.
 * @param events in the order of their numbers
 */
export function joinLogs(events: readonly DurableEvent[]): DurableEvent[] {
  const joined: DurableEvent[] = [];
  let chars = 0;
  for (const event of events) {
    const before = joined.at(-1);
    const added = event.type === "log.stream" ? charsOf(event) : 0;
    chars += added;
    if (
      chars <= maxJoinedChars &&
      before?.type === "log.stream" &&
      event.type === "log.stream" &&
      follows(before, event)
    )
      joined.splice(-1, 1, { ...event, lines: [...before.lines, ...event.lines] });
    else {
      joined.push(event);
      chars = added;
    }
  }
  return joined;
}

const follows = (before: LogStream, event: LogStream): boolean =>
  before.job_id === event.job_id &&
  before.attempt === event.attempt &&
  before.lines.at(-1)?.n === (event.lines[0]?.n ?? 0) - 1;

const charsOf = ({ lines }: LogStream): number =>
  lines.reduce((sum, { text }) => sum + text.length + lineOverheadChars, 0);
