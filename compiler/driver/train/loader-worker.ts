/** The body of a loader thread: makes the batches whose numbers it is sent, in their order. */
import { parentPort, workerData } from "node:worker_threads";
import { CecError } from "../../core/index.js";
import { type Answer, batchMaker, type LoaderSettings, openSource, type TrainingBatch } from "./loader.js";

const settings = workerData as LoaderSettings;
const port = parentPort;

let make: Promise<(step: number) => Promise<TrainingBatch>> | null = null;
let last: Promise<void> = Promise.resolve();
const answer = async (step: number): Promise<void> => {
  try {
    make ??= openSource(settings.source).then((data) => batchMaker(data, settings));
    const batch = await (await make)(step);
    const buffers = [
      ...Object.values(batch.arrays).map((t) => (t.data as Float32Array).buffer),
      ...(batch.labels === null ? [] : [batch.labels.buffer]),
    ];
    port?.postMessage({ step, batch } satisfies Answer, buffers as ArrayBuffer[]);
  } catch (error) {
    const diagnostics = error instanceof CecError ? error.diagnostics : null;
    port?.postMessage({ step, diagnostics, message: error instanceof Error ? error.message : String(error) } satisfies Answer);
  }
};
port?.on("message", (step: number) => {
  last = last.then(() => answer(step));
});
