/** Error codes are found however they are written, and nothing else is taken for one. */
import { expect, test } from "vitest";
import { findErrorCodes } from "./error-codes.ts";

const find = (text: string) =>
  findErrorCodes("a.ts", text).map(({ code, kind, sentence }) => [code, kind, sentence]);

test("an AppError has a kind, a code and a sentence", () => {
  expect(find('throw new AppError("not_found", "hosts.not_found", "There is no such host.");')).toEqual([
    ["hosts.not_found", "not_found", "There is no such host."],
  ]);
});

test("the code without a slice is found in its place only", () => {
  expect(
    find('new AppError("internal", "internal", "Internal error here."); say("internal", "Not this one.");'),
  ).toEqual([["internal", "internal", "Internal error here."]]);
});

test("an AgentError has no kind; what is only known when it runs is a gap", () => {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: it is source
  expect(find("new AgentError('config.missing', `There is nothing at ${path}.`);")).toEqual([
    ["config.missing", undefined, "There is nothing at …."],
  ]);
});

test("a sentence is followed to the constant that holds it", () => {
  const text = 'const message = "The first one."; refuse(socket, "link.replaced", message);';
  expect(find(text)).toEqual([["link.replaced", undefined, "The first one."]]);
});

test("objects with code and message, and tables from code to sentence count", () => {
  expect(find('const a = { code: "jobs.lost", message: "The job is lost." };')).toEqual([
    ["jobs.lost", undefined, "The job is lost."],
  ]);
  expect(find('const t = { "restic.killed": "restic was killed." };')).toEqual([
    ["restic.killed", undefined, "restic was killed."],
  ]);
});

test("an error whose sentence is put together still counts", () => {
  expect(find('new AppError("invalid", "request.invalid", error.message);')).toEqual([
    ["request.invalid", "invalid", "Says what was wrong."],
  ]);
  expect(find('invalidFields("users.wrong", problems);')).toMatchObject([
    ["users.wrong", "invalid", expect.stringContaining("details")],
  ]);
});

test("events, columns and files are no errors", () => {
  expect(find('topic("jobs.changed"); select("jobs.id", "jobs.host_id"); join(dir, "agent.lock");')).toEqual(
    [],
  );
});

test("a file that does not parse is an error with its name", () => {
  expect(() => findErrorCodes("broken.ts", "const = ;")).toThrow("broken.ts does not parse");
});
