/**
 * The product's version, once: server, agent, rmctl and the names of the release's files all take it from here, and a
 * test compares it with every package.json. It imports nothing, so that `--version` loads nothing.
 */
export const productVersion = "0.1.0";
