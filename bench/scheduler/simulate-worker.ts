/** A part of the year on a core of its own. */
import { parentPort, workerData } from "node:worker_threads";
import "../tsx-sources.ts";

const { simulate } = await import("./simulate.ts");
parentPort?.postMessage(simulate(workerData));
