/** THE ONLY public file of the agents' connections. */
export {
  type AfterCommit,
  agentConnected,
  agentDisconnected,
  type LinkHandlers,
} from "./agent-link.contract.ts";
export { AgentHub } from "./agent-link.hub.ts";
