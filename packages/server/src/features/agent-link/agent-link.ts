/** THE ONLY public file of the agents' connections. */
export {
  type AfterCommit,
  agentConnected,
  agentDisconnected,
  agentGreeted,
  type LinkHandlers,
} from "./agent-link.contract.ts";
export { AgentHub } from "./agent-link.hub.ts";
export { OwnLinks, SharedLinks } from "./agent-link.links.ts";
export { Neighbours } from "./agent-link.neighbours.ts";
export { AgentQuestions } from "./agent-link.questions.ts";
