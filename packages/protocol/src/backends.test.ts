/** What may go to restic with each kind of storage: the list is closed, and both sides refuse what is not on it. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type BackendSettings,
  backendKindOf,
  backendOptions,
  backendSecrets,
  backendVariables,
  findBackendProblems,
  repositoryAccess,
} from "./index.ts";

const KEY = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END PRIVATE KEY-----\n";
const account = (type = "service_account") =>
  JSON.stringify({ type, client_email: "backup@example.org", private_key: KEY });

const access = (location: string, settings: BackendSettings) => ({
  ...{ location, password: "x", rest_username: null, rest_password: null },
  ...settings,
});

describe("the kind of a location", () => {
  test.each([
    ["rest:https://h/", "rest"],
    ["/srv/restic", "local"],
    ["C:\\restic", "local"],
    ["\\\\nas\\restic", "local"],
    ["sftp:user@host:/srv", "sftp"],
    ["S3:h/bucket", "s3"],
    ["b2:bucket", "b2"],
    ["azure:c:/", "azure"],
    ["gs:b:/", "gs"],
    ["rclone:r:p", "rclone"],
    ["swift:c:/", undefined],
    ["constructor:x", undefined],
  ])("%s is %s", (location, kind) => {
    expect(backendKindOf(location)).toBe(kind);
  });
});

describe("variables and options", () => {
  test("nothing on the lists names a program, its arguments or a file of the host", () => {
    const names = [...Object.keys(backendVariables), ...Object.keys(backendOptions)];
    expect(names.filter((name) => /program|command|args|_FILE|PROFILE|PATH|CONFIG/i.test(name))).toEqual([]);
  });

  test("those of the location's kind pass", () => {
    const environment = { AWS_ACCESS_KEY_ID: "id", AWS_SECRET_ACCESS_KEY: "a/b+c==" };
    const options = { "s3.bucket-lookup": "path", "s3.connections": "20" };
    expect(repositoryAccess.safeParse(access("s3:h/b", { environment, options })).success).toBe(true);
  });

  test.each([
    ["LD_PRELOAD", "/tmp/x.so"],
    ["PATH", "/tmp"],
    ["RESTIC_PASSWORD_COMMAND", "id"],
    ["B2_ACCOUNT_KEY", "of another kind"],
    ["AWS_SECRET_ACCESS_KEY", "two words"],
    ["AWS_SECRET_ACCESS_KEY", "line\nbreak"],
    ["AWS_DEFAULT_REGION", "-x"],
    ["toString", "x"],
  ])("the variable %s=%j is refused for S3, without repeating it", (name, value) => {
    const environment = { [name]: value };
    const problems = findBackendProblems("s3:h/b", { environment });
    expect(problems).toMatchObject([{ path: ["environment", name] }]);
    expect(problems[0]?.message).not.toContain(value);
    expect(repositoryAccess.safeParse(access("s3:h/b", { environment })).success).toBe(false);
  });

  test.each([
    ["sftp:u@h:/x", "sftp.command", "id"],
    ["sftp:u@h:/x", "sftp.args", "-oProxyCommand=id"],
    ["rclone:r:p", "rclone.program", "id"],
    ["rclone:r:p", "rclone.args", "id"],
    ["s3:h/b", "s3.connections", "0"],
    ["s3:h/b", "s3.connections", "1000"],
    ["s3:h/b", "s3.storage-class", "GLACIER"],
    ["s3:h/b", "rest.connections", "5"],
    ["/srv", "s3.connections", "5"],
    ["swift:c:/", "swift.connections", "5"],
  ])("for %s the option %s=%s is refused", (location, name, value) => {
    const options = { [name]: value };
    expect(findBackendProblems(location, { options })).toMatchObject([{ path: ["options", name] }]);
    expect(repositoryAccess.safeParse(access(location, { options })).success).toBe(false);
  });

  test("any names and values never throw, and what passes is on the lists", () => {
    fc.assert(
      fc.property(
        fc.constantFrom("s3:h/b", "gs:b:/", "/srv", "x:y"),
        fc.dictionary(fc.string(), fc.string()),
        (location, values) => {
          const problems = findBackendProblems(location, { environment: values, options: values });
          const refused = new Set(problems.map(({ path }) => path.join("/")));
          for (const name of Object.keys(values)) {
            if (!refused.has(`environment/${name}`)) expect(Object.keys(backendVariables)).toContain(name);
            if (!refused.has(`options/${name}`)) expect(Object.keys(backendOptions)).toContain(name);
          }
        },
      ),
    );
  });
});

describe("Google's file", () => {
  const refused = (text: string) =>
    findBackendProblems("gs:b:/", { environment: { GOOGLE_APPLICATION_CREDENTIALS: text } }).length > 0;

  test("of a service account passes", () => {
    expect(refused(account())).toBe(false);
  });

  test.each([
    ["that may run a program", account("external_account")],
    ["of a user", account("authorized_user")],
    ["without a key", '{"type":"service_account","client_email":"x"}'],
    ["that is no JSON", "nonsense"],
    ["that is a path", "/etc/passwd"],
    ["that is larger than any is", `${account()}${" ".repeat(65_536)}`],
  ])("%s is refused", (_what, text) => {
    expect(refused(text)).toBe(true);
  });
});

describe("a certificate", () => {
  const pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
  const passes = (location: string, ca_certificate: string) =>
    repositoryAccess.safeParse(access(location, { ca_certificate })).success;

  test("may be a chain", () => {
    expect(passes("rest:https://h/", pem + pem)).toBe(true);
  });

  test.each([
    ["rest:https://h/", ""],
    ["rest:https://h/", "text before\n-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"],
    ["rest:https://h/", "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----"],
    ["rest:https://h/", `${pem}-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----`],
    ["/srv/restic", pem],
    ["sftp:u@h:/x", pem],
  ])("for %s is refused when it is %j", (location, text) => {
    expect(passes(location, text)).toBe(false);
  });
});

test("secrets are every secret value, and the key inside Google's file line by line", () => {
  const environment = {
    ...{ AWS_ACCESS_KEY_ID: "shown", AWS_SECRET_ACCESS_KEY: "hidden" },
    GOOGLE_APPLICATION_CREDENTIALS: account(),
  };
  const secrets = backendSecrets({ environment });
  expect(secrets).toContain("hidden");
  expect(secrets).toContain("MIIEvQIBADANBgkqhkiG9w0BAQEFAASC");
  expect(secrets).not.toContain("shown");
  expect(backendSecrets({})).toEqual([]);
});
