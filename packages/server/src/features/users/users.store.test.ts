/** Accounts and sessions on both engines, with the real rules and a cheap hash. */
import { engines, FakeClock, openTestDatabase, type TestDatabase } from "@restic-manager/testkit";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { listAudit } from "../audit/audit.ts";
import { createAttemptLimit } from "./users.attempts.ts";
import { createPasswordHasher, type PasswordHasher } from "./users.passwords.ts";
import {
  bootstrap,
  changePassword,
  ensureSetupToken,
  identify,
  login,
  logout,
  needsSetup,
  type SignedIn,
  sessionLifetimeMs,
  type UserDeps,
} from "./users.ts";

const password = "correct horse battery";
const address = "192.0.2.7";
const cheap = { memoryKib: 64, passes: 1, parallelism: 1 };

/** Counts what costs time: two answers with the same number of hashes take as long. */
function countingHasher(): PasswordHasher & { hashes: number } {
  const real = createPasswordHasher(cheap);
  const counted = {
    ...real,
    hashes: 0,
    hash(text: string) {
      counted.hashes++;
      return real.hash(text);
    },
    verify(text: string, stored: string) {
      counted.hashes++;
      return real.verify(text, stored);
    },
  };
  return counted;
}

describe.each(engines)("users on %s", (engine) => {
  let database: TestDatabase;
  let clock: FakeClock;
  let passwords: ReturnType<typeof countingHasher>;
  let deps: UserDeps;

  beforeEach(async () => {
    database = await openTestDatabase(engine);
    clock = new FakeClock();
    passwords = countingHasher();
    deps = { db: database.db, clock, passwords, attempts: createAttemptLimit() };
  });
  afterEach(() => database.close());

  async function firstAdmin(): Promise<SignedIn> {
    const token = await ensureSetupToken(deps);
    return bootstrap(deps, { token: token ?? "", username: "ada", password, address });
  }
  const signIn = (username = "ada", typed = password) => login(deps, { username, password: typed, address });
  const identityOf = (session: { token: string }) =>
    identify(deps, {
      cookies: { rm_session: session.token },
      headers: {},
      routeOptions: { config: {} },
    } as unknown as Parameters<typeof identify>[1]);
  const actions = async () => (await listAudit(deps, {})).entries.map((entry) => entry.action).sort();
  const change = async (session: SignedIn, currentPassword: string, newPassword: string) => {
    const identity = await identityOf(session);
    if (!identity) throw new Error("the session has ended");
    await changePassword(deps, { identity, token: session.token, currentPassword, newPassword });
  };

  describe("the first run", () => {
    it("makes one admin, signs it in and records it", async () => {
      expect(await needsSetup(deps)).toBe(true);
      const session = await firstAdmin();
      expect(await needsSetup(deps)).toBe(false);
      expect(await identityOf(session)).toMatchObject({ username: "ada", role: "admin" });
      const { entries } = await listAudit(deps, {});
      expect(entries).toMatchObject([
        {
          action: "user.bootstrap",
          actor: { kind: "user", name: "ada" },
          target: { kind: "user", name: "ada" },
        },
      ]);
    });

    it("keeps no token, only a hash of it", async () => {
      const token = await ensureSetupToken(deps);
      const { rows } = await sql<{ token_hash: string }>`SELECT * FROM setup_tokens`.execute(deps.db);
      expect(rows).toHaveLength(1);
      expect(JSON.stringify(rows)).not.toContain(token);
    });

    it("refuses a token that was used, one that was replaced, and any other", async () => {
      const replaced = (await ensureSetupToken(deps)) ?? "";
      const token = (await ensureSetupToken(deps)) ?? "";
      const refused = { code: "users.setup_token_invalid" };
      for (const wrong of [replaced, "guess", ""]) {
        await expect(
          bootstrap(deps, { token: wrong, username: "eve", password, address }),
        ).rejects.toMatchObject(refused);
      }
      expect(passwords.hashes).toBe(0);
      await bootstrap(deps, { token, username: "ada", password, address });
      await expect(bootstrap(deps, { token, username: "eve", password, address })).rejects.toMatchObject(
        refused,
      );
      expect(await ensureSetupToken(deps)).toBeNull();
    });

    it("lets one of two win who use the token at once", async () => {
      const token = (await ensureSetupToken(deps)) ?? "";
      const both = await Promise.allSettled(
        ["ada", "eve"].map((username) => bootstrap(deps, { token, username, password, address })),
      );
      expect(both.map((result) => result.status).sort()).toEqual(["fulfilled", "rejected"]);
      expect(await actions()).toEqual(["user.bootstrap"]);
    });

    it("takes the token of either of two replicas that started together, and makes one admin", async () => {
      const [one, two] = await Promise.all([
        ensureSetupToken(deps, { hasReplicas: true }),
        ensureSetupToken(deps, { hasReplicas: true }),
      ]);
      const both = await Promise.allSettled([
        bootstrap(deps, { token: one ?? "", username: "ada", password, address }),
        bootstrap(deps, { token: two ?? "", username: "eve", password, address }),
      ]);
      expect(both.map((result) => result.status).sort()).toEqual(["fulfilled", "rejected"]);
      expect(await actions()).toEqual(["user.bootstrap"]);
    });

    it("no longer takes the token of a replica that started long before the last one", async () => {
      const old = (await ensureSetupToken(deps, { hasReplicas: true })) ?? "";
      await clock.advance(11 * 60_000);
      const token = (await ensureSetupToken(deps, { hasReplicas: true })) ?? "";
      const late = bootstrap(deps, { token: old, username: "eve", password, address });
      await expect(late).rejects.toMatchObject({ code: "users.setup_token_invalid" });
      await bootstrap(deps, { token, username: "ada", password, address });
    });

    it("names every field that breaks a rule, and the token lives on", async () => {
      const token = (await ensureSetupToken(deps)) ?? "";
      await expect(
        bootstrap(deps, { token, username: "a b", password: "short", address }),
      ).rejects.toMatchObject({
        code: "users.username_rule",
        details: [{ path: "username" }, { path: "password" }],
      });
      await bootstrap(deps, { token, username: " Ada ", password, address });
      expect((await signIn("ADA")).user.username).toBe("ada");
    });

    it.each([
      { name: "11 characters", typed: "a".repeat(11), fits: false },
      { name: "12 characters", typed: "a".repeat(12), fits: true },
      { name: "11 emoji, 22 units", typed: "🔑".repeat(11), fits: false },
      { name: "1024 characters", typed: "a".repeat(1024), fits: true },
      { name: "1025 characters", typed: "a".repeat(1025), fits: false },
    ])("takes a password of $name: $fits", async ({ typed, fits }) => {
      const token = (await ensureSetupToken(deps)) ?? "";
      const made = bootstrap(deps, { token, username: "ada", password: typed, address });
      if (fits) await expect(made).resolves.toMatchObject({ user: { username: "ada" } });
      else await expect(made).rejects.toMatchObject({ code: "users.password_rule" });
    });
  });

  describe("signing in", () => {
    beforeEach(firstAdmin);

    it("opens a session of its own each time, and records it", async () => {
      const [one, two] = [await signIn(), await signIn()];
      expect(one.token).not.toBe(two.token);
      expect(await identityOf(one)).toMatchObject({ username: "ada" });
      expect((await identityOf(one))?.csrfToken).not.toBe((await identityOf(two))?.csrfToken);
      expect(await actions()).toEqual(["auth.login", "auth.login", "user.bootstrap"]);
    });

    it("answers a wrong password and an unknown name alike, after as many hashes", async () => {
      const refusals: unknown[] = [];
      const hashes: number[] = [];
      for (const username of ["ada", "nobody"]) {
        const before = passwords.hashes;
        await signIn(username, "wrong password").catch((error: Error & { code: string }) =>
          refusals.push([error.code, error.message]),
        );
        hashes.push(passwords.hashes - before);
      }
      expect(refusals[0]).toEqual(["auth.wrong_credentials", expect.any(String)]);
      expect(refusals[1]).toEqual(refusals[0]);
      expect(hashes).toEqual([1, 1]);
    });

    it("records a failure with the name only when it exists", async () => {
      await signIn("ada", "wrong password").catch(() => undefined);
      await signIn("my secret password", "x").catch(() => undefined);
      const { entries } = await listAudit(deps, { action: "auth.login_failed" });
      expect(entries.map((entry) => entry.target?.name ?? null).sort()).toEqual(["ada", null]);
      expect(entries.map((entry) => entry.actor.name)).toEqual(["anonymous", "anonymous"]);
      expect(JSON.stringify(entries)).not.toContain("my secret password");
    });

    it("counts the tries of a whole network of IPv6 as one visitor's", async () => {
      const guess = (from: string) =>
        login(deps, { username: "ada", password: "wrong", address: from }).catch((error) => error.code);
      for (let i = 1; i <= 10; i++) expect(await guess(`2001:db8::${i}`)).toBe("auth.wrong_credentials");
      expect(await guess("2001:db8::ffff:1:2:3")).toBe("auth.rate_limited");
      await clock.advance(1);
      expect(await guess("2001:db8:0:1::1")).toBe("auth.wrong_credentials");
      const { entries } = await listAudit(deps, { action: "auth.login_failed" });
      expect(entries[0]?.payload).toEqual({ address: "2001:db8:0:1::1" });
    });

    it("stops after ten failures of one address and name, until the window ends", async () => {
      for (let i = 0; i < 10; i++) {
        await expect(signIn("ada", "wrong password")).rejects.toMatchObject({
          code: "auth.wrong_credentials",
        });
      }
      const before = passwords.hashes;
      await expect(signIn()).rejects.toMatchObject({
        code: "auth.rate_limited",
        details: { retry_after_seconds: 900 },
      });
      expect(passwords.hashes).toBe(before);
      await expect(login(deps, { username: "ada", password, address: "192.0.2.8" })).resolves.toBeDefined();
      await clock.advance(15 * 60_000);
      await expect(signIn()).resolves.toBeDefined();
    });

    it("counts tries that run at once", async () => {
      const tries = await Promise.allSettled(
        Array.from({ length: 15 }, () => signIn("ada", "wrong password")),
      );
      const codes = tries.map((result) => (result.status === "rejected" ? result.reason.code : "ok"));
      expect(codes.filter((code) => code === "auth.rate_limited")).toHaveLength(5);
    });

    it("makes a hash anew that was made at a lower cost", async () => {
      const stronger = { ...deps, passwords: createPasswordHasher({ ...cheap, passes: 2 }) };
      await login(stronger, { username: "ada", password, address });
      const { rows } = await sql<{ password_hash: string }>`SELECT password_hash FROM users`.execute(deps.db);
      expect(rows[0]?.password_hash).toContain("m=64,t=2,p=1");
      await expect(login(stronger, { username: "ada", password, address })).resolves.toBeDefined();
    });

    it("takes an accented password typed in either composition", async () => {
      const session = await signIn();
      await change(session, password, "caf\u00e9 caf\u00e9 caf\u00e9");
      await expect(signIn("ada", "cafe\u0301 cafe\u0301 cafe\u0301")).resolves.toBeDefined();
    });
  });

  describe("a session", () => {
    let session: SignedIn;
    beforeEach(async () => {
      session = await firstAdmin();
    });

    it("is stored as a hash", async () => {
      const { rows } = await sql`SELECT * FROM sessions`.execute(deps.db);
      expect(rows).toHaveLength(1);
      expect(JSON.stringify(rows)).not.toContain(session.token);
    });

    it("ends after 24 hours, to the millisecond, and its row goes with the next sign-in", async () => {
      await clock.advance(sessionLifetimeMs - 1);
      expect(await identityOf(session)).not.toBeNull();
      await clock.advance(1);
      expect(await identityOf(session)).toBeNull();
      await signIn();
      const { rows } = await sql`SELECT * FROM sessions`.execute(deps.db);
      expect(rows).toHaveLength(1);
    });

    it("ends with signing out, which may be said twice", async () => {
      await logout(deps, session.token);
      expect(await identityOf(session)).toBeNull();
      await logout(deps, session.token);
      await logout(deps, undefined);
      expect(await actions()).toEqual(["auth.logout", "user.bootstrap"]);
    });

    it("is nobody for a forged or missing cookie", async () => {
      expect(await identityOf({ token: "forged" })).toBeNull();
      expect(await identityOf({ token: "" })).toBeNull();
    });

    it("has the role that the user has now", async () => {
      await sql`UPDATE users SET role = 'viewer'`.execute(deps.db);
      expect((await identityOf(session))?.role).toBe("viewer");
    });

    it("is worth nothing once the user is disabled, and a new one is refused", async () => {
      await sql`UPDATE users SET disabled_at = 1`.execute(deps.db);
      expect(await identityOf(session)).toBeNull();
      await expect(signIn()).rejects.toMatchObject({ code: "auth.user_disabled" });
      await expect(signIn("ada", "wrong password")).rejects.toMatchObject({ code: "auth.wrong_credentials" });
    });
  });

  describe("a new password", () => {
    it("ends every other session and is recorded without its text", async () => {
      const session = await firstAdmin();
      const other = await signIn();
      await change(session, password, "a new long password");
      expect(await identityOf(session)).not.toBeNull();
      expect(await identityOf(other)).toBeNull();
      await expect(signIn()).rejects.toMatchObject({ code: "auth.wrong_credentials" });
      await expect(signIn("ada", "a new long password")).resolves.toBeDefined();
      const { entries } = await listAudit(deps, { action: "user.password_change" });
      expect(entries).toHaveLength(1);
      expect(JSON.stringify(entries)).not.toContain("long password");
    });

    it("needs the current one and obeys the rule", async () => {
      const session = await firstAdmin();
      await expect(change(session, "wrong password", "a new long password")).rejects.toMatchObject({
        code: "users.password_wrong",
        details: [{ path: "current_password" }],
      });
      await expect(change(session, password, "short")).rejects.toMatchObject({
        code: "users.password_rule",
        details: [{ path: "new_password" }],
      });
      await expect(signIn()).resolves.toBeDefined();
    });

    it("can't be guessed with a stolen session", async () => {
      const session = await firstAdmin();
      for (let i = 0; i < 10; i++)
        await change(session, "wrong password", "a new long password").catch(() => undefined);
      await expect(change(session, password, "a new long password")).rejects.toMatchObject({
        code: "auth.rate_limited",
      });
    });
  });
});
