import { z } from "zod";
import {
  type Attrs,
  blobOf,
  constantTensor,
  definePass,
  fail,
  type Graph,
  type PassCall,
  type PassDefinition,
  runPipeline,
  type Tensor,
  type Value,
} from "../../compiler/core/index.js";
import { addLoss } from "./add-loss.js";
import { applyOptimizer, initialStates, optimizerOptions } from "./apply-optimizer.js";
import { autodiff } from "./autodiff.js";
import { unrollRecurrent } from "./unroll-recurrent.js";
import { untieVectors } from "./untie-vectors.js";

const { kind: optimizerKind, ...optimizer } = optimizerOptions;
const positive = z.number().int().min(1);
const natural = z.number().int().min(0);

const options = z
  .object({
    data: z.string().describe('data set to learn from, as in `evaluate`: `"cifar10.train"`, `"shapes.train[0:2000]"`'),
    epochs: positive.default(10).describe("passes over the data"),
    steps: positive.optional().describe("steps instead of epochs"),
    batch: positive.default(128).describe("samples of one step"),
    loss: z.enum(["cross_entropy", "mse"]).default("cross_entropy").describe("as in `add_loss`"),
    label_smoothing: z.number().min(0).max(1).default(0).describe("as in `add_loss`"),
    parameters: z.array(z.string()).optional().describe("names of the constants to train, `*` stands for any text; default: all weights"),
    batch_norm: z
      .enum(["batch", "frozen"])
      .default("batch")
      .describe("normalize by the batch and update running statistics, or use them as they are"),
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
    augment: z
      .object({
        crop: natural.default(0).describe("pixels of zero padding out of which a window is cut at random"),
        flip: z.boolean().default(false).describe("mirror left and right, every other time"),
        cutout: natural.default(0).describe("side of a square that is set to 0"),
      })
      .strict()
      .default({ crop: 0, flip: false, cutout: 0 })
      .describe("random changes of the images: crop, flip, cutout"),
    validate: z.string().optional().describe("data set that top1 is measured on during training"),
    evaluate_every: natural.default(0).describe("steps between these measurements; 0: once an epoch"),
    patience: natural.default(0).describe("measurements without a better one after which training stops; 0: never"),
    keep: z.enum(["best", "last"]).default("best").describe("weights of the best measurement, or the last ones"),
    workers: z.number().int().min(0).max(64).default(1).describe("threads that load data ahead"),
    checkpoint: z
      .string()
      .default("training.ckpt")
      .describe("file that training goes on from after it was interrupted, in the output folder; empty: none"),
    checkpoint_every: natural.default(0).describe("steps between checkpoints; 0: every 30 seconds"),
  })
  .strict();

const call = (pass: unknown, given: Readonly<Record<string, unknown>> = {}): PassCall => ({ pass: pass as PassDefinition, options: given });

/**
 * Trains the model: a copy of the graph becomes a training graph (`unroll_recurrent`, `untie_vectors`, `add_loss`, `autodiff`, `apply_optimizer`), the engine runs
 * its steps, and the weights and running statistics that it ends with go into the model. The same plan gives the same bits, whatever the number of threads and
 * however often it was interrupted.
 */
export const train = definePass({
  name: "train",
  summary: "Train the model's weights on a data set",
  description:
    "The graph is copied and becomes a training graph (unroll_recurrent, untie_vectors, add_loss, autodiff, apply_optimizer); the engine runs its steps; weights and running statistics go back into the model. The same plan gives the same bits, whatever the number of threads and however often it was interrupted: killed at any moment, the same command goes on from the checkpoint.",
  from: "float",
  to: "float",
  keeps: "lossy",
  options,
  positional: ["data"],
  statistics: { steps: "steps run", parameters: "tensors trained" },
  async run({ graph, options: o, rewrite, count, decide, trainer, random, progress, warn, signal }) {
    if (trainer === null) fail("CEC4016", { message: "`train` was called without data sets", help: "put it in a plan and run `cec build`" });
    // Recurrent ops stay as they are in the model: only the copy is unrolled.
    await runPipeline(graph, [call(untieVectors)], { verify: "off" });
    const training = graph.clone();
    const output = graph.outputs[0]?.name ?? "";
    await runPipeline(training, [
      call(unrollRecurrent),
      call(addLoss, { kind: o.loss, label_smoothing: o.label_smoothing }),
      call(autodiff, { batch_norm: o.batch_norm, ...(o.parameters === undefined ? {} : { parameters: o.parameters }) }),
    ]);
    const initial = new Map(initialStates(training).map((s) => [s.name, s.tensor]));
    await runPipeline(training, [
      call(applyOptimizer, {
        kind: o.optimizer,
        ...Object.fromEntries(Object.keys(optimizer).flatMap((k) => (o[k as keyof typeof o] === undefined ? [] : [[k, o[k as keyof typeof o]]]))),
      }),
    ]);
    const { augment, milestones, validate } = o;
    const outcome = await trainer.train({
      graph: training,
      initial,
      output,
      settings: {
        data: o.data,
        validate,
        epochs: o.epochs,
        steps: o.steps,
        batch: o.batch,
        rate: o.rate,
        schedule: o.schedule,
        milestones,
        gamma: o.gamma,
        warmup: o.warmup,
        augment,
        evaluateEvery: o.evaluate_every,
        patience: o.patience,
        keep: o.keep,
        workers: o.workers,
        checkpoint: o.checkpoint,
        checkpointEvery: o.checkpoint_every,
        seed: Math.floor(random() * 2 ** 31),
      },
      deploy: (states) => deployed(graph, states),
      progress,
      warn,
      signal,
    });
    for (const [name, tensor] of outcome.states) {
      const op = graph.value(name)?.producer;
      if (op?.kind !== "constant") continue;
      rewrite.patch(op, "trained", (edit) => edit.replaceAllUses(op.outputs[0] as Value, edit.constant(name, tensor)));
      rewrite.remove(op, "replaced by what was trained");
      count("parameters");
    }
    for (const op of graph.opsOf("batch_normalization")) if (op.attrs["training_mode"] === 1) rewrite.setAttrs(op, inference(op.attrs), "inference");
    count("steps", outcome.steps);
    const first = graph.ops.find((op) => op.kind !== "constant");
    if (first !== undefined)
      decide(
        first,
        "trained",
        `${outcome.steps} steps, loss ${outcome.loss.toFixed(4)}${outcome.top1 === null ? "" : `, top1 ${outcome.top1.toFixed(2)} % at step ${outcome.bestStep}`}`,
        outcome.loss,
      );
  },
});

const inference = (attrs: Attrs): Attrs => Object.fromEntries(Object.entries(attrs).filter(([k]) => k !== "training_mode"));

/** A copy of the model with other values of constants. */
function deployed(graph: Graph, states: ReadonlyMap<string, Tensor>): Graph {
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
