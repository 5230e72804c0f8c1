import { describe, expect, it } from "vitest";
import { chooseTarget } from "./target-url.ts";

const secret = "hunter2hunter2";
const refusal = (argument: string | undefined, configured?: string): { code: string; message: string } => {
  try {
    return { code: "none", message: chooseTarget(argument, configured) };
  } catch (error) {
    return error as { code: string; message: string };
  }
};

describe("where a database is moved to", () => {
  it.each(["postgres://rm@db.example.org/rm", "postgresql://localhost/rm?host=/run/postgresql"])(
    "is the argument %s, also when the setting names another one",
    (url) => {
      expect(chooseTarget(url, "postgres://rm@elsewhere/rm")).toBe(url);
    },
  );

  it("is the setting with its password when there is no argument", () => {
    expect(chooseTarget(undefined, `postgres://rm:${secret}@db/rm`)).toBe(`postgres://rm:${secret}@db/rm`);
  });

  it.each([`postgres://rm:${secret}@db/rm`, `postgres://rm@db/rm?password=${secret}`])(
    "is never an argument with a password in it, and the refusal does not repeat it",
    (url) => {
      const { code, message } = refusal(url);
      expect(code).toBe("database.password_in_argument");
      expect(message).toContain("PGPASSFILE");
      expect(message).not.toContain(secret);
    },
  );

  it.each([undefined, "", "db.example.org/rm", "mysql://rm@db/rm", `rm:${secret}@db/rm`])(
    "is asked for when it is %j",
    (url) => {
      const { code, message } = refusal(url);
      expect(code).toBe("database.no_target");
      expect(message).toContain("postgres://USER@HOST/DATABASE");
      expect(message).not.toContain(secret);
    },
  );
});
