/** docs/reference/config.md: the settings of the server and of the agent. */
import { agentConfig } from "../../packages/agent/src/config.ts";
import { settings } from "../../packages/server/src/config.ts";
import { listFields, schemaOf } from "./fields.ts";
import { code, page, table } from "./markdown.ts";
import type { Commented } from "./syntax.ts";

const serverIntro = `# Configuration

## Server

Read from the environment, and from a YAML file when one is named (\`--config\`, see \`--help\`). In the file a setting has
the same name without \`RM_\` and in lower case. The environment wins. An unknown name in the file is an error.`;

const agentIntro = `## Agent

\`agent.yaml\`, by default \`/etc/restic-manager/agent.yaml\` and \`C:\\ProgramData\\restic-manager\\agent.yaml\`. Written by
\`restic-manager-agent enrol\` or \`announce\`, mode 0600. An unknown name is an error. \`RM_SERVER\` and \`RM_TOKEN\` stand in for
\`--server\` and \`--token\` of \`enrol\`, \`RM_CA_FILE\` for \`--ca-file\`; \`RM_RESTIC\` names restic's program when
\`restic_path\` does not. \`HTTPS_PROXY\`, \`HTTP_PROXY\` and \`NO_PROXY\` lead to the server, as they lead restic to its
storage.`;

/** The page; `agentComments` are those of the agent's schema. */
export function configPage(agentComments: Commented | undefined): string {
  return page(
    serverIntro,
    table(
      ["setting", "type", "default", "meaning"],
      settings.map(({ name, type, default: value, secret, sentence }) => {
        return [code(name), type, code(value), secret ? `${sentence} Secret.` : sentence];
      }),
    ),
    agentIntro,
    table(["setting", "type", "default", "meaning"], agentRows(agentComments)),
  );
}

function agentRows(comments: Commented | undefined): string[][] {
  const schema = schemaOf(agentConfig);
  return listFields(schema).map(({ name, type, isRequired }) => {
    const standard = schema.properties?.[name]?.default ?? null;
    const shown = isRequired ? "required" : code(JSON.stringify(standard));
    return [code(name), type, shown, comments?.fields.get(name) ?? ""];
  });
}
