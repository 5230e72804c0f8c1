/** The agent's version, once; a test compares it with package.json. */
export const agentVersion = "0.1.0";
