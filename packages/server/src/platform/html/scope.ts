/**
 * What every page knows besides its own data: who looks, which theme, what time it is, the form token.
 * Made once per request by the page routes; components read it with usePage(). No feature data in here.
 */
import { createContext } from "preact";
import { useContext } from "preact/hooks";
import type { AssetManifest } from "./assets.ts";

/** The reader's choice of colours; `auto` follows the system. */
export type Theme = "dark" | "light" | "auto";

/** A signed-in reader. */
export interface PageUser {
  name: string;
  role: "admin" | "operator" | "viewer";
}

/** One request's surroundings. */
export interface PageContext {
  /** Absent on pages that are shown before signing in. */
  user?: PageUser | undefined;
  theme: Theme;
  /** The server's version, e.g. `0.1.0`. */
  version: string;
  /** The database in one word, e.g. `SQLite`. */
  database: string;
  /** The token every form carries in its field `csrf_token`. */
  csrfToken: string;
  /** Epoch milliseconds at which the page was made. */
  now: number;
  assets: AssetManifest;
  /** Path and query of this page: where preference forms return to. */
  path: string;
}

const PageScope = createContext<PageContext | null>(null);

/** Hands the surroundings to everything below it. */
export const PageProvider = PageScope.Provider;

/** The surroundings of the page being rendered. @throws Error outside of renderPage/renderFragment. */
export function usePage(): PageContext {
  const page = useContext(PageScope);
  if (page === null) throw new Error("A component was rendered outside of a page.");
  return page;
}

/** Whether the reader may do what only administrators may. The routes decide; this only hides. */
export function useIsAdmin(): boolean {
  return usePage().user?.role === "admin";
}

/** Whether the reader may change things (run, cancel, edit, delete). The routes decide; this only hides. */
export function useMayOperate(): boolean {
  const { user } = usePage();
  return user !== undefined && user.role !== "viewer";
}
