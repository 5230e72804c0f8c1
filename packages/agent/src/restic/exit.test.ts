import { describe, expect, it } from "vitest";
import { findRecording, getRecording } from "../../fixtures/restic/recorded.ts";
import {
  describeProblem,
  interpretExit,
  isAlreadyInitialised,
  isPathMissing,
  isSnapshotGone,
  recognise,
  StderrTail,
} from "./exit.ts";
import type { RunExit } from "./follow.ts";

const exited = (code: number | null, signal: string | null = null, stopRequested = false): RunExit => ({
  ...{ kind: "exited", code, signal, stopRequested },
  ...{ startedAtMs: 0, endedAtMs: 1 },
});

const SUPPORTED = ["0.17.3", "0.18.0", "0.19.1"] as const;

const RECORDED: readonly (readonly [string, string])[] = [
  ["wrong-password-json", "restic.wrong_password"],
  ["no-repo-backup-json", "restic.repository_missing"],
  ["lock-backup-during-check", "restic.repository_locked"],
  ["diskfull-backup-json", "restic.repository_full"],
  ["rest-nocred", "restic.unauthorised"],
  ["unreachable", "restic.unreachable"],
  ["backup-all-missing-json", "restic.source_missing"],
];

describe.each(SUPPORTED)("failures of restic %s", (version) => {
  const recorded = RECORDED.filter(([name]) => findRecording(version, name) !== undefined);

  it.each(recorded)("%s is %s", (name, code) => {
    const { exit, stderr } = getRecording(version, name);
    const outcome = interpretExit(exited(exit), stderr);
    expect(outcome).toMatchObject({ kind: "failed", problem: { code, exitCode: exit } });
  });

  it("a partial backup is a warning", () => {
    const { exit, stderr } = getRecording(version, "perm-backup-json");
    expect(interpretExit(exited(exit), stderr)).toMatchObject({
      kind: "warning",
      problem: { code: "restic.partial" },
    });
  });

  it("an interrupted backup is cancelled when we sent the signal, and only then", () => {
    const { exit, stderr } = getRecording(version, "signal-backup-SIGINT");
    expect(interpretExit(exited(exit, null, true), stderr)).toEqual({ kind: "cancelled" });
    expect(interpretExit(exited(exit), stderr).kind).toBe("failed");
  });

  it("init of an existing repository is recognised", () => {
    expect(isAlreadyInitialised(getRecording(version, "init-again-json").stderr)).toBe(true);
    expect(isAlreadyInitialised(getRecording(version, "wrong-password-json").stderr)).toBe(false);
  });
});

describe("what restic says of a storage, as it was seen", () => {
  it.each([
    ["Fatal: unable to open config file: Stat: Access Denied.", "restic.no_rights"],
    [
      "Stat(<config/>) returned error, retrying after 1.3s: Stat: The request signature we calculated does not match the signature you provided. Check your key and signing method.",
      "restic.unauthorised",
    ],
    [
      "Stat(<config/>) returned error, retrying after 1.3s: Stat: The AWS Access Key Id you provided does not exist in our records.",
      "restic.unauthorised",
    ],
    [
      "Fatal: unable to open repository at s3:http://h/b: s3.getCredentials: no credentials found. Use `-o s3.unsafe-anonymous-auth=true` for anonymous authentication",
      "restic.unauthorised",
    ],
    [
      'Stat(<config/>) returned error, retrying after 1.1s: Head "https://:***@h/x/config": tls: failed to verify certificate: x509: certificate signed by unknown authority',
      "restic.certificate_untrusted",
    ],
    [
      'Stat(<config/>) returned error, retrying after 1.2s: Head "https://:***@h/x/config": dial tcp: lookup h on 10.0.0.53:53: no such host',
      "restic.host_unknown",
    ],
    [
      "Stat(<config/>) returned error, retrying after 1.1s: Stat: The specified bucket does not exist",
      "restic.repository_missing",
    ],
    ["Fatal: parsing repository location failed: invalid backend", "restic.backend_unsupported"],
    [
      'Fatal: unable to open repository at rclone:r:x: exec: "rclone": executable file not found in $PATH',
      "restic.helper_missing",
    ],
    ["subprocess ssh: ssh: connect to host 127.0.0.1 port 22: Connection refused", "restic.unreachable"],
    ["subprocess ssh: u@h: Permission denied (publickey,password).", "restic.helper_failed"],
    ["subprocess ssh: Host key verification failed.", "restic.helper_failed"],
  ])("%s", (line, code) => {
    expect(recognise([line])).toBe(code);
  });
});

describe("interpretExit", () => {
  it.each([
    [exited(0), { kind: "ok" }],
    [exited(0, null, true), { kind: "ok" }],
    [exited(null, "SIGKILL", true), { kind: "cancelled" }],
    [exited(null, "SIGKILL"), { kind: "failed", problem: { code: "restic.killed" } }],
    [exited(130), { kind: "failed", problem: { code: "restic.killed" } }],
    [exited(143), { kind: "failed", problem: { code: "restic.killed" } }],
    [
      exited(2),
      { kind: "failed", problem: { code: "restic.failed", message: expect.stringContaining("2") } },
    ],
    [{ kind: "not_started" }, { kind: "cancelled" }],
    [{ kind: "detached" }, { kind: "detached" }],
    [
      { kind: "vanished", stopRequested: false },
      { kind: "failed", problem: { code: "restic.vanished" } },
    ],
    [{ kind: "vanished", stopRequested: true }, { kind: "cancelled" }],
    [
      { kind: "spawn_failed", message: "ENOENT" },
      {
        kind: "failed",
        problem: { code: "restic.spawn_failed", message: expect.stringContaining("ENOENT") },
      },
    ],
  ] satisfies [RunExit, unknown][])("%o means %o", (exit, outcome) => {
    expect(interpretExit(exit, [])).toMatchObject(outcome as object);
  });

  it("passes restic's last words on, readable", () => {
    const outcome = interpretExit(exited(1), [
      '{"message_type":"error","error":{"message":"denied"},"during":"scan","item":"/a"}',
      '{"message_type":"exit_error","code":1,"message":"Fatal: something new"}',
    ]);
    if (outcome.kind !== "failed") throw new Error(outcome.kind);
    expect(outcome.problem.stderrTail).toEqual(["/a: denied", "Fatal: something new"]);
    expect(outcome.problem.message).toContain("Fatal: something new");
  });

  it("gives every problem a sentence", () => {
    expect(describeProblem("restic.timeout").message.length).toBeGreaterThan(20);
  });
});

describe("recognise", () => {
  it("is not fooled by the name of a file", () => {
    const item = '{"message_type":"error","error":{"message":"denied"},"item":"/no space left on device"}';
    expect(recognise([item, "/x/connection refused does not exist, skipping"])).toBeUndefined();
  });

  it("believes the final words over what was retried on the way", () => {
    const lines = [
      "Save(<data/1>) returned error, retrying after 1s: connection refused",
      '{"message_type":"exit_error","code":1,"message":"Fatal: write /r/x: no space left on device"}',
    ];
    expect(recognise(lines)).toBe("restic.repository_full");
  });
});

describe("StderrTail", () => {
  it("keeps the last lines only, each bounded", () => {
    const tail = new StderrTail();
    for (let index = 0; index < 100; index += 1) tail.add(`line ${index}`);
    tail.add("x".repeat(100_000));
    expect(tail.lines()).toHaveLength(20);
    expect(tail.lines()[0]).toBe("line 81");
    expect(tail.lines().at(-1)?.length).toBeLessThan(2_100);
  });

  it("keeps a final error recognisable when a stack trace makes it long", () => {
    const tail = new StderrTail();
    const message = `Fatal: no space left on device\n${"goroutine\n".repeat(1_000)}`;
    tail.add(JSON.stringify({ message_type: "exit_error", code: 1, message }));
    expect(recognise(tail.lines())).toBe("restic.repository_full");
  });
});

it("tells a snapshot or a path that is not there from other failures", () => {
  expect(isSnapshotGone(["Fatal: failed to find snapshot: failed to load snapshot deadbeef: open …"])).toBe(
    true,
  );
  expect(
    isSnapshotGone([
      '{"message_type":"exit_error","code":1,"message":"Fatal: no matching ID found for prefix"}',
    ]),
  ).toBe(true);
  expect(isPathMissing(["path tmp/new\nline/x: not found"])).toBe(true);
  expect(isPathMissing(["path etc/hosts/x: not a directory"])).toBe(true);
  for (const judge of [isSnapshotGone, isPathMissing])
    expect(judge(["Fatal: wrong password or no key found"])).toBe(false);
});
