/** The forms of a host's settings: presence, bandwidth, default hooks, its end. */
import { z } from "zod";
import { AppError, fieldProblems, invalidFields } from "../../platform/errors.ts";
import { actorOf } from "../../platform/http/identity.ts";
import { type App, type Call, pageRoute, requireIdentity } from "../../platform/http/route.ts";
import {
  type DeleteHostDeps,
  deleteHost,
  type EditHostDeps,
  hostModes,
  maxBandwidthKib,
  setBandwidth,
  setHostMode,
} from "../hosts/hosts.ts";
import type { RepositoriesDeps } from "../repositories/repositories.ts";
import { hookProblems, readHookForm, type SourcesDeps, setHostHooks } from "../sources/sources.ts";
import type { HostPageQuery } from "./host-page.ts";
import { answerRefused, asOutcome, hostParams, type RefusedFormDeps } from "./refused-form.ts";

export type HostSettingsDeps = RefusedFormDeps &
  EditHostDeps & { repositories: RepositoriesDeps; deletion: DeleteHostDeps; sources: SourcesDeps };

const nothingSaved = "Nothing was saved. See below.";
/** As long as it likes: the rule beside the field answers, not a page about a bad request. */
const field = z.string().default("");

export function registerHostSettings(app: App, deps: HostSettingsDeps): void {
  registerModeForm(app, deps);
  registerBandwidthForm(app, deps);
  registerHooksForm(app, deps);
  registerDeleteForm(app, deps);
}

type HostCall = Call<{ params: typeof hostParams }>;

/** Saved: the tab again, which says so. Refused: the tab with what was typed under `form`. */
async function answerForm(
  deps: HostSettingsDeps,
  call: HostCall,
  work: Promise<unknown>,
  form: {
    tab: HostPageQuery["tab"];
    name: string;
    values: Record<string, string>;
    errors?: (e: AppError) => Record<string, string>;
  },
): Promise<unknown> {
  const outcome = await asOutcome(work);
  const { hostId } = call.params;
  if (!(outcome instanceof AppError))
    return call.reply.redirect(`/hosts/${hostId}?tab=${form.tab}&saved=1`, 303);
  const errors = (form.errors ?? fieldProblems)(outcome);
  // A sentence that stands beside its field is not said twice.
  const message = Object.keys(errors).length > 0 ? nothingSaved : outcome.message;
  return answerRefused(deps, call, form.tab, outcome, (props) => ({
    tab: { ...props.tab, [form.name]: { values: form.values, errors, message } },
  }));
}

function registerModeForm(app: App, deps: HostSettingsDeps): void {
  pageRoute(app, {
    method: "POST",
    url: "/hosts/:hostId/mode",
    policy: "operator",
    schema: { params: hostParams, body: z.object({ mode: z.enum(hostModes) }) },
    async answer({ params, body, identity, reply }) {
      await setHostMode(deps, { ...params, mode: body.mode, actor: actorOf(requireIdentity(identity)) });
      return reply.redirect(`/hosts/${params.hostId}?tab=settings&saved=1`, 303);
    },
  });
}

/** KiB a second as typed: null for an empty field, which is unlimited. */
function readCap(name: string, typed: string): { cap: number | null } | { path: string; message: string } {
  const text = typed.replaceAll(/[\s,]/g, "");
  if (text === "") return { cap: null };
  const cap = Number(text);
  if (/^\d+$/.test(text) && cap >= 1 && cap <= maxBandwidthKib) return { cap };
  return {
    path: name,
    message: "This must be a whole number of KiB a second, from 1 on; empty is unlimited.",
  };
}

function registerBandwidthForm(app: App, deps: HostSettingsDeps): void {
  pageRoute(app, {
    method: "POST",
    url: "/hosts/:hostId/bandwidth",
    policy: "operator",
    schema: { params: hostParams, body: z.object({ upload_kib: field, download_kib: field }) },
    answer(call) {
      const { params, body: values, identity } = call;
      const save = async () => {
        const upload = readCap("upload_kib", values.upload_kib);
        const download = readCap("download_kib", values.download_kib);
        if (!("cap" in upload && "cap" in download)) {
          const problems = [upload, download].filter((one) => "path" in one);
          throw invalidFields("hosts.bandwidth_invalid", problems);
        }
        const caps = { uploadKib: upload.cap, downloadKib: download.cap };
        await setBandwidth(deps, { ...params, caps, actor: actorOf(requireIdentity(identity)) });
      };
      return answerForm(deps, call, save(), { tab: "settings", name: "capsForm", values });
    },
  });
}

function registerHooksForm(app: App, deps: HostSettingsDeps): void {
  const body = z.object({
    pre_hook: field,
    pre_hook_timeout_seconds: field,
    post_hook: field,
    post_hook_timeout_seconds: field,
  });
  pageRoute(app, {
    method: "POST",
    url: "/hosts/:hostId/hooks",
    policy: "operator",
    schema: { params: hostParams, body },
    answer(call) {
      const { params, body: values, identity } = call;
      const actor = actorOf(requireIdentity(identity));
      const work = setHostHooks(deps.sources, { ...params, ...readHookForm(values), actor });
      return answerForm(deps, call, work, {
        tab: "settings",
        name: "hooksForm",
        values,
        errors: hookProblems,
      });
    },
  });
}

function registerDeleteForm(app: App, deps: HostSettingsDeps): void {
  pageRoute(app, {
    method: "POST",
    url: "/hosts/:hostId/delete",
    policy: "operator",
    schema: { params: hostParams, body: z.object({ confirm_name: z.string().max(253).default("") }) },
    async answer(call) {
      const { params, body, identity, reply } = call;
      const input = {
        hostId: params.hostId,
        typedName: body.confirm_name,
        actor: actorOf(requireIdentity(identity)),
      };
      const outcome = await asOutcome(deleteHost(deps.deletion, input));
      if (!(outcome instanceof AppError)) return reply.redirect("/", 303);
      return answerRefused(deps, call, "settings", outcome, (props) => ({
        tab: { ...props.tab, form: { values: body, errors: fieldProblems(outcome) } },
      }));
    },
  });
}
