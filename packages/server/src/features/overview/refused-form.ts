/** A form on a host's page that was refused: the page again, with what was typed and what is wrong with it. */
import { z } from "zod";
import { AppError } from "../../platform/errors.ts";
import type { PageOf } from "../../platform/http/page-context.ts";
import type { Call } from "../../platform/http/route.ts";
import { type HostPageProps, renderHostPage } from "./host.views.tsx";
import { getHostPage, type HostPageDeps, type HostPageQuery } from "./host-page.ts";

export const hostParams = z.object({ hostId: z.string().max(64) });

export type RefusedFormDeps = HostPageDeps & { page: PageOf };

/** Refusals that a person can mend are shown on the page that they came from; everything else is an error page. */
export async function asOutcome<T>(work: Promise<T>): Promise<T | AppError> {
  return work.catch((error: unknown) => {
    if (error instanceof AppError && (error.kind === "invalid" || error.kind === "conflict")) return error;
    throw error;
  });
}

/** The page with `tab` open and some of its props changed. Only operators post, so what they may read is there. */
export async function answerRefused(
  deps: RefusedFormDeps,
  call: Call<{ params: typeof hostParams }>,
  tab: HostPageQuery["tab"],
  error: AppError,
  change: (props: HostPageProps) => Partial<Record<keyof HostPageProps, unknown>>,
): Promise<string> {
  void call.reply.code(error.kind === "conflict" ? 409 : 422);
  const props = await getHostPage(deps, call.params.hostId, { tab, page: 1, mayOperate: true });
  return renderHostPage(deps.page(call.request), { ...props, ...change(props) } as HostPageProps);
}
