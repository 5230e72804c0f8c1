/** The verbs and forms of a host's repository: prune, check, restore drill, repair, unlock, another id. */
import { z } from "zod";
import { AppError, fieldProblems } from "../../platform/errors.ts";
import { actorOf } from "../../platform/http/identity.ts";
import { type App, type Call, pageRoute, requireIdentity } from "../../platform/http/route.ts";
import { type RunRequest, runNow } from "../jobs/jobs.ts";
import { acceptRepositoryId, nextCheckSlice } from "../maintenance/maintenance.ts";
import { answerRun, type HostRunDeps } from "./host-runs.pages.tsx";
import type { HostSettingsDeps } from "./host-settings.pages.tsx";
import { answerRefused, asOutcome, hostParams } from "./refused-form.ts";

export type HostRepositoryDeps = HostRunDeps & HostSettingsDeps;

type HostCall = Call<{ params: typeof hostParams }>;
/** As long as it likes: the rule beside the field answers, not a page about a bad request. */
const typed = z.string().max(4096).default("");

export function registerHostRepository(app: App, deps: HostRepositoryDeps): void {
  registerRuns(app, deps);
  registerUnlock(app, deps);
  registerInit(app, deps);
  registerAcceptId(app, deps);
}

function run(deps: HostRepositoryDeps, call: HostCall, request: RunRequest): Promise<unknown> {
  const actor = actorOf(requireIdentity(call.identity));
  return answerRun(deps, call, "repository", runNow(deps, { hostId: call.params.hostId, request, actor }));
}

function registerRuns(app: App, deps: HostRepositoryDeps): void {
  const shared = { method: "POST", policy: "operator" } as const;
  pageRoute(app, {
    ...shared,
    url: "/hosts/:hostId/prune",
    schema: { params: hostParams },
    answer: (call) => run(deps, call, { kind: "prune" }),
  });
  pageRoute(app, {
    ...shared,
    url: "/hosts/:hostId/check",
    schema: { params: hostParams, body: z.object({ depth: z.string().max(64).default("structure") }) },
    async answer(call) {
      const readData = await asOutcome(readDepth(deps, call.params.hostId, call.body.depth));
      if (!(readData instanceof AppError)) return run(deps, call, { kind: "check", ...readData });
      const notice = { tone: "fail" as const, text: readData.message };
      return answerRefused(deps, call, "repository", readData, () => ({ notice }));
    },
  });
  pageRoute(app, {
    ...shared,
    url: "/hosts/:hostId/verify",
    schema: {
      params: hostParams,
      body: z.object({ source_group_id: z.string().max(64).optional() }).default({}),
    },
    answer: (call) => run(deps, call, { kind: "verify", ...call.body }),
  });
  pageRoute(app, {
    ...shared,
    url: "/hosts/:hostId/repair",
    schema: { params: hostParams, body: z.object({ what: z.enum(["index", "snapshots"]) }) },
    answer: (call) => run(deps, call, { kind: "repair", what: call.body.what }),
  });
}

type Depth = Pick<Extract<RunRequest, { kind: "check" }>, "read_data">;

/** `structure`, `slice` for the one whose turn it is, or a percentage. */
async function readDepth(deps: HostRepositoryDeps, hostId: string, depth: string): Promise<Depth> {
  if (depth === "structure") return {};
  if (depth === "slice") {
    const next = await nextCheckSlice(deps.db, hostId);
    if (next) return { read_data: next };
    const message =
      "This repository is not checked in parts. Set a number of parts in its maintenance first.";
    throw new AppError("conflict", "maintenance.no_slices", message);
  }
  const percent = Number(depth);
  if (percent > 0 && percent <= 100) return { read_data: { percent } };
  const message = "A check reads more than 0 and up to 100 percent of the data.";
  throw new AppError("invalid", "maintenance.invalid", message);
}

function registerUnlock(app: App, deps: HostRepositoryDeps): void {
  pageRoute(app, {
    method: "POST",
    url: "/hosts/:hostId/unlock",
    policy: "operator",
    schema: {
      params: hostParams,
      body: z.object({ remove_all: z.literal("1").optional(), unlock_confirm_name: typed }),
    },
    async answer(call) {
      const { body } = call;
      const name = body.unlock_confirm_name;
      if (body.remove_all === undefined) return run(deps, call, { kind: "unlock" });
      return runNamed(deps, call, "unlock", { kind: "unlock", remove_all: true, confirm_name: name });
    },
  });
}

function registerInit(app: App, deps: HostRepositoryDeps): void {
  pageRoute(app, {
    method: "POST",
    url: "/hosts/:hostId/init",
    policy: "operator",
    schema: { params: hostParams, body: z.object({ init_confirm_name: typed }) },
    answer: (call) =>
      runNamed(deps, call, "init", { kind: "init", confirm_name: call.body.init_confirm_name }),
  });
}

/** Runs what wants the host's name typed. */
async function runNamed(
  deps: HostRepositoryDeps,
  call: HostCall,
  form: "unlock" | "init",
  request: Extract<RunRequest, { confirm_name?: string | undefined }>,
): Promise<unknown> {
  const actor = actorOf(requireIdentity(call.identity));
  const outcome = await asOutcome(runNow(deps, { hostId: call.params.hostId, request, actor }));
  if (outcome instanceof AppError && outcome.code === "hosts.name_mismatch")
    return answerName(deps, call, outcome, form, request.confirm_name ?? "");
  return answerRun(deps, call, "repository", settled(outcome));
}

const settled = async <T,>(outcome: T | AppError): Promise<T> => {
  if (outcome instanceof AppError) throw outcome;
  return outcome;
};

/** The name was not the host's: the tab again, with what was typed beside why not. */
function answerName(
  deps: HostRepositoryDeps,
  call: HostCall,
  error: AppError,
  form: "unlock" | "accept" | "init",
  name: string,
): Promise<string> {
  const field = `${form}_confirm_name`;
  const message = fieldProblems(error).confirm_name ?? error.message;
  return answerRefused(deps, call, "repository", error, (props) => ({
    tab: { ...props.tab, [`${form}Form`]: { values: { [field]: name }, errors: { [field]: message } } },
  }));
}

function registerAcceptId(app: App, deps: HostRepositoryDeps): void {
  pageRoute(app, {
    method: "POST",
    url: "/hosts/:hostId/accept-id",
    policy: "operator",
    schema: { params: hostParams, body: z.object({ accept_confirm_name: typed }) },
    async answer(call) {
      const { params, body, identity, reply } = call;
      const typedName = body.accept_confirm_name;
      const { db, clock, events: bus } = deps;
      const { box } = deps.repositories;
      const input = { hostId: params.hostId, typedName, actor: actorOf(requireIdentity(identity)) };
      const outcome = await asOutcome(acceptRepositoryId({ db, box, clock, bus }, input));
      if (!(outcome instanceof AppError))
        return reply.redirect(`/hosts/${params.hostId}?tab=repository&saved=1`, 303);
      if (outcome.code === "hosts.name_mismatch") return answerName(deps, call, outcome, "accept", typedName);
      const notice = { tone: "fail" as const, text: outcome.message };
      return answerRefused(deps, call, "repository", outcome, () => ({ notice }));
    },
  });
}
