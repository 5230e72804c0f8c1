/** What tests may use. Never imported by a program. */
export * from "./app.ts";
export * from "./clock.ts";
export * from "./databases.ts";
export * from "./html.ts";
export * from "./postgres-cluster.ts";
