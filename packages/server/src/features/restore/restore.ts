/**
 * THE ONLY public file of restore: getting files back. What is in a snapshot is read in tree.ts, and goes to a browser by
 * download.ts.
 */
export { TreePages } from "./tree-pages.ts";
