/** What `train`, `qat` and `distill` share: the options of a course of training, and the way from a model to trained weights. */
import { z } from "zod";
import {
  blobOf,
  callOf,
  constantTensor,
  dataOption,
  fail,
  fromNumbers,
  type Graph,
  type PassCall,
  type PassContext,
  runPipeline,
  type Scaling,
  type Tensor,
  type TrainingOutcome,
  type Value,
} from "../../compiler/core/index.js";
import { applyOptimizer, initialStates, LOSS_SCALES, optimizerOptions } from "./apply-optimizer.js";
import { autodiff, LOSS_SCALE } from "./autodiff.js";
import { sampleDropout, withoutMasks } from "./sample-dropout.js";
import { unrollRecurrent } from "./unroll-recurrent.js";

const { kind: optimizerKind, ...optimizer } = optimizerOptions;
const positive = z.number().int().min(1);
const natural = z.number().int().min(0);

/** Options of a course of training. */
export const courseOptions = {
  data: dataOption().describe('data set to learn from, as in `evaluate`: `"cifar10.train"`, `"shapes.train[0:2000]"`'),
  epochs: positive.default(10).describe("passes over the data"),
  steps: positive.optional().describe("steps instead of epochs"),
  batch: positive.default(128).describe("samples of one step"),
  recompute: z
    .union([
      z.enum(["sqrt", "optimum"]),
      z.object({ every: positive.describe("stages of a segment") }).strict(),
      z.object({ budget: z.number().positive().describe("MiB of working memory") }).strict(),
    ])
    .optional()
    .describe(
      "keep fewer activations and make the others again, as in `recompute_activations`: `sqrt`, `optimum`, `{ every: n }`, `{ budget: MiB }`",
    ),
  parameters: z.array(z.string()).optional().describe("names of the constants to train, `*` stands for any text; default: all weights"),
  frozen: z.array(z.string()).optional().describe("names of constants that stay as they are, their batch normalization included"),
  batch_norm: z.enum(["batch", "frozen"]).default("batch").describe("normalize by the batch and update running statistics, or use them as they are"),
  optimizer: optimizerKind,
  rate: z.number().positive().default(0.1).describe("learning rate"),
  ...optimizer,
  schedule: z
    .enum(["constant", "step", "cosine"])
    .default("cosine")
    .describe("how the rate falls: not, by `gamma` at `milestones`, or along a half cosine to 0"),
  milestones: z.array(z.number().min(0).max(1)).default([0.5, 0.75]).describe("parts of all steps"),
  gamma: z.number().positive().default(0.1).describe("factor of the rate at each milestone"),
  warmup: natural.default(0).describe("steps over which the rate rises from 0"),
  precision: z
    .enum(["f32", "f16"])
    .default("f32")
    .describe(
      "`f16`: activations are kept as f16 for the gradient, and gradients of activations rounded through f16, with loss scaling; arithmetic and weights stay f32",
    ),
  loss_scale: z
    .number()
    .min(LOSS_SCALES[0])
    .max(LOSS_SCALES[1])
    .default(65536)
    .describe("f16: factor of the loss at the start, 2^-24 to 2^64; halved where a gradient overflows, and that step is skipped"),
  augment: z
    .object({
      crop: natural.default(0).describe("pixels of zero padding out of which a window is cut at random"),
      flip: z.boolean().default(false).describe("mirror left and right, every other time"),
      cutout: natural.default(0).describe("side of a square that is set to 0"),
    })
    .strict()
    .default({ crop: 0, flip: false, cutout: 0 })
    .describe("random changes of the images: crop, flip, cutout"),
  validate: dataOption().optional().describe("data set that top1 is measured on during training"),
  evaluate_every: natural.default(0).describe("steps between these measurements; 0: once an epoch"),
  patience: natural.default(0).describe("measurements without a better one after which training stops; 0: never"),
  keep: z.enum(["best", "last"]).default("best").describe("weights of the best measurement, or the last ones"),
  workers: z.number().int().min(0).max(64).default(1).describe("threads that load data ahead"),
  checkpoint: z
    .string()
    .default("training.ckpt")
    .describe(
      "file that training goes on from after it was interrupted, in the output folder; a plan's second statement has its own, with -2 in its name; empty: none",
    ),
  checkpoint_every: natural.default(0).describe("steps between checkpoints; 0: every 30 seconds"),
} as const;

/** Options of the loss of `train` and `qat`. */
export const lossOptions = {
  loss: z.enum(["cross_entropy", "mse"]).default("cross_entropy").describe("as in `add_loss`"),
  label_smoothing: z.number().min(0).max(1).default(0).describe("as in `add_loss`"),
} as const;

export type CourseOptions = z.infer<z.ZodObject<typeof courseOptions>>;

/** What a statement trains. */
export interface Course {
  /** Name of the statement, for messages. */
  readonly statement: string;
  /** The graph to train, a copy that training owns: the model as it runs forward (with fake quantization, with a teacher beside it). */
  readonly graph: Graph;
  /** Passes that end the forward graph in an output `loss` (and `correct`, samples that were right, where there are labels). */
  readonly loss: readonly PassCall[];
  /** Constants that the loss brought and that are trained with the model. */
  parameters?(graph: Graph): readonly string[];
  /** Names of constants beside the model that stay as they are. */
  readonly frozen?: readonly string[];
  /** Output of the model that `validate` judges. */
  readonly output: string;
  /** The model for inference with these values of constants. */
  deploy(states: ReadonlyMap<string, Tensor>): Graph | Promise<Graph>;
}

/**
 * Makes `course.graph` a training graph (`unroll_recurrent`, `sample_dropout`, the loss, `autodiff`, `apply_optimizer`) and has the plan's trainer run it.
 * @returns values of parameters and running statistics by the names of their constants
 * @throws CecError CEC4016 without a trainer
 */
export async function runCourse(
  context: Pick<PassContext<unknown, string>, "trainer" | "random" | "progress" | "warn" | "signal">,
  o: CourseOptions,
  course: Course,
): Promise<TrainingOutcome> {
  const { trainer, random, progress, warn, signal } = context;
  if (trainer === null)
    fail("CEC4016", { message: `\`${course.statement}\` was called without data sets`, help: "put it in a plan and run `cec build`" });
  const { graph, output } = course;
  const seed = Math.floor(random() * 2 ** 31);
  await runPipeline(graph, [callOf(unrollRecurrent), callOf(sampleDropout), ...course.loss], { seed });
  for (const { op, why } of withoutMasks(graph)) warn("CEC4033", `dropout "${op.name}" does nothing in this training: ${why}`);
  const parameters = o.parameters === undefined ? {} : { parameters: [...o.parameters, ...(course.parameters?.(graph) ?? [])] };
  const frozen = [...(o.frozen ?? []), ...(course.frozen ?? [])];
  await runPipeline(graph, [callOf(autodiff, { batch_norm: o.batch_norm, frozen, scaled: o.precision === "f16", ...parameters })]);
  const initial = new Map(initialStates(graph).map((s) => [s.name, s.tensor]));
  if (o.precision === "f16") initial.set(LOSS_SCALE, fromNumbers("f32", [], [o.loss_scale]));
  const given = Object.keys(optimizer).flatMap((k) => (o[k as keyof CourseOptions] === undefined ? [] : [[k, o[k as keyof CourseOptions]]]));
  await runPipeline(graph, [callOf(applyOptimizer, { kind: o.optimizer, ...Object.fromEntries(given) })]);
  const outcome = await trainer.train({
    graph,
    initial,
    output,
    settings: {
      data: o.data,
      validate: o.validate,
      epochs: o.epochs,
      steps: o.steps,
      batch: o.batch,
      recompute: o.recompute,
      rate: o.rate,
      schedule: o.schedule,
      milestones: o.milestones,
      gamma: o.gamma,
      warmup: o.warmup,
      augment: o.augment,
      precision: o.precision,
      evaluateEvery: o.evaluate_every,
      patience: o.patience,
      keep: o.keep,
      workers: o.workers,
      checkpoint: o.checkpoint,
      checkpointEvery: o.checkpoint_every,
      seed,
    },
    deploy: (states) => course.deploy(states),
    progress,
    warn,
    signal,
  });
  if (outcome.scaling !== null) warnOfScaling(outcome.steps, outcome.scaling, warn);
  return outcome;
}

/** Share of steps, or of gradients, that may get lost before it is said. */
const MUCH_LOST = 0.5;

function warnOfScaling(steps: number, s: Scaling, warn: PassContext<unknown, string>["warn"]): void {
  if (s.skipped > MUCH_LOST * steps)
    warn(
      "CEC4022",
      `${s.skipped} of ${steps} steps were skipped because gradients overflowed in f16: give a smaller \`loss_scale\`, or \`precision: f32\``,
    );
  if (s.underflow > MUCH_LOST)
    warn(
      "CEC4022",
      `${percent(s.underflow)} of gradients became 0 in f16: give a larger \`loss_scale\` or a smaller \`scale_growth\`, or \`precision: f32\``,
    );
}

/** Statistics of every statement that trains. */
export const courseStatistics = { steps: "steps run", skipped: "of these, skipped for overflow", parameters: "tensors trained" } as const;

/** Writes what a course came to into the model, its statistics and the decision log, as `action`. Batch normalization goes back to running statistics. */
export function adoptOutcome(
  { graph, rewrite, count, decide }: Pick<PassContext<unknown, keyof typeof courseStatistics>, "graph" | "rewrite" | "count" | "decide">,
  outcome: TrainingOutcome,
  action: string,
): void {
  count("parameters", adoptConstants(graph, rewrite, outcome.states));
  count("steps", outcome.steps);
  count("skipped", outcome.scaling?.skipped ?? 0);
  const first = graph.ops.find((op) => op.kind !== "constant");
  if (first !== undefined) decide(first, action, describeOutcome(outcome), outcome.loss);
}

const describeOutcome = (o: TrainingOutcome): string =>
  [
    `${o.steps} steps`,
    `loss ${o.loss.toFixed(4)}`,
    ...(o.top1 === null ? [] : [`top1 ${o.top1.toFixed(2)} % at step ${o.bestStep}`]),
    ...(o.scaling === null ? [] : [describeScaling(o.scaling)]),
  ].join(", ");

/** Two digits, without an exponent where that is short. */
const percent = (share: number): string => `${Number((100 * share).toPrecision(2))} %`;

const describeScaling = (s: Scaling): string =>
  `loss scale ${s.scale} at the end, ${s.skipped} step${s.skipped === 1 ? "" : "s"} skipped, ${percent(s.underflow)} of gradients became 0 in f16`;

/** A copy of the model with other values of constants; names that it does not hold are left out. */
export function withConstants(graph: Graph, states: ReadonlyMap<string, Tensor>): Graph {
  const copy = graph.clone();
  for (const [name, tensor] of states) {
    const value = copy.value(name);
    if (value?.producer?.kind !== "constant" || constantTensor(value) === null) continue;
    const fresh = copy.addConstant(`${name}.trained`, value.type, blobOf(tensor), value.producer);
    copy.replaceAllUses(value, fresh);
    copy.removeOp(value.producer);
  }
  return copy;
}

/** Writes trained values into the model's constants of these names; returns how many there are. */
function adoptConstants(graph: Graph, rewrite: PassContext<unknown, string>["rewrite"], states: ReadonlyMap<string, Tensor>): number {
  let adopted = 0;
  for (const [name, tensor] of states) {
    const op = graph.value(name)?.producer;
    if (op?.kind !== "constant") continue;
    rewrite.patch(op, "trained", (edit) => edit.replaceAllUses(op.outputs[0] as Value, edit.constant(name, tensor)));
    rewrite.remove(op, "replaced by what was trained");
    adopted++;
  }
  for (const op of graph.opsOf("batch_normalization"))
    if (op.attrs["training_mode"] === 1)
      rewrite.setAttrs(op, Object.fromEntries(Object.entries(op.attrs).filter(([k]) => k !== "training_mode")), "inference");
  return adopted;
}
