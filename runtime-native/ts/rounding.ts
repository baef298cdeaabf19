/** Learned rounding on the native kernels. */
import type { RoundingKernels, RoundingResult } from "../../compiler/core/pass/executor.js";
import { loadAddon, translate } from "./addon.js";

const coded = async <T>(body: () => Promise<T>): Promise<T> => {
  try {
    return await body();
  } catch (error) {
    throw translate(error);
  }
};

/** Second moments and rounding of weights; results do not depend on `threads`. Calls throw CEC6009 where the addon is not built, CEC6007 for wrong arguments. */
export function roundingKernels(threads: number): RoundingKernels {
  return {
    addMoments: (jobs) => coded(async () => loadAddon().addMoments(jobs, threads)),
    round: ({ method, ...problem }) =>
      coded(async () => {
        const { depth } = problem;
        const channels = problem.blocks * problem.channels;
        const result: RoundingResult = {
          integers: new Int8Array(channels * depth),
          nearestError: new Float64Array(channels),
          error: new Float64Array(channels),
        };
        await loadAddon().roundWeights({ ...problem, ...result, adaround: method === "adaround" }, threads);
        return result;
      }),
  };
}
