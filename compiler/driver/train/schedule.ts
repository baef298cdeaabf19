/** Learning rates by step. */
import type { TrainingSettings } from "../../core/index.js";

/** The rate of step `step` of `total`, from 0. Cosine: Loshchilov, Hutter 2017, without restarts. */
export function rateAt(s: Pick<TrainingSettings, "rate" | "schedule" | "milestones" | "gamma" | "warmup">, step: number, total: number): number {
  if (step < s.warmup) return (s.rate * (step + 1)) / s.warmup;
  switch (s.schedule) {
    case "constant":
      return s.rate;
    case "step":
      return s.rate * s.gamma ** s.milestones.filter((m) => step >= m * total).length;
    case "cosine":
      return 0.5 * s.rate * (1 + Math.cos((Math.PI * (step - s.warmup)) / Math.max(1, total - s.warmup)));
  }
}
