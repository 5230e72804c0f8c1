/**
 * What goes over PostgreSQL's NOTIFY between replicas: frames of events, each with its sender and its number, as JSON.
 * Pure functions; whatever arrives, reading it never throws.
 */
import { z } from "zod";

/** PostgreSQL takes less than 8,000 bytes. */
export const maxFrameBytes = 7_500;

const frame = z.object({
  from: z.string().min(1).max(64),
  n: z.int().positive(),
  events: z.array(z.tuple([z.string(), z.unknown()])),
});

export type Frame = z.output<typeof frame>;

/** @returns null for what is no frame */
export function parseFrame(text: string): Frame | null {
  try {
    return frame.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}

/** @param events each as its own JSON text, by `takeEvents` no more than fit */
export const writeFrame = (from: string, n: number, events: readonly string[]): string =>
  `{"from":${JSON.stringify(from)},"n":${n},"events":[${events.join(",")}]}`;

/** Removes from `waiting` what fits into the next frame. @returns the events' texts, in their order */
export function takeEvents(waiting: Set<string>): string[] {
  const taken: string[] = [];
  let left = maxFrameBytes - frameOverheadBytes;
  for (const text of waiting) {
    left -= Buffer.byteLength(text) + 1;
    if (left < 0) break;
    waiting.delete(text);
    taken.push(text);
  }
  return taken;
}

/** What a frame has around its events: names, a sender of 64 characters, a number. */
const frameOverheadBytes = 128;

/** Whether one event fits into a frame at all. */
export const fitsFrame = (text: string): boolean =>
  Buffer.byteLength(text) < maxFrameBytes - frameOverheadBytes;
