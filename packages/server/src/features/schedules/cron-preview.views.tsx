/**
 * When a cron expression runs next: its words and five times, as the form shows them while somebody types. What the
 * expression means is decided by the protocol's readCron alone, the same code by which agents run.
 */
import { readCron } from "@restic-manager/protocol";
import type { JSX } from "preact";
import { cronWords } from "../../platform/html/cron-words.ts";
import { formatUtc } from "../../platform/html/format.ts";
import { Icon } from "../../platform/html/icons.tsx";
import { renderFragment } from "../../platform/html/page.tsx";
import type { PageContext } from "../../platform/html/scope.ts";
import { Time } from "../../platform/html/values.tsx";
import { formatZoned } from "../../platform/html/zoned.ts";

/** So many are shown: enough to see the rhythm over a weekend. */
const shownTimes = 5;

export type CronPreview =
  | { problem: string }
  | { problem: null; words: string; timeZone: string; times: readonly number[] };

/** What there is to say about an expression at a moment. */
export function previewCron(cron: string, timeZone: string, nowMs: number): CronPreview {
  const read = readCron(cron, timeZone);
  if ("problem" in read) return { problem: read.problem.message };
  const times = read.times.nextSome(nowMs, shownTimes);
  return { problem: null, words: cronWords(cron.trim()), timeZone, times };
}

/** The fragment /fragments/cron?cron=&time_zone=. */
export function renderCronPreview(page: PageContext, preview: CronPreview): string {
  return renderFragment(page, <CronTimes preview={preview} />);
}

/** Words and times, or what is wrong with the expression. */
export function CronTimes({ preview }: { preview: CronPreview }): JSX.Element {
  if (preview.problem !== null) {
    return (
      <p class="cron-problem with-icon">
        <Icon name="alert" />
        <span>{preview.problem}</span>
      </p>
    );
  }
  return (
    <>
      <p class="strong">{preview.words}</p>
      <p class="hint">The next {preview.times.length} runs:</p>
      <ol class="cron-times">
        {preview.times.map((at) => (
          <li key={at}>
            <span title={formatUtc(at)}>{formatZoned(at, preview.timeZone)}</span>
            <Time at={at} class="faint" />
          </li>
        ))}
      </ol>
    </>
  );
}
