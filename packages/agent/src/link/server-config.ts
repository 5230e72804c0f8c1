/**
 * What the server told this host about its repository, sealed on disk. Invariants: within a connection a version
 * that is not newer changes nothing; what belongs to another enrolment does not count; the new value is on the disk
 * before it is used.
 */
import {
  backendSecrets,
  type ConfigUpdate,
  configUpdate,
  type RepositoryAccess,
} from "@restic-manager/protocol";
import { z } from "zod";
import { AgentError } from "../platform/errors.ts";
import { createRedactor } from "../platform/redact.ts";
import type { Secrets } from "../platform/secrets.ts";

const SLOT = "server-config";
const storedConfig = z.object({ host_id: z.string(), update: configUpdate });

export class ServerConfig {
  readonly #secrets: Secrets;
  readonly #hostId: string;
  readonly #lasting: readonly string[];
  #current: ConfigUpdate | undefined;
  #redact: (text: string) => string;

  /** `lasting`: secrets that are always masked, such as the bearer. Throws AgentError `secrets.unreadable`. */
  constructor(secrets: Secrets, hostId: string, lasting: readonly string[]) {
    this.#secrets = secrets;
    this.#hostId = hostId;
    this.#lasting = lasting;
    this.#current = readStored(secrets.find(SLOT), hostId);
    this.#redact = this.#createRedactor();
  }

  findRepository(): RepositoryAccess | undefined {
    return this.#current?.repository ?? undefined;
  }

  /** Masks every secret that is known now. */
  redact(text: string): string {
    return this.#redact(text);
  }

  /**
   * Stores a newer version; ignores any other. `opens`: it is the first of a connection, and so what the server
   * knows now, whatever its number: a server whose database was set back to an older copy counts from there.
   */
  async update(update: ConfigUpdate, opens: boolean): Promise<"updated" | "unchanged"> {
    const current = this.#current;
    if (current !== undefined && !(opens ? differs(update, current) : update.version > current.version))
      return "unchanged";
    await this.#secrets.put(SLOT, JSON.stringify({ host_id: this.#hostId, update }));
    this.#current = update;
    this.#redact = this.#createRedactor();
    return "updated";
  }

  #createRedactor(): (text: string) => string {
    const repository = this.#current?.repository;
    const passwords = [repository?.password ?? "", repository?.rest_password ?? ""];
    const secrets = [...this.#lasting, ...passwords, ...backendSecrets(repository ?? {})];
    return createRedactor(secrets.filter((secret) => secret !== ""));
  }
}

/** Both went through the same schema, so their fields stand in the same order. */
function differs(a: ConfigUpdate, b: ConfigUpdate): boolean {
  return JSON.stringify(a) !== JSON.stringify(b);
}

function readStored(text: string | undefined, hostId: string): ConfigUpdate | undefined {
  if (text === undefined) return undefined;
  const parsed = storedConfig.safeParse(JSON.parse(text));
  if (!parsed.success)
    throw new AgentError("secrets.unreadable", "The stored credentials were written by a newer agent.");
  return parsed.data.host_id === hostId ? parsed.data.update : undefined;
}
