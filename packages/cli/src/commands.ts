/**
 * The table of commands: the single source for what is parsed, for --help and for docs/reference/cli.md. What a command does
 * is loaded when it is asked for, so that rmctl starts fast.
 */
import type { Action } from "./call.ts";

export interface Word {
  name: string;
  /** A sentence. */
  about: string;
  optional?: true;
  /** Takes all that is left; only the last word may. */
  many?: true;
}

export interface Option {
  /** A sentence. */
  about: string;
  /** What the value is called; without one the option is a flag. */
  value?: string;
  many?: true;
  choices?: readonly string[];
}

export interface Command {
  /** One or two words; no command's name is the beginning of another's. */
  name: string;
  /** A sentence. */
  summary: string;
  /** More sentences, when there is more to say. */
  about?: string;
  words?: readonly Word[];
  options?: Readonly<Record<string, Option>>;
  load(): Promise<Action>;
}

const hostWord: Word = { name: "HOST", about: "The host's name or id." };
const jobWord: Word = { name: "JOB", about: "The job's id." };
const snapshotWord: Word = {
  name: "SNAPSHOT",
  about: 'A snapshot\'s id, at least four characters of it, or "latest".',
};
const followOption: Option = { about: "Follow the job to its end; the exit code tells how it ended." };
const confirmOption: Option = { value: "NAME", about: "The host's name, typed out: you mean it." };
const roles = ["admin", "operator", "viewer"];
const statuses = [
  ...["queued", "dispatched", "running"],
  ...["succeeded", "warning", "failed", "cancelled", "lost", "expired"],
];

const accountCommands: readonly Command[] = [
  {
    name: "login",
    summary: "Remember a server and an API token for it.",
    about:
      "The token is made in Settings, Account. It is read from the terminal, unseen, or from stdin; never from an argument, which every user of the machine can see. It is kept in a file that only you can read.",
    words: [{ name: "URL", about: "The server's address, such as https://backup.example.com." }],
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

const hostCommands: readonly Command[] = [
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
    load: async () => (await import("./commands/hosts.ts")).listHosts,
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
    about:
      "Secrets come from the environment: RM_REPO_PASSWORD encrypts the repository and is made by the server when unset, RM_REST_PASSWORD is the rest-server's.",
    words: [{ name: "HOSTNAME", about: "The name that the host shall have." }],
    options: {
      repository: { value: "URL", about: "Where the host backs up to; a restic location without user info." },
      username: { value: "NAME", about: "The user of the rest-server." },
      tag: { value: "TAG", about: "A tag of the host.", many: true },
      path: { value: "PATH", about: "A path to back up, for the first source group.", many: true },
    },
    load: async () => (await import("./commands/enrol.ts")).createEnrolment,
  },
  {
    name: "enrol show",
    summary: "Show what became of an enrolment token: waiting, enrolled, connected or expired.",
    words: [{ name: "ID", about: "The id that `enrol create` printed." }],
    load: async () => (await import("./commands/enrol.ts")).showEnrolment,
  },
];

const jobCommands: readonly Command[] = [
  {
    name: "jobs list",
    summary: "List jobs, newest first, 50 on a page.",
    options: {
      host: { value: "HOST", about: "Only jobs of this host." },
      status: { value: "STATUS", about: `Only jobs that are ${statuses.join(", ")}.`, choices: statuses },
      kind: { value: "KIND", about: "Only jobs of this kind, such as backup." },
      page: { value: "N", about: "Which page, from 1." },
    },
    load: async () => (await import("./commands/jobs.ts")).listJobs,
  },
  {
    name: "jobs show",
    summary: "Show one job.",
    words: [jobWord],
    load: async () => (await import("./commands/jobs.ts")).showJob,
  },
  {
    name: "jobs run",
    summary: "Run an operation on a host now.",
    about: "A backup without --group is of every source group of the host, one job each.",
    words: [
      hostWord,
      {
        name: "KIND",
        about: "backup, init, check, forget, prune, unlock, repair or verify (a restore drill).",
      },
    ],
    options: {
      group: { value: "NAME", about: "The source group, of a backup or a verify.", many: true },
      percent: { value: "N", about: "How much of the data a check reads." },
      what: {
        value: "WHAT",
        about: "What is repaired: index or snapshots.",
        choices: ["index", "snapshots"],
      },
      all: { about: "Unlock also what is in use; wants --confirm." },
      confirmed: { about: "Forget also when it removes more than the set share of a group's snapshots." },
      confirm: { value: "NAME", about: "The host's name, typed out, where the server wants it." },
      "upload-limit": { value: "KIB", about: "Cap what a backup sends, in KiB a second." },
      "download-limit": { value: "KIB", about: "Cap what a backup fetches, in KiB a second." },
      follow: followOption,
    },
    load: async () => (await import("./commands/jobs-run.ts")).runJob,
  },
  {
    name: "jobs cancel",
    summary: "Cancel a job in any status; a finished one stays as it is.",
    words: [jobWord],
    load: async () => (await import("./commands/jobs.ts")).cancelJob,
  },
  {
    name: "jobs log",
    summary: "Print a job's log as far as it is there.",
    words: [jobWord],
    load: async () => (await import("./commands/jobs.ts")).printLog,
  },
  {
    name: "jobs follow",
    summary: "Follow a job from its first line to its end; the exit code tells how it ended.",
    about: "Ctrl+C ends only the following, never the job. A broken connection is opened again.",
    words: [jobWord],
    load: async () => (await import("./commands/jobs.ts")).followOne,
  },
];

const snapshotCommands: readonly Command[] = [
  {
    name: "snapshots list",
    summary: "List a host's snapshots, newest first.",
    words: [hostWord],
    options: {
      limit: { value: "N", about: "How many, at most 1000; 100 when left out." },
      offset: { value: "N", about: "How many of the newest are passed over." },
    },
    load: async () => (await import("./commands/snapshots.ts")).listSnapshots,
  },
  {
    name: "snapshots diff",
    summary: "Compare two snapshots of a host: a job that is waited for, then its changes.",
    words: [hostWord, { ...snapshotWord, name: "FROM" }, { ...snapshotWord, name: "TO" }],
    options: {
      limit: { value: "N", about: "How many changes are shown, at most 1000; 200 when left out." },
    },
    load: async () => (await import("./commands/snapshots.ts")).diffSnapshots,
  },
  {
    name: "snapshots tree",
    summary: "List a folder of a snapshot.",
    words: [hostWord, snapshotWord, { name: "PATH", about: "The folder; / when left out.", optional: true }],
    options: { after: { value: "REF", about: "Go on after this entry, the last of the page before." } },
    load: async () => (await import("./commands/snapshot-files.ts")).listFolder,
  },
  {
    name: "snapshots search",
    summary: "Find files in a snapshot by a part or a glob of their name.",
    about: "The first search in a snapshot waits until its agent has made an index of it.",
    words: [
      hostWord,
      snapshotWord,
      { name: "PATTERN", about: "With a slash in it, it is compared with whole paths." },
    ],
    options: { after: { value: "REF", about: "Go on after this entry, the last of the page before." } },
    load: async () => (await import("./commands/snapshot-files.ts")).searchFiles,
  },
  {
    name: "restore run",
    summary: "Restore files of a snapshot: into a new folder, or in place with --in-place --confirm.",
    words: [hostWord, snapshotWord, { name: "PATH", about: "What to restore; / is everything.", many: true }],
    options: {
      target: { value: "FOLDER", about: "The folder on the host; a new one is made when left out." },
      "in-place": { about: "Write files back to where they came from." },
      confirm: { value: "NAME", about: "The host's name, typed out; wanted by --in-place." },
      overwrite: {
        value: "WHEN",
        about: "What happens to files that exist, in place: always, if-changed, if-newer or never.",
        choices: ["always", "if-changed", "if-newer", "never"],
      },
      "keep-ownership": { about: "Files belong to whom they belonged, not to the agent's user." },
      include: { value: "PATTERN", about: "Restore only what matches, below the paths.", many: true },
      exclude: { value: "PATTERN", about: "Leave out what matches.", many: true },
      verify: { about: "Read everything back and compare it." },
      "dry-run": { about: "Only tell what would be written." },
      follow: followOption,
    },
    load: async () => (await import("./commands/restore.ts")).runRestore,
  },
];

const repositoryCommands: readonly Command[] = [
  {
    name: "repository show",
    summary: "Show a host's repository: figures, locks, maintenance, and who shares it.",
    words: [hostWord],
    load: async () => (await import("./commands/repository.ts")).showRepository,
  },
  {
    name: "repository forget",
    summary: "Apply the retention of a host's source groups now.",
    words: [hostWord],
    options: {
      confirmed: { about: "Also when it removes more than the set share of a group's snapshots." },
      follow: followOption,
    },
    load: async () => (await import("./commands/jobs-run.ts")).forget,
  },
  {
    name: "repository prune",
    summary: "Free the space of what was forgotten.",
    words: [hostWord],
    options: { follow: followOption },
    load: async () => (await import("./commands/jobs-run.ts")).prune,
  },
  {
    name: "repository check",
    summary: "Check the repository's structure, and its data with --percent.",
    words: [hostWord],
    options: {
      percent: { value: "N", about: "How much of the data is read as well." },
      follow: followOption,
    },
    load: async () => (await import("./commands/jobs-run.ts")).check,
  },
  {
    name: "repository test",
    summary: "Let the host open its repository with what is stored; waits up to 25 seconds.",
    words: [hostWord],
    load: async () => (await import("./commands/repository.ts")).testRepository,
  },
];

const planCommands: readonly Command[] = [
  {
    name: "groups list",
    summary: "List what a host backs up.",
    words: [hostWord],
    load: async () => (await import("./commands/groups.ts")).listGroups,
  },
  {
    name: "groups run",
    summary: "Back up one source group now.",
    words: [hostWord, { name: "GROUP", about: "The source group's name or id." }],
    options: { follow: followOption },
    load: async () => (await import("./commands/groups.ts")).runGroup,
  },
  {
    name: "schedules list",
    summary: "List when a host is backed up.",
    words: [hostWord],
    load: async () => (await import("./commands/schedules.ts")).listSchedules,
  },
  {
    name: "schedules run",
    summary: "Back up all source groups of a schedule now.",
    words: [hostWord, { name: "SCHEDULE", about: "The schedule's id, or the end of it." }],
    options: { "confirm-paused": { about: "Run it although it is paused." }, follow: followOption },
    load: async () => (await import("./commands/schedules.ts")).runSchedule,
  },
];

const trailCommands: readonly Command[] = [
  {
    name: "tokens list",
    summary: "List your API tokens.",
    load: async () => (await import("./commands/tokens.ts")).listTokens,
  },
  {
    name: "tokens create",
    summary: "Make an API token. It is printed once.",
    words: [{ name: "NAME", about: "Which program it is for; the audit trail names it." }],
    options: {
      role: { value: "ROLE", about: "The most it may do: admin, operator or viewer.", choices: roles },
      days: { value: "N", about: "It ends after so many days; never when left out." },
    },
    load: async () => (await import("./commands/tokens.ts")).createToken,
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

export const commands: readonly Command[] = [
  ...accountCommands,
  ...hostCommands,
  ...jobCommands,
  ...snapshotCommands,
  ...repositoryCommands,
  ...planCommands,
  ...trailCommands,
];
