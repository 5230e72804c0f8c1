/** Commands about the fleet: the login, hosts, machines that wait, updates, tokens and the trail. */
import { type Command, followOption, hostWord, type Option, type Word } from "./command.ts";

const confirmOption: Option = { value: "NAME", about: "The host's name, typed out: you mean it." };
const planOptions: Readonly<Record<string, Option>> = {
  repository: { value: "URL", about: "Where the host backs up to; a restic location without user info." },
  username: { value: "NAME", about: "The user of the rest-server." },
  env: {
    value: "NAME",
    about: "A variable that this storage needs; its value is taken from here.",
    many: true,
  },
  tag: { value: "TAG", about: "A tag of the host.", many: true },
  path: { value: "PATH", about: "A path to back up, for the first source group.", many: true },
};
const planSecrets =
  "Secrets come from the environment: RM_REPO_PASSWORD encrypts the repository and is made by the server when unset, RM_REST_PASSWORD is the rest-server's, --env AWS_SECRET_ACCESS_KEY takes that variable.";
const programOption: Option = {
  value: "PROGRAM",
  about: "What is updated: agent or restic; the agent when left out.",
  choices: ["agent", "restic"],
};

export const accountCommands: readonly Command[] = [
  {
    name: "login",
    summary: "Remember a server and an API token for it.",
    about:
      "The token is made in Settings, Account. It is read from the terminal, unseen, or from stdin; never from an argument, which every user of the machine can see. It is kept in a file that only you can read.",
    words: [{ name: "URL", about: "The server's address, such as https://backup.example.com." }],
    options: { insecure: { about: "Send the token over http://, where everybody on the way can read it." } },
    load: async () => (await import("./commands/login.ts")).login,
  },
  {
    name: "logout",
    summary: "Forget the server and the token. The token itself goes on until it is revoked.",
    load: async () => (await import("./commands/login.ts")).logout,
  },
  {
    name: "whoami",
    summary: "Tell which server you use, as whom, and with which role.",
    load: async () => (await import("./commands/login.ts")).whoami,
  },
  {
    name: "status",
    summary: "Show the fleet in figures.",
    load: async () => (await import("./commands/hosts.ts")).showFleet,
  },
];

export const enrolmentCommands: readonly Command[] = [
  {
    name: "hosts list",
    summary: "List the hosts by name.",
    options: {
      search: { value: "TEXT", about: "Only hosts with this in their name." },
      tag: { value: "TAG", about: "Only hosts with this tag." },
      state: {
        value: "STATE",
        about: "Only hosts that are online or offline.",
        choices: ["online", "offline"],
      },
    },
    load: async () => (await import("./commands/hosts.ts")).showHosts,
  },
  {
    name: "hosts show",
    summary: "Show one host.",
    words: [hostWord],
    load: async () => (await import("./commands/hosts.ts")).showHost,
  },
  {
    name: "hosts delete",
    summary: "Remove a host with its jobs and credentials; its snapshots stay in the repository.",
    words: [hostWord],
    options: { confirm: confirmOption },
    load: async () => (await import("./commands/hosts.ts")).deleteHost,
  },
  {
    name: "enrol create",
    summary: "Make a one-time token that enrols a host within an hour.",
    about: planSecrets,
    words: [{ name: "HOSTNAME", about: "The name that the host shall have." }],
    options: planOptions,
    load: async () => (await import("./commands/enrol.ts")).createEnrolment,
  },
  {
    name: "enrol show",
    summary: "Show what became of an enrolment token: waiting, enrolled, connected or expired.",
    words: [{ name: "ID", about: "The id that `enrol create` printed." }],
    load: async () => (await import("./commands/enrol.ts")).showEnrolment,
  },
];

const pendingWord: Word = { name: "FINGERPRINT", about: "As the machine shows it: SHA256:…." };

export const pendingCommands: readonly Command[] = [
  {
    name: "pending list",
    summary: "List the machines that announced themselves and wait for a decision.",
    load: async () => (await import("./commands/pending.ts")).listPending,
  },
  {
    name: "pending accept",
    summary: "Make a host of a machine, by the fingerprint that you compared on it.",
    about: planSecrets,
    words: [pendingWord],
    options: {
      name: {
        value: "HOSTNAME",
        about: "What the host shall be called; the machine's own name when left out.",
      },
      "server-name": {
        value: "NAME",
        about: "What the machine dials, where it is not the address that you use.",
      },
      ...planOptions,
    },
    load: async () => (await import("./commands/pending.ts")).acceptPending,
  },
  {
    name: "pending reject",
    summary: "Send a machine away.",
    words: [pendingWord],
    options: { reason: { value: "TEXT", about: "What the machine is told." } },
    load: async () => (await import("./commands/pending.ts")).rejectPending,
  },
];

const updateWord: Word = { name: "UPDATE", about: "The update's id." };

export const updateCommands: readonly Command[] = [
  {
    name: "updates list",
    summary: "List the last updates of the fleet, newest first.",
    load: async () => (await import("./commands/updates.ts")).listUpdates,
  },
  {
    name: "updates show",
    summary: "Show an update of the fleet, host by host.",
    words: [updateWord],
    load: async () => (await import("./commands/updates.ts")).showUpdate,
  },
  {
    name: "updates start",
    summary: "Update every host that is behind what the server has, in waves.",
    options: {
      program: programOption,
      tag: { value: "TAG", about: "Only hosts with this tag." },
      host: { value: "HOST", about: "Only this host.", many: true },
    },
    load: async () => (await import("./commands/updates.ts")).startUpdate,
  },
  {
    name: "updates pause",
    summary: "Let no other host begin; what is under way goes on.",
    words: [updateWord],
    load: async () => (await import("./commands/updates.ts")).pauseUpdate,
  },
  {
    name: "updates resume",
    summary: "Go on with the next host. One that failed is left as it is.",
    words: [updateWord],
    load: async () => (await import("./commands/updates.ts")).resumeUpdate,
  },
  {
    name: "updates cancel",
    summary: "End an update before its time; what is under way comes to its end.",
    words: [updateWord],
    load: async () => (await import("./commands/updates.ts")).cancelUpdate,
  },
  {
    name: "updates host",
    summary: "Update the agent of one host, or its restic, to what the server has.",
    words: [hostWord],
    options: { program: programOption, follow: followOption },
    load: async () => (await import("./commands/updates.ts")).updateHost,
  },
];

export const trailCommands: readonly Command[] = [
  {
    name: "tokens list",
    summary: "List your API tokens.",
    about: "They are made in the browser, in Settings, Account: no token makes another.",
    load: async () => (await import("./commands/tokens.ts")).listTokens,
  },
  {
    name: "tokens revoke",
    summary: "Revoke an API token of yours; its next request is refused.",
    words: [{ name: "NAME", about: "The token's name or id." }],
    load: async () => (await import("./commands/tokens.ts")).revokeToken,
  },
  {
    name: "audit list",
    summary: "List who changed what, newest first, 50 at once.",
    options: {
      user: { value: "NAME", about: "Only what this user did." },
      action: { value: "ACTION", about: "Only this, such as host.delete." },
      target: { value: "TEXT", about: "Only targets with this id, or this in their name." },
      from: { value: "INSTANT", about: "From then on, such as 2026-11-26T03:00:00Z." },
      to: { value: "INSTANT", about: "Until before then." },
      limit: { value: "N", about: "How many, at most 500." },
      before: { value: "CURSOR", about: "Go on with older ones: what the page before called `next`." },
    },
    load: async () => (await import("./commands/audit.ts")).listAudit,
  },
];
