/** Kinds of storage with canned data: the form of each, what is stored, what is wrong, and what came of a test. */
import { readFileSync } from "node:fs";
import { renderAddHostPage } from "../../packages/server/src/features/enrolment/enrolment.views.tsx";
import { renderHostPage } from "../../packages/server/src/features/overview/host.views.tsx";
import type { RepositoryTabProps } from "../../packages/server/src/features/overview/host-repository.views.tsx";
import type { RedactedCredentials } from "../../packages/server/src/features/repositories/repositories.ts";
import type { PageContext } from "../../packages/server/src/platform/html/scope.ts";
import { HEADER, HOST_PAGE, NOW } from "./data.ts";
import { TAB, VIEW } from "./repository.ts";

const DAY = 86_400_000;
const AUTHORITY = readFileSync(
  new URL("../../packages/agent/fixtures/tls/authority.pem", import.meta.url),
  "utf8",
);

const S3: RedactedCredentials = {
  ...{ location: "s3:https://minio.example.com:9000/backups/db-primary", kind: "s3", restUsername: null },
  ...{ passwordSet: true, restPasswordSet: false, updatedAt: NOW - 4 * DAY, version: 3 },
  environment: { AWS_ACCESS_KEY_ID: "db-primary", AWS_DEFAULT_REGION: "eu-central-1" },
  secretsSet: ["AWS_SECRET_ACCESS_KEY"],
  caCertificate: AUTHORITY,
  options: { "s3.connections": "10" },
};

const tab = (page: PageContext, overrides: Partial<RepositoryTabProps>): string =>
  renderHostPage(page, {
    ...HOST_PAGE,
    host: HEADER,
    tab: {
      ...{ name: "repository", ...TAB, access: S3 },
      view: { ...VIEW, adminCredentials: null },
      ...overrides,
    },
  });

const kindForm =
  (kind: string, values: Record<string, string> = {}) =>
  (page: PageContext) =>
    renderAddHostPage(page, { form: { values: { backend: kind, hostname: "web-01", ...values } } });

/** Each view by its name. */
export const BACKEND_VIEWS: Readonly<Record<string, (page: PageContext) => string>> = {
  "backend-rest": kindForm("rest"),
  "backend-local": kindForm("local"),
  "backend-sftp": kindForm("sftp"),
  "backend-s3": kindForm("s3", { "s3.connections": "10" }),
  "backend-b2": kindForm("b2"),
  "backend-azure": kindForm("azure"),
  "backend-gs": kindForm("gs"),
  "backend-rclone": kindForm("rclone"),
  "backend-refused": (page) =>
    renderAddHostPage(page, {
      form: {
        values: {
          backend: "s3",
          hostname: "web-01",
          s3_endpoint: "minio.example.com",
          AWS_ACCESS_KEY_ID: "id",
        },
        errors: {
          s3_bucket: "This is needed.",
          AWS_SECRET_ACCESS_KEY: "The secret access key is needed.",
          s3_ca_certificate: "One of these is no valid certificate. Copy the file once more, whole.",
        },
      },
    }),
  "backend-stored": (page) => tab(page, {}),
  "backend-too-old": (page) => tab(page, { agentTooOld: true }),
  "backend-tested": (page) =>
    tab(page, {
      form: {
        tested: {
          ...{ outcome: "ok", code: null, lastLines: [], durationMs: 812 },
          message: "The repository opens with these credentials.",
        },
      },
    }),
  "backend-test-failed": (page) =>
    tab(page, {
      form: {
        tested: {
          ...{ outcome: "failed", code: "restic.certificate_untrusted", durationMs: 1212 },
          message:
            "The storage's certificate is not trusted by this host. If it is of an authority of your own, paste that one's certificate into the field CA certificate; else check the host name, its end date and this host's clock.",
          lastLines: [
            'Stat(<config/>) returned error, retrying after 1.16s: Head "https://minio.example.com:9000/x/config": tls: failed to verify certificate: x509: certificate signed by unknown authority',
          ],
        },
      },
    }),
  "backend-test-away": (page) =>
    tab(page, {
      form: { tested: { refused: "The host is offline. Start its agent, then try again." } },
    }),
};
