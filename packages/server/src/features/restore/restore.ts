/** THE ONLY public file of getting files back. */
export type { DownloadDeps } from "./download.ts";
