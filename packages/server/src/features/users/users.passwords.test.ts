import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createAttemptLimit } from "./users.attempts.ts";
import { createPasswordHasher, recommendedCost } from "./users.passwords.ts";

const cheap = { memoryKib: 64, passes: 1, parallelism: 1 };

describe("a password's hash", () => {
  it("is a PHC string with OWASP's cost, and opens with the password only", async () => {
    const hasher = createPasswordHasher();
    const stored = await hasher.hash("correct horse battery");
    expect(stored).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/);
    expect(await hasher.verify("correct horse battery", stored)).toBe(true);
    expect(await hasher.verify("correct horse batterz", stored)).toBe(false);
    expect(hasher.isOutdated(stored)).toBe(false);
  });

  it("of an earlier cost still opens and is called outdated", async () => {
    const earlier = createPasswordHasher(cheap);
    const present = createPasswordHasher({ ...cheap, passes: 2 });
    const stored = await earlier.hash("correct horse battery");
    expect(await present.verify("correct horse battery", stored)).toBe(true);
    expect(present.isOutdated(stored)).toBe(true);
  });

  it("differs each time", async () => {
    const hasher = createPasswordHasher(cheap);
    expect(await hasher.hash("same")).not.toBe(await hasher.hash("same"));
  });

  it("is never opened by any text that is no hash", async () => {
    const hasher = createPasswordHasher(cheap);
    await fc.assert(
      fc.asyncProperty(fc.string(), async (stored) => {
        expect(await hasher.verify("x", stored)).toBe(false);
        expect(hasher.isOutdated(stored)).toBe(true);
      }),
    );
  });

  it("has a decoy of the same cost that nothing opens", async () => {
    const hasher = createPasswordHasher(cheap);
    expect(hasher.isOutdated(hasher.decoy)).toBe(false);
    expect(await hasher.verify("", hasher.decoy)).toBe(false);
    expect(createPasswordHasher().decoy).toContain(`m=${recommendedCost.memoryKib},`);
  });

  it("is refused, not queued for ever, when too many ask at once", async () => {
    const hasher = createPasswordHasher(cheap);
    const all = await Promise.allSettled(Array.from({ length: 70 }, () => hasher.hash("x")));
    const refused = all.filter((result) => result.status === "rejected");
    expect(refused).toHaveLength(4);
    expect(refused[0]).toMatchObject({ reason: { code: "auth.busy", kind: "unavailable" } });
    await expect(hasher.hash("x")).resolves.toBeDefined();
  });
});

describe("the limit of tries", () => {
  const tenTimes = (work: () => void) => {
    for (let i = 0; i < 10; i++) work();
  };

  it("refuses the eleventh, says how long, and forgets after the window", () => {
    const limit = createAttemptLimit();
    tenTimes(() => limit.begin("a", 0));
    expect(() => limit.begin("a", 60_000)).toThrow("Try again in 14 minutes.");
    expect(() => limit.begin("a", 15 * 60_000 - 1)).toThrow("Try again in 1 minute.");
    expect(() => limit.begin("a", 15 * 60_000)).not.toThrow();
  });

  it("counts each key alone and forgives a success", () => {
    const limit = createAttemptLimit();
    tenTimes(() => limit.begin("a", 0));
    expect(() => limit.begin("b", 0)).not.toThrow();
    limit.forgive("a");
    expect(() => limit.begin("a", 0)).not.toThrow();
  });

  it("lets the oldest key go when there are ten thousand", () => {
    const limit = createAttemptLimit();
    tenTimes(() => limit.begin("oldest", 0));
    tenTimes(() => limit.begin("younger", 1));
    for (let i = 0; i < 9_999; i++) limit.begin(`key ${i}`, 2);
    expect(() => limit.begin("younger", 3)).toThrow("Too many");
    expect(() => limit.begin("oldest", 3)).not.toThrow();
  });
});
