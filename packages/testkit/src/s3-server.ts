/**
 * A storage that speaks S3 on loopback, for one test: signatures are verified as Amazon does it, each key has its rights, and
 * objects are in memory. It knows what restic asks for and nothing more.
 * Source: AWS documentation, "Signature Version 4" and "Amazon S3 API Reference".
 */
import { createHash, createHmac } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface S3Key {
  secret: string;
  /** `none`: it is known and may do nothing; `read`: it may look and take. */
  rights: "all" | "read" | "none";
}

interface Stored {
  data: Buffer;
  at: Date;
}

class S3Refusal extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

const denied = () => new S3Refusal(403, "AccessDenied", "Access Denied.");

export class S3Server {
  readonly objects = new Map<string, Stored>();
  readonly #keys: Readonly<Record<string, S3Key>>;
  readonly #bucket: string;
  readonly #server: Server;

  constructor(bucket: string, keys: Readonly<Record<string, S3Key>>) {
    this.#bucket = bucket;
    this.#keys = keys;
    this.#server = createServer((request, response) => void this.#answer(request, response));
  }

  async start(): Promise<void> {
    await new Promise<void>((done) => {
      this.#server.listen(0, "127.0.0.1", done);
    });
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((done) => this.#server.close(done));
  }

  /** restic's location of a folder in the bucket. */
  locationOf(folder: string, bucket = this.#bucket): string {
    const { port } = this.#server.address() as AddressInfo;
    return `s3:http://127.0.0.1:${port}/${bucket}/${folder}`;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await readAll(request);
    try {
      this.#work(request, body, response);
    } catch (error) {
      const refusal = error instanceof S3Refusal ? error : new S3Refusal(500, "InternalError", String(error));
      const { status, code, message } = refusal;
      response.writeHead(status, { "content-type": "application/xml" });
      const words = `<Code>${code}</Code><Message>${message}</Message><Resource>${request.url}</Resource>`;
      response.end(request.method === "HEAD" ? undefined : `<Error>${words}<RequestId>1</RequestId></Error>`);
    }
  }

  #work(request: IncomingMessage, body: Buffer, response: ServerResponse): void {
    const url = new URL(request.url ?? "/", "http://s3");
    const { rights } = this.#identify(request, url);
    const method = request.method ?? "";
    if (rights === "none" || (rights === "read" && !["GET", "HEAD"].includes(method))) throw denied();
    const [, bucket = "", ...rest] = decodeURIComponent(url.pathname).split("/");
    if (bucket !== this.#bucket)
      throw new S3Refusal(404, "NoSuchBucket", "The specified bucket does not exist");
    const key = rest.join("/");
    if (key === "") this.#workOnBucket(method, url, response);
    else this.#workOnObject(method, key, { request, body, response });
  }

  #workOnBucket(method: string, url: URL, response: ServerResponse): void {
    if (method === "HEAD") return void response.end();
    if (url.searchParams.has("location"))
      return void response.end(`<LocationConstraint>us-east-1</LocationConstraint>`);
    const prefix = url.searchParams.get("prefix") ?? "";
    const delimiter = url.searchParams.get("delimiter") ?? "";
    const folders = new Set<string>();
    const contents: string[] = [];
    for (const [key, { data, at }] of [...this.objects].sort(([a], [b]) => (a < b ? -1 : 1))) {
      if (!key.startsWith(prefix)) continue;
      const end = delimiter === "" ? -1 : key.indexOf(delimiter, prefix.length);
      if (end >= 0) folders.add(key.slice(0, end + 1));
      else contents.push(describe(key, data, at));
    }
    const folderNodes = [...folders].map(
      (name) => `<CommonPrefixes><Prefix>${name}</Prefix></CommonPrefixes>`,
    );
    const head = `<Name>${this.#bucket}</Name><Prefix>${prefix}</Prefix><IsTruncated>false</IsTruncated>`;
    response.end(`<ListBucketResult>${head}${contents.join("")}${folderNodes.join("")}</ListBucketResult>`);
  }

  #workOnObject(
    method: string,
    key: string,
    { request, body, response }: { request: IncomingMessage; body: Buffer; response: ServerResponse },
  ): void {
    if (method === "PUT") {
      const data = isChunked(request) ? joinChunks(body) : body;
      this.objects.set(key, { data, at: new Date() });
      return void response.writeHead(200, { etag: etagOf(data) }).end();
    }
    if (method === "DELETE") {
      this.objects.delete(key);
      return void response.writeHead(204).end();
    }
    const stored = this.objects.get(key);
    if (stored === undefined) throw new S3Refusal(404, "NoSuchKey", "The specified key does not exist.");
    const { data, at } = stored;
    const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "") ?? [];
    const part = from === undefined ? data : data.subarray(Number(from), to ? Number(to) + 1 : undefined);
    const start = Number(from ?? 0);
    response.writeHead(from === undefined ? 200 : 206, {
      ...{ "content-length": part.length, etag: etagOf(data), "last-modified": at.toUTCString() },
      "content-type": "application/octet-stream",
      ...(from === undefined
        ? {}
        : { "content-range": `bytes ${start}-${start + part.length - 1}/${data.length}` }),
    });
    response.end(method === "HEAD" ? undefined : part);
  }

  /** Whose signature it is. */
  #identify(request: IncomingMessage, url: URL): S3Key {
    const authorization = request.headers.authorization ?? "";
    const [, keyId = "", scope = "", signed = "", signature = ""] =
      /^AWS4-HMAC-SHA256 Credential=([^/]+)\/([^,]+), ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]+)$/.exec(
        authorization,
      ) ?? [];
    const key = Object.hasOwn(this.#keys, keyId) ? this.#keys[keyId] : undefined;
    if (keyId === "") throw denied();
    if (key === undefined)
      throw new S3Refusal(
        403,
        "InvalidAccessKeyId",
        "The AWS Access Key Id you provided does not exist in our records.",
      );
    if (signatureOf(request, url, { secret: key.secret, scope, signed }) !== signature)
      throw new S3Refusal(
        403,
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
      );
    return key;
  }
}

function signatureOf(
  request: IncomingMessage,
  url: URL,
  { secret, scope, signed }: { secret: string; scope: string; signed: string },
): string {
  const query = url.search
    .slice(1)
    .split("&")
    .filter((pair) => pair !== "")
    .map((pair) => (pair.includes("=") ? pair : `${pair}=`))
    .sort();
  const headers = signed.split(";").map((name) => `${name}:${String(request.headers[name] ?? "").trim()}\n`);
  const payload = String(request.headers["x-amz-content-sha256"] ?? "");
  const canonical = [
    ...[request.method, url.pathname, query.join("&"), headers.join(""), signed, payload],
  ].join("\n");
  const hash = createHash("sha256").update(canonical).digest("hex");
  const toSign = ["AWS4-HMAC-SHA256", request.headers["x-amz-date"], scope, hash].join("\n");
  const hmac = (key: string | Buffer, text: string) => createHmac("sha256", key).update(text).digest();
  const signingKey = scope.split("/").reduce<string | Buffer>(hmac, `AWS4${secret}`);
  return createHmac("sha256", signingKey).update(toSign).digest("hex");
}

const isChunked = (request: IncomingMessage): boolean =>
  String(request.headers["x-amz-content-sha256"]).startsWith("STREAMING-");

/** The data of `aws-chunked`: a line with the length in hex, so many bytes, and again. */
function joinChunks(body: Buffer): Buffer {
  const parts: Buffer[] = [];
  let at = 0;
  for (;;) {
    const end = body.indexOf("\r\n", at);
    const size = Number.parseInt(body.subarray(at, end).toString("latin1"), 16);
    if (end < 0 || !(size > 0)) return Buffer.concat(parts);
    parts.push(body.subarray(end + 2, end + 2 + size));
    at = end + 2 + size + 2;
  }
}

const etagOf = (data: Buffer): string => `"${createHash("md5").update(data).digest("hex")}"`;

const describe = (key: string, data: Buffer, at: Date): string =>
  `<Contents><Key>${key}</Key><LastModified>${at.toISOString()}</LastModified><ETag>${etagOf(data)}</ETag><Size>${data.length}</Size><StorageClass>STANDARD</StorageClass></Contents>`;

async function readAll(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts);
}
