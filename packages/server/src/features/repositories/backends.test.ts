/** Kinds of storage: what is typed becomes a location that is taken, and comes back into the same fields. */
import { readFileSync } from "node:fs";
import {
  backendKindOf,
  backendKinds,
  backendOptions,
  backendVariables,
  optionsOf,
  variablesOf,
} from "@restic-manager/protocol";
import { describe, expect, it } from "vitest";
import type { RedactedCredentials } from "./access.ts";
import {
  accessProblems,
  adminValuesOf,
  readAccessForm,
  typedSecrets,
  valuesOf,
  withoutSecrets,
} from "./backend-form.ts";
import { backendOf, backends, formNames } from "./backends.ts";
import { describeCertificates, readCertificates } from "./certificates.ts";
import { applyEdit, inheritedByAdmin } from "./edit-access.ts";
import { readLocation } from "./repository-location.ts";

const typed: [string, Record<string, string>, string][] = [
  ["rest", { repo_url: "https://b.example.org:8000/web" }, "rest:https://b.example.org:8000/web"],
  ["local", { local_path: "/srv/restic" }, "/srv/restic"],
  ["local", { local_path: "C:\\restic" }, "C:\\restic"],
  ["sftp", { sftp_host: "nas", sftp_path: "/srv/restic" }, "sftp:nas:/srv/restic"],
  ["sftp", { sftp_host: "nas", sftp_user: "me", sftp_path: "restic" }, "sftp:me@nas:restic"],
  [
    "sftp",
    { sftp_host: "nas", sftp_user: "me", sftp_port: "2222", sftp_path: "/srv/restic" },
    "sftp://me@nas:2222//srv/restic",
  ],
  ["sftp", { sftp_host: "[::1]", sftp_port: "2222", sftp_path: "x" }, "sftp://[::1]:2222/x"],
  ["s3", { s3_endpoint: "s3.amazonaws.com", s3_bucket: "b" }, "s3:s3.amazonaws.com/b"],
  [
    "s3",
    { s3_endpoint: "http://minio:9000", s3_bucket: "b", s3_folder: "x/y" },
    "s3:http://minio:9000/b/x/y",
  ],
  ["b2", { b2_bucket: "b" }, "b2:b"],
  ["b2", { b2_bucket: "b", b2_folder: "x/y" }, "b2:b:x/y"],
  ["azure", { azure_container: "c", azure_folder: "x" }, "azure:c:/x"],
  ["gs", { gs_bucket: "g" }, "gs:g:/"],
  ["rclone", { rclone_remote: "drive", rclone_path: "x/y" }, "rclone:drive:x/y"],
];

describe("the fields of a place", () => {
  it.each(typed)("of %s %j make a location of that kind, and come back from it", (kind, fields, location) => {
    const { location: made = "" } = readAccessForm({ backend: kind, ...fields }, null);
    const reading = readLocation(made);
    expect(reading).toMatchObject({ location });
    expect(backendKindOf(location)).toBe(kind);
    const back = backends.find((backend) => backend.kind === kind)?.toFields(location) ?? {};
    for (const [name, value] of Object.entries(back))
      expect([name, value]).toEqual([name, fields[name] ?? ""]);
  });

  it("take a whole location of restic's in the URL of a rest-server, without the fields of that", () => {
    const edit = readAccessForm({ backend: "rest", repo_url: "sftp:nas:/x", "rest.connections": "4" }, null);
    expect(edit).toEqual({ location: "sftp:nas:/x" });
  });

  it("have names of their own over all kinds", () => {
    expect(new Set(formNames()).size).toBe(formNames().length);
  });
});

describe("every kind", () => {
  it.each(backendKinds)(
    "%s offers the variables of the protocol, and its words are in the documentation",
    (kind) => {
      expect(
        backendOf(kind)
          .variables.map(({ name }) => name)
          .sort(),
      ).toEqual(variablesOf(kind).sort());
      const page = readFileSync(new URL("../../../../../docs/user/backends.md", import.meta.url), "utf8");
      for (const name of [...variablesOf(kind), ...optionsOf(kind)]) expect(page).toContain(`\`${name}\``);
    },
  );

  it("is whole in the lists", () => {
    expect(backends.flatMap(({ kind }) => variablesOf(kind))).toHaveLength(
      Object.keys(backendVariables).length,
    );
    expect(backends.flatMap(({ kind }) => optionsOf(kind))).toHaveLength(Object.keys(backendOptions).length);
  });
});

const google = JSON.stringify({ type: "service_account", client_email: "a@b", private_key: "key" });
const storedGoogle: RedactedCredentials = {
  ...{ location: "gs:b:/", kind: "gs", restUsername: null, passwordSet: true, restPasswordSet: false },
  ...{ environment: { GOOGLE_PROJECT_ID: "p" }, secretsSet: ["GOOGLE_APPLICATION_CREDENTIALS"] },
  ...{ caCertificate: null, options: {}, version: 1, updatedAt: 1 },
};

describe("secrets of a form", () => {
  it("replace what stands for the same, and are kept when they are empty", () => {
    const form = { backend: "gs", gs_bucket: "b", GOOGLE_PROJECT_ID: "p" };
    expect(readAccessForm(form, storedGoogle).environment).toEqual({ GOOGLE_PROJECT_ID: "p" });
    const environment = readAccessForm({ ...form, GOOGLE_ACCESS_TOKEN: "t" }, storedGoogle).environment;
    expect(environment).toEqual({
      ...{ GOOGLE_PROJECT_ID: "p", GOOGLE_ACCESS_TOKEN: "t", GOOGLE_APPLICATION_CREDENTIALS: "" },
    });
  });

  it("are not among what is shown again", () => {
    const form = {
      backend: "gs",
      GOOGLE_APPLICATION_CREDENTIALS: google,
      repo_password: "p",
      gs_bucket: "b",
    };
    expect(withoutSecrets(form)).toEqual({ backend: "gs", gs_bucket: "b" });
    expect(typedSecrets(form)).toEqual(["GOOGLE_APPLICATION_CREDENTIALS", "repo_password"]);
    expect(withoutSecrets({ repo_url: "https://me:pass@host/x" })).toEqual({ repo_url: "https://me@host/x" });
    expect(valuesOf(storedGoogle)).toMatchObject({ backend: "gs", gs_bucket: "b", GOOGLE_PROJECT_ID: "p" });
  });

  it("have their problems beside their fields", () => {
    const problems = {
      ...{
        "environment.B2_ACCOUNT_KEY": "a",
        "options.b2.connections": "b",
        ca_certificate: "c",
        repo_url: "d",
      },
    };
    expect(accessProblems(problems, { backend: "b2" })).toEqual({
      ...{ B2_ACCOUNT_KEY: "a", "b2.connections": "b", b2_ca_certificate: "c", b2_bucket: "This is needed." },
    });
  });
});

describe("admin credentials", () => {
  it("begin with the place and the way to it, and with nobody who signs in", () => {
    const everyday = applyEdit(null, {
      ...{ location: "azure:c:/", password: "p", options: { "azure.connections": "3" } },
      environment: { AZURE_ACCOUNT_NAME: "name", AZURE_ACCOUNT_KEY: "key" },
    });
    const { environment, options } = inheritedByAdmin(everyday);
    expect(environment).toEqual({ AZURE_ACCOUNT_NAME: "name" });
    const shown = { ...storedGoogle, location: "s3:h/b", kind: "s3" as const };
    const keys = { AWS_ACCESS_KEY_ID: "id", AWS_DEFAULT_REGION: "eu" };
    const values = adminValuesOf({ ...shown, environment: keys });
    expect(values).toMatchObject({ backend: "s3", s3_bucket: "b", AWS_DEFAULT_REGION: "eu" });
    expect(values).not.toHaveProperty("AWS_ACCESS_KEY_ID");
    expect(options).toEqual({ "azure.connections": "3" });
  });
});

describe("certificates", () => {
  const pem = readFileSync(new URL("../../../../agent/fixtures/tls/authority.pem", import.meta.url), "utf8");

  it("are read out of a text with comments and Windows line ends, several at once", () => {
    const read = readCertificates(`Subject: x\r\n${pem.replaceAll("\n", "\r\n")}\n${pem}`);
    if ("problem" in read) throw new Error(read.problem);
    expect(describeCertificates(read.pem).map(({ subject }) => subject)).toEqual([
      "CN=restic-manager test authority",
      "CN=restic-manager test authority",
    ]);
  });

  it.each(["", "x", pem.slice(0, 200), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])(
    "that are none are refused with a sentence: %#",
    (text) => {
      expect(readCertificates(text)).toHaveProperty("problem");
    },
  );
});
