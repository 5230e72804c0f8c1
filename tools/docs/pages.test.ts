/** The generated pages say what they are given, and every link of every document leads somewhere. */
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { agentMessage, serverMessage } from "../../packages/protocol/src/index.ts";
import { settings } from "../../packages/server/src/config.ts";
import { apiPage } from "./api-page.ts";
import { configPage } from "./config-page.ts";
import { errorsPage } from "./errors-page.ts";
import { messagesPage } from "./messages-page.ts";

const root = resolve(import.meta.dirname, "../..");

describe("the page of the API", () => {
  const schema = { type: "object", properties: { id: { type: "string" } }, required: ["id"] };
  const content = { "application/json": { schema } };
  const operation = { summary: "One thing.", responses: { "200": { content } } };
  const page = apiPage({ paths: { "/api/things/{id}": { get: operation } } }, [
    { method: "GET", url: "/api/things/:id", policy: "viewer", page: false },
    { method: "GET", url: "/ws/agent", policy: "agent", page: false },
  ]);

  test("names each route with its role, its summary and its fields", () => {
    expect(page).toContain("| `GET /api/things/{id}` | viewer | One thing. |");
    expect(page).toContain("| `id` | text | yes |");
  });

  test("lists what is no JSON route apart", () => {
    expect(page.split("## Beside JSON")[1]).toContain("| `GET /ws/agent` | agent |");
  });
});

describe("the page of errors", () => {
  const path = "packages/server/src/features/hosts/hosts.ts";

  test("turns the kind into a status and names each sentence once", () => {
    const error = { code: "hosts.not_found", kind: "not_found", sentence: "There is no such host.", path };
    expect(errorsPage([error, error])).toContain(
      `| \`hosts.not_found\` | 404 not_found | There is no such host. | [server/hosts.ts](../../${path}) |`,
    );
  });

  test("keeps codes that are no answer of the server apart", () => {
    const error = { code: "jobs.lost", kind: undefined, sentence: "It is lost.", path };
    const [ofServer, others] = errorsPage([error]).split("## Errors of jobs");
    expect(ofServer).not.toContain("jobs.lost");
    expect(others).toContain("| `jobs.lost` | It is lost. |");
  });
});

test("the page of messages has a section for every type", () => {
  const page = messagesPage(new Map());
  const types = [...agentMessage.options, ...serverMessage.options].map((option) => option.shape.type.value);
  for (const type of new Set(types)) expect(page.split(`### \`${type}\`\n`)).toHaveLength(2);
});

test("the page of settings has every setting", () => {
  const page = configPage(undefined);
  for (const { name } of settings) expect(page).toContain(`| \`${name}\` |`);
});

const documents = globSync(["*.md", "docs/**/*.md"], { cwd: root }).sort();

test.each(documents)("every link of %s leads somewhere", (path) => {
  const text = readFileSync(join(root, path), "utf8");
  const links = [...text.matchAll(/\]\(([^)\s#]+)(?:#[^)]*)?\)/g)].map(([, link = ""]) => link);
  const ours = links.filter((link) => !/^[a-z]+:/.test(link));
  expect(ours.filter((link) => !existsSync(join(root, dirname(path), link)))).toEqual([]);
});
