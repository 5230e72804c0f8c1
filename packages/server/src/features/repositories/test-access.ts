/**
 * Trying a host's credentials before they are saved, or the stored ones: the host opens the repository once. Invariant:
 * nothing is stored, and what is not given is what is stored, as in an edit.
 */
import type { RepositoryAccess, RepositoryTested } from "@restic-manager/protocol";
import { findAdminAccess, findEverydayAccess } from "./access.ts";
import type { CredentialsEdit, RepositoriesDeps } from "./credentials.ts";
import { applyEdit, inheritedByAdmin } from "./edit-access.ts";

export interface TestDeps extends RepositoriesDeps {
  /**
   * Lets the host's agent open the repository.
   * MUST throw AppError `hosts.offline`, `agent.too_old`, `agent.no_answer` or `agent.too_many_requests` when there is no answer.
   */
  testRepository(hostId: string, access: RepositoryAccess): Promise<RepositoryTested>;
}

/** What came of a test. */
export interface TestResult {
  /** `absent`: the storage answers, and there is no repository yet. */
  outcome: "ok" | "absent" | "failed";
  /** Null unless it failed. */
  code: string | null;
  /** For the person who asked. */
  message: string;
  /** restic's last words. */
  lastLines: string[];
  durationMs: number;
}

const opened = "The repository opens with these credentials.";
const absent =
  "The storage answers and takes these credentials. There is no repository at this place yet: initialise it, or look once more at the location if there should be one.";

/**
 * @param slot whose stored values stand for what is not given
 * @throws AppError as editCredentials, or as testRepository
 */
export async function testCredentials(
  deps: TestDeps,
  edit: Omit<CredentialsEdit, "actor">,
  slot: "everyday" | "admin",
): Promise<TestResult> {
  const { db, box, hosts } = deps;
  await hosts.nameOf(db, edit.hostId);
  const everyday = (await findEverydayAccess(db, box, edit.hostId))?.access ?? null;
  const admin = slot === "admin" ? (await findAdminAccess(db, box, edit.hostId))?.access : undefined;
  const inherited = slot === "admin" && everyday ? inheritedByAdmin(everyday) : everyday;
  const { outcome, error, duration_ms } = await deps.testRepository(
    edit.hostId,
    applyEdit(admin ?? inherited, edit),
  );
  return {
    outcome,
    code: error?.code ?? null,
    message: error?.message ?? (outcome === "absent" ? absent : opened),
    lastLines: error?.last_lines ?? [],
    durationMs: duration_ms,
  };
}
