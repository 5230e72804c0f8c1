/**
 * THE ONLY public file of repositories: where backups go. A repository's identity is its normalised location without
 * user info. Who may reach it with what is in access.ts, how that is edited in credentials.ts, what it looks like inside in statistics.ts.
 */
export {
  accessVersion,
  credentialsChangedAt,
  findAccess,
  findAdminAccess,
  findEverydayAccess,
  type RedactedCredentials,
  redactedAdminCredentials,
  redactedCredentials,
  replacePassword,
  type Slot,
  saveEverydayAccess,
} from "./access.ts";
export {
  accessFormShape,
  accessProblems,
  adminValuesOf,
  chosenKind,
  problemSentences,
  readAccessForm,
  type TypedAccess,
  typedSecrets,
  unprefixed,
  valuesOf,
  withoutSecrets,
} from "./backend-form.ts";
export {
  BackendFields,
  type BackendFieldsProps,
  firstProblem,
  secretFieldsSet,
} from "./backend-form.views.tsx";
export { backendOf } from "./backends.ts";
export { type CertificateFacts, describeCertificates } from "./certificates.ts";
export {
  type CredentialsEdit,
  credentialsChanged,
  editAdminCredentials,
  editCredentials,
  noAdminCredentials,
  noCredentials,
  type RepositoriesDeps,
  removeAdminCredentials,
} from "./credentials.ts";
export { type AccessEdit, editAccess } from "./edit-access.ts";
export { ensureRepository, lockRepository } from "./repositories.store.ts";
export { isLocalLocation, readLocation } from "./repository-location.ts";
export { type DailySizes, findRepository, listRepositoryPage } from "./statistics.store.ts";
export {
  acceptForeignId,
  forgetIdentity,
  listFleetSizes,
  listHistory,
  type Repository,
  recordStatistics,
  refuseSwapped,
  type SizeHistory,
} from "./statistics.ts";
export { type TestDeps, type TestResult, testCredentials } from "./test-access.ts";
