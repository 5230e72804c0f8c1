/** What tests may use. Never imported by a program. */
export * from "./announced-machine.ts";
export * from "./app.ts";
export * from "./cli-world.ts";
export * from "./clock.ts";
export * from "./databases.ts";
export * from "./filled-database.ts";
export * from "./html.ts";
export * from "./postgres-cluster.ts";
export * from "./release-folder.ts";
export * from "./server-agent.ts";
export * from "./server-browser.ts";
export * from "./server-client.ts";
export * from "./server-maintenance.ts";
export * from "./server-messages.ts";
export * from "./server-queries.ts";
export * from "./server-schedules.ts";
export * from "./server-start.ts";
