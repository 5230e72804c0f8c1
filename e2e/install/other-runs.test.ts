/**
 * What else starts restic on a machine, in every place that a system has for that: the installer prints a command for
 * each, changes nothing itself, and the command as it was printed switches off that one entry and no other.
 */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { Stage } from "./stage.ts";

let stage: Stage;
const shell = (line: string) => stage.machine.shell(line);

/** Stands in every crontab below and is no run of restic: none of it may be shown, and all of it has to stay. */
const others = `# restic was here: 1 2 * * * root restic backup /etc
MAILTO=restic@example.org
RESTIC_PASSWORD=hunter2
  PATH = /opt/restic/bin:/usr/bin:/bin
3 4 * * * true # restic is done elsewhere
5 6 * * * /usr/local/bin/nightly.sh.old
*/5 * * * * restic-manager-agent status
7 8 * * * pgbackrest --stanza=main backup
`;
const script = "/usr/local/bin/nightly.sh";
const timers = "systemctl list-timers --all --plain --no-legend | grep -o '[^ ]*\\.timer' | sort";
const places =
  "/etc/crontab /etc/cron.* /etc/anacrontab /var/spool/cron /etc/systemd/system /usr/local/lib/systemd";

beforeAll(async () => {
  stage = await Stage.set({ init: "systemd" });
  await stage.addHost("web-01", ["/etc/apt"]);
  await stage.machine.write(script, "#!/bin/sh\n# Every night.\nrestic backup /srv\n", "755");
  await stage.machine.write(`${script}.old`, "#!/bin/sh\n# restic backup /srv\ntar c /srv >/mnt\n", "755");
  await shell("useradd ann");
});
afterAll(() => stage?.close());
beforeEach(async () => {
  await shell("rm -f /etc/cron.d/* /var/spool/cron/crontabs/*; : >/etc/crontab; : >/etc/anacrontab");
});

/** Every line of every file that starts something, every mode, and every timer that is on. */
const state = async () =>
  (
    await shell(`find ${places} -type f ! -name 'restic-manager*' -printf '%p %m\\n' -exec grep -nH . {} \\;
${timers}`)
  ).split("\n");

/** Runs the installer once more. @returns the commands that it prints for other runs */
async function shown(): Promise<string[]> {
  const before = await state();
  const { code, output } = await stage.install({});
  expect(code).toBe(0);
  expect(output).not.toContain("hunter2");
  expect(await state()).toEqual(before);
  return (output.split("this ends the old ones:\n")[1] ?? "")
    .split("\n")
    .filter((line) => line.startsWith("  "))
    .map((line) => line.trim());
}

/** Runs a command as it was printed. @returns the lines of the state that it took away and those that it brought */
async function changeOf(command: string): Promise<{ gone: string[]; new: string[] }> {
  const before = await state();
  await shell(command);
  const after = await state();
  return {
    gone: before.filter((line) => !after.includes(line)),
    new: after.filter((line) => !before.includes(line)),
  };
}

test("each line of each crontab that starts restic is shown and switched off alone", async () => {
  const system = others.replaceAll("* * * ", "* * * root ");
  const lines: Readonly<Record<string, readonly string[]>> = {
    "/etc/crontab": [
      "9 1 * * * root RESTIC_PASSWORD='a#b hunter2' restic backup /home",
      `@daily root ${script} >/dev/null 2>&1`,
      "9 2 * * * root RESTIC_PASSWORD='a#b hunter2' restic backup /home",
    ],
    "/etc/cron.d/backup": [
      "  9 1 * * * root /opt/restic/restic backup",
      `-9 1 * * * root cd /srv && ${script}`,
    ],
    "/etc/anacrontab": [`1 5 nightly ${script}`, "@monthly 15 check nice restic check"],
  };
  for (const [file, own] of Object.entries(lines))
    await stage.machine.write(file, `${system}${own.join("\n")}\n`);
  const commands = await shown();
  const all = Object.entries(lines).flatMap(([file, own]) =>
    own.map((line, row) => ({ file, line, at: 9 + row })),
  );
  expect(commands).toHaveLength(all.length);
  // From the last to the first: none depends on those above it.
  for (const [index, { file, line, at }] of [...all.entries()].toReversed()) {
    const command = commands[index] ?? "";
    expect(command).toMatch(new RegExp(`^sed -i '${at}\\{.*\\}' ${file}$`));
    expect(await changeOf(command)).toEqual({
      gone: [`${file}:${at}:${line}`],
      new: [`${file}:${at}:#${line}`],
    });
  }
  expect(await shown()).toEqual([]);
});

test("each line of each user's crontab, too", async () => {
  const lines = ["9 1 * * * RESTIC_PASSWORD=hunter2 restic backup ~", `@reboot ${script}`];
  for (const user of ["ann", "root"])
    await shell(`crontab -u ${user} - <<'END'\n${others}${lines.join("\n")}\nEND`);
  const commands = await shown();
  const edits = ["9{/restic/s/^/#/;}", `10{\\|${script}|s/^/#/;}`];
  expect(commands).toEqual(
    ["ann", "root"].flatMap((user) =>
      edits.map((edit) => `crontab -u ${user} -l | sed '${edit}' | crontab -u ${user} -`),
    ),
  );
  const tables = async () => [await shell("crontab -u ann -l"), await shell("crontab -u root -l")];
  const [first, second] = lines;
  await shell(commands[1] ?? "");
  expect(await tables()).toEqual([`${others}${first}\n#${second}\n`, `${others}${first}\n${second}\n`]);
  await shell(commands[2] ?? "");
  await shell(commands[0] ?? "");
  expect(await tables()).toEqual([`${others}#${first}\n#${second}\n`, `${others}#${first}\n${second}\n`]);
  expect(await shown()).toEqual(commands.slice(3));
});

test("a crontab that was changed after it was shown is left alone", async () => {
  await stage.machine.write("/etc/cron.d/backup", "9 1 * * * root restic backup /home\n");
  const [command = ""] = await shown();
  await stage.machine.write("/etc/cron.d/backup", "9 1 * * * root true\n1 9 * * * root restic check\n");
  expect(await changeOf(command)).toEqual({ gone: [], new: [] });
});

test("scripts that the system runs every hour, day, week and month", async () => {
  const folders = ["hourly", "daily", "weekly", "monthly"].map((period) => `/etc/cron.${period}`);
  for (const folder of folders) {
    await stage.machine.write(`${folder}/zz-forget`, "#!/bin/sh\nexec restic forget --keep-last 3\n", "755");
    await stage.machine.write(`${folder}/its check`, "#!/bin/sh\nexec restic check\n", "755");
    await stage.machine.write(
      `${folder}/other`,
      "#!/bin/sh\n# no restic\nrestic-manager-agent status\n",
      "755",
    );
  }
  const commands = await shown();
  expect(commands).toEqual(
    folders.flatMap((folder) => [`chmod -x '${folder}/its check'`, `chmod -x ${folder}/zz-forget`]),
  );
  for (const command of commands) {
    const file = command.replace("chmod -x ", "").replaceAll("'", "");
    expect(await changeOf(command)).toEqual({ gone: [`${file} 755`], new: [`${file} 644`] });
  }
  expect(await shown()).toEqual([]);
});

test("timers that start restic: by their name, their service, a script, or as instances of a template", async () => {
  const timer = "[Timer]\nOnCalendar=daily\n[Install]\nWantedBy=timers.target\n";
  const runs = (command: string) => `[Service]\nExecStart=${command}\n`;
  const units: Readonly<Record<string, string>> = {
    "etc/systemd/system/by-name-restic.timer": timer,
    "etc/systemd/system/by-name-restic.service": runs("/usr/bin/true"),
    "usr/local/lib/systemd/system/by-script.timer": timer.replace(
      "[Install]",
      "Unit=nightly.service\n[Install]",
    ),
    "etc/systemd/system/nightly.service": runs(`-${script} --quiet`),
    "etc/systemd/system/by-addition.timer": timer,
    "etc/systemd/system/by-addition.service": runs("/usr/bin/true"),
    "etc/systemd/system/by-addition.service.d/more.conf":
      "[Service]\nExecStartPost=/usr/bin/env restic check\n",
    "usr/local/lib/systemd/system/copy@.timer": timer,
    "etc/systemd/system/copy@.service": runs("/usr/bin/restic -r /srv/%i copy"),
    "etc/systemd/system/pgbackrest.timer": timer,
    "etc/systemd/system/pgbackrest.service": runs("/usr/bin/pgbackrest backup"),
    "etc/systemd/system/restic-off.timer": timer,
    "etc/systemd/system/restic-off.service": runs("/usr/bin/true"),
  };
  for (const [path, text] of Object.entries(units)) {
    await shell(`mkdir -p "$(dirname /${path})"`);
    await stage.machine.write(`/${path}`, text);
  }
  const started = ["by-addition", "by-name-restic", "by-script", "copy@home", "copy@srv"].map(
    (name) => `${name}.timer`,
  );
  await shell(
    `systemctl daemon-reload && systemctl enable --now --quiet ${started.join(" ")} pgbackrest.timer`,
  );
  const commands = await shown();
  expect(commands).toEqual(started.map((name) => `systemctl disable --now ${name}`));
  for (const [index, command] of commands.entries())
    expect(await changeOf(command)).toEqual({ gone: [started[index]], new: [] });
  expect(await shown()).toEqual([]);
  expect(await shell("systemctl is-enabled pgbackrest.timer")).toBe("enabled\n");
});
