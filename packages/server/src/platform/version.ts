/** The one version constant of the server; a test compares it with package.json. */
export const serverVersion = "0.1.0";
