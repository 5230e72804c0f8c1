/**
 * THE ONLY public file of repositories: where backups go. A repository's identity is its normalised location without
 * user info. Who may reach it with what is in credentials.ts, what it looks like inside in statistics.ts.
 */
export {
  type AccessParts,
  buildAccess,
  type CredentialsEdit,
  credentialsChanged,
  credentialsChangedAt,
  credentialsRefused,
  editAdminCredentials,
  editCredentials,
  findAdminAccess,
  findEverydayAccess,
  type HostLink,
  noAdminCredentials,
  noCredentials,
  type RedactedCredentials,
  type RepositoriesDeps,
  redactedAdminCredentials,
  redactedCredentials,
  removeAdminCredentials,
  saveEverydayAccess,
} from "./credentials.ts";
export { ensureRepository, lockRepository } from "./repositories.store.ts";
export { isLocalLocation, readLocation } from "./repository-location.ts";
export { findRepository, listRepositories } from "./statistics.store.ts";
export {
  acceptForeignId,
  type HistoryDay,
  listHistory,
  type Repository,
  recordStatistics,
  refuseSwapped,
} from "./statistics.ts";
