/** THE ONLY public file of the agents' connections. */
export {
  type AfterCommit,
  agentConnected,
  agentDisconnected,
  type EventHandler,
  type EventHandlers,
  type LinkHandlers,
} from "./agent-link.contract.ts";
export { AgentHub, type AgentHubDeps } from "./agent-link.hub.ts";
