/** What the pass `train` needs to run steps: data, an engine, a clock and files. The driver implements it; passes see only this interface. */
import type { Graph } from "../ir/graph.js";
import type { Tensor } from "../ir/tensor.js";

/** How images are varied before each step, by the seed. */
export interface Augmentation {
  /** Pixels of zero padding around an image, out of which a window of its size is cut at random; 0: none. */
  readonly crop: number;
  /** Mirror left and right, every other time. */
  readonly flip: boolean;
  /** Side of a square of pixels that is set to 0 at a random place; 0: none. */
  readonly cutout: number;
}

/** Which activations a step keeps, the others being made again: segments as `recompute_activations` has them, of `every` stages, or within `budget` MiB. */
export type Recompute = "sqrt" | "optimum" | { readonly every: number } | { readonly budget: number };

/** What the options of `train` come to. */
export interface TrainingSettings {
  /** Data sets by their names in the plan, with a slice where one is wanted: `cifar10.train[0:25600]`. */
  readonly data: string;
  readonly validate: string | undefined;
  readonly epochs: number;
  /** Wins over `epochs`. */
  readonly steps: number | undefined;
  readonly batch: number;
  /** Absent: all that is read again is kept. */
  readonly recompute: Recompute | undefined;
  readonly rate: number;
  readonly schedule: "constant" | "step" | "cosine";
  /** Parts of all steps after which `step` multiplies the rate by `gamma`. */
  readonly milestones: readonly number[];
  readonly gamma: number;
  /** Steps over which the rate rises from 0. */
  readonly warmup: number;
  readonly augment: Augmentation;
  /** `f16`: activations between forward and backward, and their gradients, as f16; the graph then has the state `loss_scale`. */
  readonly precision: "f32" | "f16";
  /** Steps between evaluations; 0: once an epoch. */
  readonly evaluateEvery: number;
  /** Evaluations without a better one after which training stops; 0: never. */
  readonly patience: number;
  readonly keep: "best" | "last";
  /** Worker threads that load data ahead; 0: none. */
  readonly workers: number;
  /** File of the checkpoint, from the output folder; empty: none. */
  readonly checkpoint: string;
  /** Steps between checkpoints; 0: every 30 seconds. */
  readonly checkpointEvery: number;
  readonly seed: number;
}

/** A training graph and what is to be done with it. */
export interface TrainingTask {
  /** Inputs: those of the model, `labels` or `target`, `learning_rate`, `step` (from 1), `progress` (the part that is done, from 0), and states; outputs: `loss`, `gradient_norm`, `correct`, and next states. */
  readonly graph: Graph;
  /** States that do not begin at 0. */
  readonly initial: ReadonlyMap<string, Tensor>;
  readonly settings: TrainingSettings;
  /** The model for inference with these values. */
  deploy(states: ReadonlyMap<string, Tensor>): Graph | Promise<Graph>;
  /** Output of the model that `validate` judges. */
  readonly output: string;
  progress(fraction: number, what: string): void;
  warn(code: string, message: string): void;
  readonly signal: AbortSignal | null;
}

/** What training came to. */
export interface TrainingOutcome {
  readonly states: ReadonlyMap<string, Tensor>;
  readonly steps: number;
  /** Mean loss of the last steps. */
  readonly loss: number;
  /** Of the kept weights, in percent; `null` without `validate`. */
  readonly top1: number | null;
  /** The step that the kept weights are of. */
  readonly bestStep: number;
  /** What loss scaling came to; `null` without. */
  readonly scaling: Scaling | null;
}

/** Loss scaling in f16. */
export interface Scaling {
  /** At the end. */
  readonly scale: number;
  /** Steps whose gradients were not finite: they changed no weight. */
  readonly skipped: number;
  /** Mean share of gradients that were not 0 and became 0 in f16. */
  readonly underflow: number;
}

/** Runs training graphs. Throws CEC4017 where the loss explodes or is no number, CEC1005 where `signal` ended it. */
export interface Trainer {
  train(task: TrainingTask): Promise<TrainingOutcome>;
}
