/** Settings → Server. */
import { livePageRoutes, type PageOf } from "../../platform/http/page-context.ts";
import type { App } from "../../platform/http/route.ts";
import { getInstallation, type InstallationDeps } from "./installation.ts";
import { renderServerFragment, renderServerPage } from "./installation.views.tsx";

export function registerInstallationPages(app: App, deps: InstallationDeps & { page: PageOf }): void {
  livePageRoutes(app, {
    url: "/settings/server",
    fragmentUrl: "/fragments/settings/server",
    policy: "viewer",
    schema: {},
    context: deps.page,
    props: () => getInstallation(deps),
    page: renderServerPage,
    fragment: renderServerFragment,
  });
}
