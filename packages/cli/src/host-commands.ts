/** Commands about one host: its jobs, snapshots, restores, repository, source groups and schedules. */
import { type Command, followOption, hostWord, type Word } from "./command.ts";

const jobWord: Word = { name: "JOB", about: "The job's id." };
const snapshotWord: Word = {
  name: "SNAPSHOT",
  about: 'A snapshot\'s id, at least four characters of it, or "latest".',
};
const statuses = [
  ...["queued", "dispatched", "running"],
  ...["succeeded", "warning", "failed", "cancelled", "lost", "expired"],
];

export const jobCommands: readonly Command[] = [
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

export const snapshotCommands: readonly Command[] = [
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

export const repositoryCommands: readonly Command[] = [
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

export const planCommands: readonly Command[] = [
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
