/** One line of the outbox file: an event and how far its job has been told with it. */
import { type DurableEvent, durableEvent } from "@restic-manager/protocol";
import { z } from "zod";
import type { OutboxFile } from "./outbox-file.ts";
import { jobPosition } from "./outbox-state.ts";

const outboxRecord = z.object({ event: durableEvent, position: jobPosition.optional() });
export type OutboxRecord = z.infer<typeof outboxRecord>;

type WithoutSeq<E> = E extends DurableEvent ? Omit<E, "seq"> : never;
/** An event that has no number yet. */
export type EventDraft = WithoutSeq<DurableEvent>;

export type ReadRecord = {
  record: OutboxRecord | undefined;
  text: string;
  startOffset: number;
  endOffset: number;
};

/** The record at `offset`; its `record` is undefined when the line is damaged. Undefined at the end of the file. */
export async function readRecord(file: OutboxFile, offset: number): Promise<ReadRecord | undefined> {
  const line = await file.readLine(offset);
  return line === undefined ? undefined : { ...line, record: parseRecord(line.text) };
}

/** Every line from `offset` on. The file may grow meanwhile. */
export async function* readRecords(file: OutboxFile, offset: number): AsyncGenerator<ReadRecord> {
  for (let at = offset; ; ) {
    const line = await readRecord(file, at);
    if (line === undefined) return;
    at = line.endOffset;
    yield line;
  }
}

function parseRecord(text: string): OutboxRecord | undefined {
  try {
    return outboxRecord.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
