/**
 * The forms of a host's credentials, everyday and admin: saved, tried, removed. What was typed comes back with a refusal,
 * apart from the secrets; those are asked for again.
 */
import { z } from "zod";
import { AppError, fieldProblems } from "../../platform/errors.ts";
import { actorOf } from "../../platform/http/identity.ts";
import { type App, type Call, pageRoute, requireIdentity } from "../../platform/http/route.ts";
import {
  type AccessEdit,
  accessFormShape,
  accessProblems,
  editAdminCredentials,
  editCredentials,
  problemSentences,
  type RedactedCredentials,
  readAccessForm,
  redactedAdminCredentials,
  redactedCredentials,
  removeAdminCredentials,
  type TestDeps,
  type TypedAccess,
  testCredentials,
  typedSecrets,
  unprefixed,
  withoutSecrets,
} from "../repositories/repositories.ts";
import type { HostSettingsDeps } from "./host-settings.pages.tsx";
import { answerRefused, asOutcome, hostParams } from "./refused-form.ts";
import { type AccessFormState, adminPrefix, renderTested } from "./repository-access.views.tsx";

export type HostAccessDeps = HostSettingsDeps & { repositories: TestDeps };

type HostCall = Call<{ params: typeof hostParams }>;
type Tested = NonNullable<AccessFormState["tested"]>;

/** One of the two forms. */
interface AccessForm {
  slot: "everyday" | "admin";
  /** The prop of the tab that it is drawn from. */
  name: "form" | "adminForm";
  prefix: string;
  path: string;
}

const everyday: AccessForm = { slot: "everyday", name: "form", prefix: "", path: "repository" };
const admin: AccessForm = {
  slot: "admin",
  name: "adminForm",
  prefix: adminPrefix,
  path: "admin-credentials",
};

const nothingSaved = "Nothing was saved. See below.";
const typeAgain = "Type it again: secrets are not sent back.";

export function registerHostAccess(app: App, deps: HostAccessDeps): void {
  for (const form of [everyday, admin]) registerForm(app, deps, form);
  pageRoute(app, {
    method: "POST",
    url: "/hosts/:hostId/admin-credentials/remove",
    policy: "operator",
    schema: { params: hostParams },
    async answer(call) {
      const actor = actorOf(requireIdentity(call.identity));
      await removeAdminCredentials(deps.repositories, { hostId: call.params.hostId, actor });
      return saved(call);
    },
  });
}

const saved = (call: HostCall) =>
  call.reply.redirect(`/hosts/${call.params.hostId}?tab=repository&saved=1`, 303);

function registerForm(app: App, deps: HostAccessDeps, form: AccessForm): void {
  const url = `/hosts/:hostId/${form.path}`;
  const schema = { params: hostParams, body: z.object(accessFormShape(form.prefix)) };
  const shared = { method: "POST", policy: "operator", schema } as const;
  pageRoute(app, {
    ...shared,
    url,
    async answer(call) {
      const typed = unprefixed(call.body, form.prefix);
      const actor = actorOf(requireIdentity(call.identity));
      const edit = await readTyped(deps, call, form, typed);
      const save = form.slot === "admin" ? editAdminCredentials : editCredentials;
      const outcome = await asOutcome(save(deps.repositories, { ...edit, actor }));
      if (!(outcome instanceof AppError)) return saved(call);
      return answerRefused(deps, call, "repository", outcome, (props) => ({
        tab: { ...props.tab, [form.name]: formAgain(typed, outcome) },
      }));
    },
  });
  pageRoute(app, {
    ...shared,
    url: `${url}/test`,
    async answer(call) {
      const typed = unprefixed(call.body, form.prefix);
      const outcome = await tryTyped(deps, call, form, typed);
      // Not a refusal of the page: what it was asked for is in it.
      const again = outcome instanceof AppError ? formAgain(typed, outcome) : formAgain(typed);
      const html = await answerRefused(deps, call, "repository", nothingWrong, (props) => ({
        tab: { ...props.tab, [form.name]: { ...again, tested: testedOf(outcome, typed) } },
      }));
      void call.reply.code(200);
      return html;
    },
  });
  pageRoute(app, {
    ...shared,
    url: `/fragments${url}/test`,
    async answer(call) {
      const typed = unprefixed(call.body, form.prefix);
      return renderTested(deps.page(call.request), testedOf(await tryTyped(deps, call, form, typed), typed));
    },
  });
}

const nothingWrong = new AppError("invalid", "repositories.credentials_invalid", nothingSaved);

async function readTyped(
  deps: HostAccessDeps,
  call: HostCall,
  form: AccessForm,
  typed: TypedAccess,
): Promise<AccessEdit & { hostId: string }> {
  const { db, box } = deps.repositories;
  const { hostId } = call.params;
  const read = form.slot === "admin" ? redactedAdminCredentials : redactedCredentials;
  const stored: RedactedCredentials | null = await read(db, box, hostId);
  return { hostId, ...readAccessForm(typed, stored) };
}

/** The result, or why there is none: what was typed is wrong, or the host can't be asked now. */
async function tryTyped(deps: HostAccessDeps, call: HostCall, form: AccessForm, typed: TypedAccess) {
  const edit = await readTyped(deps, call, form, typed);
  return testCredentials(deps.repositories, edit, form.slot).catch((error: unknown) => {
    const isExpected =
      error instanceof AppError && ["invalid", "conflict", "timeout", "unavailable"].includes(error.kind);
    if (isExpected) return error;
    throw error;
  });
}

function testedOf(outcome: Awaited<ReturnType<typeof tryTyped>>, typed: TypedAccess): Tested {
  if (!(outcome instanceof AppError)) return outcome;
  const problems = accessProblems(fieldProblems(outcome), typed);
  return { refused: problemSentences(problems, typed) || outcome.message };
}

/** What was typed, what is wrong with it, and which secrets have to be typed again. */
function formAgain(typed: TypedAccess, error?: AppError): AccessFormState {
  const lost = Object.fromEntries(typedSecrets(typed).map((name) => [name, typeAgain]));
  const problems = error === undefined ? {} : accessProblems(fieldProblems(error), typed);
  const message = error === undefined ? {} : { message: messageOf(error, problems) };
  return { values: withoutSecrets(typed), errors: { ...lost, ...problems }, ...message };
}

/** A sentence that stands beside its field is not said twice. */
const messageOf = (error: AppError, problems: Record<string, string>): string =>
  Object.keys(problems).length > 0 ? nothingSaved : error.message;
