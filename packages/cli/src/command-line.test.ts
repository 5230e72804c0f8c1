/** What is typed, against the table of commands; and that the table itself is sound. */
import { CliWorld } from "@restic-manager/testkit";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { everywhere, parseCommandLine } from "./command-line.ts";
import { commands } from "./commands.ts";
import { exitCodes, jobOutcome, outcomeOf } from "./exit-codes.ts";
import { Problem } from "./problem.ts";
import { run } from "./rmctl.ts";

describe("the table of commands", () => {
  it.each(commands)("has all that $name needs, and its code is there", async (command) => {
    const words = command.words ?? [];
    expect(words.slice(0, -1).every((word) => !word.many && !word.optional)).toBe(true);
    for (const sentence of [command.summary, ...words.map(({ about }) => about)])
      expect(sentence).toMatch(/[.]$/);
    for (const [name, { about }] of Object.entries(command.options ?? {})) {
      expect(about, name).toMatch(/[.]$/);
      expect(everywhere).not.toHaveProperty(name);
    }
    expect(command.name).toMatch(/^[a-z]+( [a-z]+)?$/);
    expect(typeof (await command.load())).toBe("function");
  });

  it("names no command twice, nor one by the beginning of another", () => {
    const names = commands.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const name of names) expect(names.filter((other) => other.startsWith(`${name} `))).toEqual([]);
  });
});

describe("a command line", () => {
  const parsed = (...argv: string[]) => {
    const found = parseCommandLine(argv);
    if (found.kind !== "run") throw new Error(found.text);
    return found;
  };
  const refusal = (...argv: string[]) => {
    try {
      parseCommandLine(argv);
    } catch (error) {
      if (error instanceof Problem) return error.message;
    }
    throw new Error("it was taken");
  };

  it("gives its words and options by the names of the table", () => {
    const { command, args, json } = parsed(
      "restore",
      "run",
      "web",
      "latest",
      "/a",
      "--exclude",
      "x",
      "/b",
      "--exclude=y",
      "--json",
    );
    expect(command.name).toBe("restore run");
    expect([args.word("HOST"), args.manyWords("PATH")]).toEqual(["web", ["/a", "/b"]]);
    expect([args.texts("exclude"), args.text("exclude"), args.is("dry-run"), json]).toEqual([
      ["x", "y"],
      "y",
      false,
      true,
    ]);
    expect(parsed("snapshots", "tree", "web", "latest", "--", "-odd").args.manyWords("PATH")).toEqual([
      "-odd",
    ]);
  });

  it.each([
    { argv: ["explode"], says: 'There is no command "explode". See: rmctl help' },
    { argv: ["jobs", "explode"], says: 'There is no command "jobs explode". See: rmctl help jobs' },
    { argv: ["jobs", "show"], says: "JOB is missing: The job's id. See: rmctl help jobs show" },
    { argv: ["hosts", "show", "a", "b"], says: "There is one word too many. See: rmctl help hosts show" },
    {
      argv: ["hosts", "list", "--sate", "online"],
      says: "Unknown option '--sate'. See: rmctl help hosts list",
    },
    {
      argv: ["hosts", "list", "--state", "off"],
      says: "--state is one of online, offline. See: rmctl help hosts list",
    },
  ])("that is wrong says what and where to look: $argv", ({ argv, says }) =>
    expect(refusal(...argv)).toBe(says),
  );

  it("may be anything without another end than help, a run or a Problem of usage", () => {
    const word = fc.oneof(
      fc.constantFrom(...commands.flatMap(({ name }) => name.split(" ")), "--json", "--", "-h"),
      fc.string(),
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 8 }), (argv) => {
        try {
          parseCommandLine(argv);
        } catch (error) {
          expect(error).toMatchObject({ name: "Problem", outcome: "usage" });
        }
      }),
    );
  });
});

describe("help", () => {
  it("fits 80 columns, of all commands and of each", () => {
    const texts = [[], ...commands.map(({ name }) => ["help", ...name.split(" ")])].map((argv) =>
      parseCommandLine(argv),
    );
    for (const text of texts) {
      const lines = text.kind === "help" ? text.text.split("\n") : [];
      expect(lines.filter((line) => line.length > 80)).toEqual([]);
      expect(lines[0]).toMatch(/^Usage: rmctl /);
    }
  });

  it("is told by --help wherever it stands, and needs no server", async () => {
    const world = new CliWorld();
    expect(await run(["jobs", "run", "--help"], world)).toBe(0);
    expect(world.take().out).toMatch(/^Usage: rmctl jobs run HOST KIND \[options\]\n/);
    expect(await run(["jobs", "--help"], world)).toBe(0);
    expect(world.take().out).toContain("jobs cancel");
    world.remove();
  });
});

describe("exit codes", () => {
  it("are all different, and every status of the API and end of a job has one", () => {
    const codes = Object.values(exitCodes).map(({ code }) => code);
    expect(new Set(codes).size).toBe(codes.length);
    expect(
      [400, 401, 403, 404, 409, 422, 429, 503, 504, 500, 418, 599].map(
        (status) => exitCodes[outcomeOf(status)].code,
      ),
    ).toEqual([10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 10, 19]);
    const ends = ["succeeded", "failed", "warning", "cancelled", "lost", "expired", "running"];
    expect(ends.map(jobOutcome)).toEqual([
      "done",
      "failed",
      "warning",
      "cancelled",
      "lost",
      "expired",
      undefined,
    ]);
  });
});
