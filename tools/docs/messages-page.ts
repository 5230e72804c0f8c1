/** docs/reference/messages.md: every message of the link between agent and server. */
import {
  agentMessage,
  durableEvent,
  maxFrameBytes,
  pendingAgentMessage,
  pendingServerMessage,
  protocolRange,
  serverMessage,
} from "../../packages/protocol/src/index.ts";
import { listFields, schemaOf } from "./fields.ts";
import { code, page, table } from "./markdown.ts";
import type { Commented } from "./syntax.ts";

type Message = (
  | typeof agentMessage
  | typeof serverMessage
  | typeof pendingAgentMessage
  | typeof pendingServerMessage
)["options"][number];

/** Constants of the protocol's source by name, with what is said about them. */
export type Comments = ReadonlyMap<string, Commented>;

const intro = `# Messages

One JSON object in a text frame of a WebSocket, at most ${maxFrameBytes} bytes, told apart by \`type\`. Protocol
${protocolRange.min} to ${protocolRange.max}. How they follow each other stands in [protocol.md](../protocol.md); examples
that parse for ever in [packages/protocol/fixtures](../../packages/protocol/fixtures/v1).

A durable message carries \`seq\` and waits in the agent's outbox until the server has committed it; any other may be
lost. An instant is RFC 3339 in UTC with milliseconds. A field that is not required may be left out or null.`;

const durableTypes = new Set<string>(durableEvent.options.map((option) => option.shape.type.value));
const typeOf = (message: Message): string => message.shape.type.value;

/** The page, from the schemas and their comments. */
export function messagesPage(comments: Comments): string {
  const fromAgent: readonly Message[] = agentMessage.options;
  const fromServer: readonly Message[] = serverMessage.options;
  const both = fromAgent.filter((message) => fromServer.some((other) => typeOf(other) === typeOf(message)));
  const only = (list: readonly Message[]) =>
    list.filter((message) => !both.some((other) => typeOf(other) === typeOf(message)));
  const section = (title: string, list: readonly Message[]) => [
    `## ${title}`,
    ...list.flatMap((message) => describe(message, comments)),
  ];
  return page(
    intro,
    ...section("Agent → server", only(fromAgent)),
    ...section("Server → agent", only(fromServer)),
    ...section("Either direction", both),
    ...section("While a machine waits to be accepted: agent → server", pendingAgentMessage.options),
    ...section("While a machine waits to be accepted: server → agent", pendingServerMessage.options),
  );
}

function describe(message: Message, comments: Comments): string[] {
  const type = typeOf(message);
  const said = comments.get(constantOf(type));
  const fields = listFields(schemaOf(message));
  const rows = fields
    .filter((field) => field.name !== "type")
    .map(({ name, type: shown, isRequired, onlyWith }) => {
      const meaning = [onlyWith === "" ? "" : `Only with ${code(onlyWith)}.`, said?.fields.get(name) ?? ""];
      return [code(name), shown, isRequired ? "yes" : "", meaning.join(" ")];
    });
  // The section has said the direction already.
  const comment = (said?.comment ?? "").replace(
    /^(Agent → server|Server → agent|Either direction): ./,
    (text) => text.slice(-1).toUpperCase(),
  );
  return [
    `### ${code(type)}`,
    [durableTypes.has(type) ? "Durable." : "", comment].join(" ").trim(),
    table(["field", "type", "required", "meaning"], rows),
  ];
}

/** The protocol names a message's schema after its type: `job.started` is `jobStarted`. */
function constantOf(type: string): string {
  if (type === "error") return "errorMessage";
  return type.replaceAll(/\.(\w)/g, (_dot, letter: string) => letter.toUpperCase());
}
