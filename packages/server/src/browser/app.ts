/** Entry of the module on every page: starts what enhances it. The job page loads job.ts besides. */
import { startControls } from "./controls.ts";
import { startLive } from "./live.ts";
import { startTimes } from "./times.ts";

const page = new AbortController();
startTimes(page.signal);
startControls(page.signal);
startLive(page.signal);
