/** restic's repository strings: what is taken, how it is spelled, what is refused and how it says so. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readLocation } from "./repository-location.ts";

const locationOf = (typed: string) => {
  const reading = readLocation(typed);
  return "location" in reading ? reading.location : reading;
};

describe("a location", () => {
  it.each([
    ["/srv/restic", "/srv/restic"],
    ["  /srv//restic/./a/../b/  ", "/srv/restic/b"],
    ["/", "/"],
    ["local:/srv/restic/", "/srv/restic"],
    ["c:\\Backups\\", "C:\\Backups"],
    ["C:/Backups/host", "C:\\Backups\\host"],
    ["\\\\nas\\share\\restic\\", "\\\\nas\\share\\restic"],
    ["rest:http://Backup.Example.org:80/Host/", "rest:http://backup.example.org/Host"],
    ["REST:HTTPS://backup.example.org:443/", "rest:https://backup.example.org"],
    ["rest:https://backup.example.org:8000/web-01/", "rest:https://backup.example.org:8000/web-01"],
    ["rest:http://[::1]:8000/a", "rest:http://[::1]:8000/a"],
    ["/srv/a /.. /", "/srv"],
    ["sftp:Me@Backup.example.org:/srv/restic/", "sftp:Me@backup.example.org:/srv/restic"],
    ["sftp:backup:restic", "sftp:backup:restic"],
    ["sftp://me@backup.example.org:2222//srv/restic/", "sftp://me@backup.example.org:2222//srv/restic"],
    ["sftp://backup.example.org:22/restic", "sftp://backup.example.org/restic"],
    ["s3:https://S3.example.org:443/Bucket/", "s3:https://s3.example.org/Bucket"],
    ["s3:S3.amazonaws.com/bucket/a b/", "s3:s3.amazonaws.com/bucket/a b"],
    ["s3://s3.example.org:9000/bucket", "s3:s3.example.org:9000/bucket"],
    ["b2:bucket:path/to/", "b2:bucket:path/to"],
    ["b2:bucket", "b2:bucket"],
    ["azure:container:/", "azure:container:/"],
    ["gs:bucket:/path", "gs:bucket:/path"],
    ["rclone:remote:path/", "rclone:remote:path"],
    ["rclone:remote:", "rclone:remote:"],
    ["rclone:My remote_2.b:a,b", "rclone:My remote_2.b:a,b"],
    ["sftp://dom\\me@[::1]:2222//srv/restic", "sftp://dom\\me@[::1]:2222//srv/restic"],
  ])("%j is %j", (typed, location) => {
    expect(locationOf(typed)).toBe(location);
    expect(locationOf(location)).toBe(location);
  });

  it.each([
    "sftp:-oproxycommand=touch x:/srv/restic",
    "sftp://-oproxycommand=touch x/srv/restic",
    "sftp:-oproxycommand=x@host:/srv/restic",
    "sftp://-l@host//srv/restic",
    "sftp:host name:/srv/restic",
    "rclone:--password-command=id:path",
    "rclone:remote,ssh=id:path",
    'rclone:remote,ssh="sh -c id":path',
    "rclone: -x:path",
  ])("%j is refused: ssh or rclone would read a part of it as an option", (typed) => {
    expect(readLocation(typed)).toHaveProperty("problem");
  });

  it.each(["sftp:rest: /", "s3:!/ /"])("%j is refused: its path is nothing but blanks", (typed) => {
    expect(readLocation(typed)).toHaveProperty("problem");
  });

  it("of a rest-server gives its user info away", () => {
    expect(readLocation("rest:https://us%40er:p%3Aw%2Fd@backup.example.org/x")).toEqual({
      location: "rest:https://backup.example.org/x",
      username: "us@er",
      password: "p:w/d",
    });
    expect(readLocation("rest:https://user@backup.example.org/x")).toMatchObject({
      username: "user",
      password: null,
    });
  });

  it("without a scheme is answered with the right form", () => {
    for (const typed of [
      "backup.example.org/x",
      "backup.example.org:8000/x",
      "https://backup.example.org/x",
    ]) {
      expect(readLocation(typed)).toEqual({ problem: expect.stringContaining("rest:https://") });
    }
  });

  it.each(["", "   ", "srv/restic", "./restic", "../restic", "~/restic", "C:restic", "local:restic"])(
    "%j is refused, because it means another place in another folder",
    (typed) => {
      expect(readLocation(typed)).toEqual({ problem: expect.stringMatching(/absolute|needed/) });
    },
  );

  it.each([
    "ftp://host/x",
    "constructor:x",
    "rest:backup.example.org/x",
    "rest:ftp://host/x",
    "rest:https:host",
    "rest:https:///x",
    "rest:https://host/x?token=1",
    "rest:https://host/x#part",
    "rest:https://u:%zz@host/x",
    "rest:https://u:%00@host/x",
    "sftp:host",
    "sftp:user:secret@host:/x",
    "sftp://user:secret@host/x",
    "s3:https://key:secret@host/bucket",
    "s3:key:secret@host/bucket",
    "s3:https://host",
    "s3:host",
    "b2:",
    "rclone:remote",
    "/srv/re\nstic",
    "rest:http://host/\u0000",
    `/${"x".repeat(3000)}`,
    `rest:http://host/${" ".repeat(1000)}x`,
  ])("%j is refused without repeating it", (typed) => {
    const reading = readLocation(typed);
    expect(reading).toHaveProperty("problem");
    expect(JSON.stringify(reading)).not.toContain("secret");
  });

  it("is read from any text without failing, and reads the same again", () => {
    const part = fc.constantFrom(
      "rest:",
      "http://",
      "sftp:",
      "s3:",
      "/",
      "\\",
      "C:",
      "user",
      ":",
      "@",
      "host",
      "%",
      " ",
      "..",
    );
    const built = fc
      .array(fc.oneof(part, fc.string({ maxLength: 4 })), { maxLength: 10 })
      .map((parts) => parts.join(""));
    fc.assert(
      fc.property(fc.oneof(built, fc.string({ unit: "binary" })), (typed) => {
        const location = locationOf(typed);
        if (typeof location === "string") expect(locationOf(location)).toBe(location);
      }),
      { numRuns: 2000 },
    );
  });
});
