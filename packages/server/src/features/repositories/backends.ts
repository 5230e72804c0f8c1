/**
 * The kinds of storage as a person meets them: what each is called, what it asks for, and how that makes restic's
 * location, variables and options. One declaration for forms, API and enrolment; what the names may hold is the
 * protocol's. Pure.
 */
import {
  type BackendKind,
  type BackendOptionName,
  type BackendVariableName,
  backendVariables,
  optionsOf,
  takesCertificate,
} from "@restic-manager/protocol";

/** One input of a form. `name` is unique over all kinds. */
export interface BackendField {
  readonly name: string;
  readonly label: string;
  readonly hint?: string;
  readonly example?: string;
  readonly optional?: boolean;
  /** Lines of text; one when absent. */
  readonly rows?: number;
}

/** An input whose value goes to restic as a variable; secret ones are never shown again. */
export interface VariableField extends BackendField {
  readonly name: BackendVariableName;
  /** Forgotten when this one is given anew and they are not: they belong together, or stand for each other. */
  readonly supersedes?: readonly BackendVariableName[];
}

export interface Backend {
  readonly kind: BackendKind;
  readonly name: string;
  /** What it is, in a few words. */
  readonly summary: string;
  /** What makes the location. */
  readonly place: readonly BackendField[];
  readonly variables: readonly VariableField[];
  /** Variables of which all or none must be there. */
  readonly pairs: readonly (readonly BackendVariableName[])[];
  /** Variables without which restic can't sign in. */
  readonly needs: readonly BackendVariableName[];
  /** What must be known beside the fields. */
  readonly note?: string;
  /** The location of what was typed, as restic spells it; `readLocation` judges it. */
  toLocation(typed: (field: string) => string): string;
  /** The fields of a location of this kind. */
  toFields(location: string): Record<string, string>;
}

/** What follows the scheme. */
const restOf = (location: string): string => location.slice(location.indexOf(":") + 1);

const withFolder = (place: string, separator: string, folder: string): string => {
  const path = folder.replace(/^\/+/, "");
  return path === "" ? place : `${place}${separator}${path}`;
};

const folderField = (name: string): BackendField => ({
  ...{ name, label: "Folder", optional: true, example: "web-01" },
  hint: "Inside of it; empty for its root.",
});

const rest: Backend = {
  kind: "rest",
  name: "rest-server",
  summary: "restic’s own, over HTTP",
  place: [
    {
      name: "repo_url",
      label: "URL",
      example: "https://backup.example.com:8000/web-01/",
      hint: "Of the repository on the server; with --private-repos it begins with the user’s name.",
    },
  ],
  variables: [],
  pairs: [],
  needs: [],
  // Whoever has a location in restic's own spelling may paste it here, whatever its kind.
  toLocation: (typed) => {
    const url = typed("repo_url").trim();
    return /^https?:\/\//i.test(url) ? `rest:${url}` : url;
  },
  toFields: (location) => ({ repo_url: restOf(location) }),
};

const local: Backend = {
  kind: "local",
  name: "Local path",
  summary: "a folder or mounted disk",
  place: [
    {
      name: "local_path",
      label: "Path",
      example: "/srv/restic",
      hint: "Absolute, as the host sees it. A disk that is not mounted is an empty folder: mount it before.",
    },
  ],
  variables: [],
  pairs: [],
  needs: [],
  toLocation: (typed) => typed("local_path").trim(),
  toFields: (location) => ({ local_path: location }),
};

const sftpForms =
  /^\/\/(?:([^@/]+)@)?(\[[^\]]+\]|[^:/]+)(?::(\d+))?\/(.*)$|^(?:([^@/]+)@)?(\[[^\]]+\]|[^:/]+):(.*)$/;

const sftp: Backend = {
  kind: "sftp",
  name: "SFTP",
  summary: "any server with SSH",
  place: [
    { name: "sftp_host", label: "Server", example: "backup.example.com" },
    { name: "sftp_port", label: "Port", example: "22", optional: true },
    {
      name: "sftp_user",
      label: "User",
      example: "restic",
      optional: true,
      hint: "Empty: the agent’s own user.",
    },
    {
      name: "sftp_path",
      label: "Path",
      example: "/srv/restic/web-01",
      hint: "Without a slash in front it begins in the user’s home folder.",
    },
  ],
  variables: [],
  pairs: [],
  needs: [],
  note: "The host signs in with the SSH key and known_hosts of the agent’s user (root’s, in /root/.ssh). No password is asked for: make the key and accept the server’s before.",
  toLocation(typed) {
    const user = typed("sftp_user").trim();
    const name = `${user === "" ? "" : `${user}@`}${typed("sftp_host").trim()}`;
    const port = typed("sftp_port").trim();
    const path = typed("sftp_path").trim();
    return port === "" ? `sftp:${name}:${path}` : `sftp://${name}:${port}/${path}`;
  },
  toFields(location) {
    const found = sftpForms.exec(restOf(location)) ?? [];
    const [, user = found[5], host = found[6], port, path = found[7]] = found;
    return {
      ...{ sftp_host: host ?? "", sftp_port: port ?? "" },
      ...{ sftp_user: user ?? "", sftp_path: path ?? "" },
    };
  },
};

const s3: Backend = {
  kind: "s3",
  name: "S3",
  summary: "Amazon and compatible",
  place: [
    {
      name: "s3_endpoint",
      label: "Endpoint",
      example: "s3.eu-central-1.amazonaws.com",
      hint: "A host name, or a URL with http:// and a port for a server of your own.",
    },
    { name: "s3_bucket", label: "Bucket", example: "backups" },
    folderField("s3_folder"),
  ],
  variables: [
    { name: "AWS_DEFAULT_REGION", label: "Region", example: "eu-central-1", optional: true },
    {
      ...{ name: "AWS_ACCESS_KEY_ID", label: "Access key id", optional: true },
      hint: "Empty: the role that AWS gives the host itself.",
      supersedes: ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"],
    },
    {
      ...{ name: "AWS_SECRET_ACCESS_KEY", label: "Secret access key", optional: true },
      supersedes: ["AWS_SESSION_TOKEN"],
    },
    {
      ...{ name: "AWS_SESSION_TOKEN", label: "Session token", optional: true },
      hint: "Of temporary keys only; they end.",
    },
  ],
  pairs: [["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]],
  needs: [],
  toLocation(typed) {
    const endpoint = typed("s3_endpoint").trim().replace(/\/+$/, "");
    return withFolder(`s3:${endpoint}/${typed("s3_bucket").trim()}`, "/", typed("s3_folder").trim());
  },
  toFields(location) {
    const [, scheme = "", host = "", bucket = "", folder = ""] =
      /^(https?:\/\/)?([^/]*)\/([^/]*)\/?(.*)$/.exec(restOf(location)) ?? [];
    return { s3_endpoint: `${scheme}${host}`, s3_bucket: bucket, s3_folder: folder };
  },
};

/** `scheme:name`, or `scheme:name:folder`. */
const readBucketPlace = (location: string): [name: string, folder: string] => {
  const [, name = "", folder = ""] = /^([^:]*):?\/?(.*)$/.exec(restOf(location)) ?? [];
  return [name, folder];
};

const b2: Backend = {
  kind: "b2",
  name: "Backblaze B2",
  summary: "by its own API",
  place: [{ name: "b2_bucket", label: "Bucket", example: "backups" }, folderField("b2_folder")],
  variables: [
    { name: "B2_ACCOUNT_ID", label: "Key id", supersedes: ["B2_ACCOUNT_KEY"] },
    { name: "B2_ACCOUNT_KEY", label: "Application key" },
  ],
  pairs: [],
  needs: ["B2_ACCOUNT_ID", "B2_ACCOUNT_KEY"],
  note: "B2 also speaks S3, which restic’s authors advise: its errors are handled better there.",
  toLocation: (typed) => withFolder(`b2:${typed("b2_bucket").trim()}`, ":", typed("b2_folder").trim()),
  toFields(location) {
    const [b2_bucket, b2_folder] = readBucketPlace(location);
    return { b2_bucket, b2_folder };
  },
};

const azure: Backend = {
  kind: "azure",
  name: "Azure Blob",
  summary: "a container",
  place: [{ name: "azure_container", label: "Container", example: "backups" }, folderField("azure_folder")],
  variables: [
    { name: "AZURE_ACCOUNT_NAME", label: "Storage account" },
    {
      ...{ name: "AZURE_ACCOUNT_KEY", label: "Account key", optional: true },
      hint: "Or a shared access signature below; neither: the host’s managed identity.",
      supersedes: ["AZURE_ACCOUNT_SAS"],
    },
    {
      ...{ name: "AZURE_ACCOUNT_SAS", label: "Shared access signature", optional: true },
      supersedes: ["AZURE_ACCOUNT_KEY"],
    },
    {
      ...{ name: "AZURE_ENDPOINT_SUFFIX", label: "Endpoint suffix", optional: true },
      ...{ example: "core.windows.net", hint: "For a national cloud." },
    },
  ],
  pairs: [],
  needs: ["AZURE_ACCOUNT_NAME"],
  note: "Debian and Ubuntu build their restic without Azure: install restic’s own release on such a host.",
  toLocation: (typed) => `azure:${typed("azure_container").trim()}:/${bare(typed("azure_folder"))}`,
  toFields(location) {
    const [azure_container, azure_folder] = readBucketPlace(location);
    return { azure_container, azure_folder };
  },
};

const bare = (folder: string): string => folder.trim().replace(/^\/+/, "");

const gs: Backend = {
  kind: "gs",
  name: "Google Cloud",
  summary: "a bucket",
  place: [{ name: "gs_bucket", label: "Bucket", example: "backups" }, folderField("gs_folder")],
  variables: [
    {
      ...{ name: "GOOGLE_PROJECT_ID", label: "Project id", optional: true },
      hint: "Needed to create the bucket.",
    },
    {
      ...{
        name: "GOOGLE_APPLICATION_CREDENTIALS",
        label: "Key of a service account",
        optional: true,
        rows: 5,
      },
      hint: "The JSON file as it is. Empty: the identity that Google gives the host itself.",
      supersedes: ["GOOGLE_ACCESS_TOKEN"],
    },
    {
      ...{ name: "GOOGLE_ACCESS_TOKEN", label: "Access token", optional: true },
      hint: "In place of the key; it ends within the hour.",
      supersedes: ["GOOGLE_APPLICATION_CREDENTIALS"],
    },
  ],
  pairs: [],
  needs: [],
  toLocation: (typed) => `gs:${typed("gs_bucket").trim()}:/${bare(typed("gs_folder"))}`,
  toFields(location) {
    const [gs_bucket, gs_folder] = readBucketPlace(location);
    return { gs_bucket, gs_folder };
  },
};

const rclone: Backend = {
  kind: "rclone",
  name: "rclone",
  summary: "what the host’s is set up for",
  place: [
    { name: "rclone_remote", label: "Remote", example: "drive", hint: "Its name in the host’s rclone.conf." },
    { name: "rclone_path", label: "Path", example: "backups/web-01", optional: true },
  ],
  variables: [],
  pairs: [],
  needs: [],
  note: "rclone must be installed on the host. Its settings stay in the configuration of the agent’s user (root’s, in /root/.config/rclone/rclone.conf).",
  toLocation: (typed) => `rclone:${typed("rclone_remote").trim()}:${typed("rclone_path").trim()}`,
  toFields(location) {
    const [, rclone_remote = "", rclone_path = ""] = /^([^:]*):(.*)$/.exec(restOf(location)) ?? [];
    return { rclone_remote, rclone_path };
  },
};

/** In the order in which they are offered. */
export const backends: readonly Backend[] = [rest, local, sftp, s3, b2, azure, gs, rclone];

const byKind: Readonly<Record<BackendKind, Backend>> = { rest, local, sftp, s3, b2, azure, gs, rclone };

export const backendOf = (kind: BackendKind): Backend => byKind[kind];

/** The name of the form's field for a kind's certificate; each kind has its own. */
export const certificateField = (kind: BackendKind): string => `${kind}_ca_certificate`;

/** Every name that a form of repositories may post beside the passwords, `backend` aside. */
export function formNames(): string[] {
  return backends.flatMap(({ kind, place, variables }) => [
    ...[...place, ...variables].map(({ name }) => name),
    ...optionsOf(kind),
    ...(takesCertificate(kind) ? [certificateField(kind)] : []),
  ]);
}

/** What an option is for, beside its name. */
export const optionLabels: Readonly<Record<BackendOptionName, string>> = {
  "rest.connections": "Connections at once (5)",
  "local.connections": "Operations at once (2)",
  "sftp.connections": "Connections at once (5)",
  "s3.connections": "Connections at once (5)",
  "s3.bucket-lookup": "Bucket lookup: auto, dns or path",
  "s3.region": "Region, where it differs from the one above",
  "s3.storage-class": "Storage class, such as STANDARD_IA",
  "s3.list-objects-v1": "Old API for listing: true or false",
  "s3.retries": "Tries of each request",
  "b2.connections": "Connections at once (5)",
  "azure.connections": "Connections at once (5)",
  "azure.access-tier": "Access tier: Hot, Cool or Cold",
  "gs.connections": "Connections at once (5)",
  "gs.region": "Region of a new bucket (us)",
  "rclone.connections": "Connections at once (5)",
};

/** Variables that say who signs in: another access to the same place has its own. */
export const signsIn = (name: string): boolean =>
  ["AWS_ACCESS_KEY_ID", "B2_ACCOUNT_ID"].includes(name) ||
  (Object.hasOwn(backendVariables, name) && backendVariables[name as BackendVariableName].secret);
