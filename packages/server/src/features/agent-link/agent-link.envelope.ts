/**
 * What replicas say to each other, sealed with the key file that they share: who does not have it can neither ask nor
 * read an answer. A request is for one replica, for half a minute, and for once; an answer belongs to its request.
 */
import { z } from "zod";
import type { Clock } from "../../platform/clock.ts";
import { AppError } from "../../platform/errors.ts";
import { newId } from "../../platform/random.ts";
import type { SecretBox } from "../../platform/secrets.ts";

/** So far the clocks of two replicas may be apart. */
const lifetimeMs = 30_000;
/** Far more than people ask within a minute; beyond it somebody who has the key floods us. */
const maxRemembered = 100_000;

/** A body as it goes over HTTP. */
export const sealed = z.object({ sealed: z.string().min(1) });
export type Sealed = z.infer<typeof sealed>;

const request = z.object({ id: z.string().min(1).max(64), expires_at: z.number().int(), asked: z.unknown() });

/** Seals a request. @returns its id, which opens the answer, and the body */
export function sealRequest(
  deps: { box: SecretBox; clock: Clock },
  replicaId: string,
  asked: unknown,
): { id: string; body: Sealed } {
  const now = deps.clock.now();
  const id = newId(now);
  const text = JSON.stringify({ id, expires_at: now + lifetimeMs, asked });
  return { id, body: { sealed: deps.box.seal(text, { row: replicaId, slot: "replica.request" }) } };
}

/** Opens what is for this replica, each request once. */
export class RequestOpener {
  private readonly deps: { box: SecretBox; clock: Clock; replicaId: string };
  /** The requests that were opened, until they would be refused for their age. */
  private readonly seen = new Map<string, number>();

  constructor(deps: { box: SecretBox; clock: Clock; replicaId: string }) {
    this.deps = deps;
  }

  /** @throws AppError `replicas.request_refused` for whatever another replica did not just seal for this one */
  open(body: Sealed): { id: string; asked: unknown } {
    const { id, expires_at, asked } = this.read(body);
    const now = this.deps.clock.now();
    for (const [old, until] of this.seen) if (until < now) this.seen.delete(old);
    const isFresh = expires_at >= now && expires_at <= now + 2 * lifetimeMs;
    if (!isFresh || this.seen.has(id) || this.seen.size >= maxRemembered) throw refused();
    this.seen.set(id, expires_at);
    return { id, asked };
  }

  private read(body: Sealed): z.infer<typeof request> {
    const { box, replicaId } = this.deps;
    try {
      return request.parse(JSON.parse(box.open(body.sealed, { row: replicaId, slot: "replica.request" })));
    } catch {
      throw refused();
    }
  }
}

export const sealAnswer = (box: SecretBox, requestId: string, answer: unknown): Sealed => ({
  sealed: box.seal(JSON.stringify(answer), { row: requestId, slot: "replica.answer" }),
});

/** @throws whatever is wrong with it */
export function openAnswer(box: SecretBox, requestId: string, body: unknown): unknown {
  const text = box.open(sealed.parse(body).sealed, { row: requestId, slot: "replica.answer" });
  return JSON.parse(text);
}

const refused = (): AppError =>
  new AppError(
    "unauthenticated",
    "replicas.request_refused",
    "Only a server on the same database may ask this, with the same key file and a clock that is right within half a minute.",
  );
