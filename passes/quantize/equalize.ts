import { z } from "zod";
import {
  type CalibrationSource,
  constantTensor,
  definePass,
  type Executor,
  fail,
  type Graph,
  num,
  toNumbers,
  type Value,
} from "../../compiler/core/index.js";
import { type ChannelClasses, channelClasses, type Product, productOf } from "./channels.js";
import { activationFactors, channelValues } from "./equalize-activations.js";
import { batchFor } from "./observe.js";
import { scaleProducts } from "./scale-products.js";

/** Largest factor of a channel, and its inverse: beyond it biases and activations leave their range. */
const MOST = 256;
/** Samples that show how far below its upper end a clip's channel stays, and the room that is left. */
const SAMPLES = 64;
/** Samples that show the reach of channels. */
const REACH_SAMPLES = 128;
const CLIP_ROOM = 1.1;

/**
 * Cross-layer equalization. `weights` (Nagel et al. 2019, section 4.1): each channel between products is multiplied by s = sqrt(r_in / r_out), with r_out the greatest magnitude of
 * the weights that give it and r_in of those that read it, until both are alike. ReLU, pools, residual adds, concatenations and depthwise products
 * pass the factor through; channels that belong together get one. Worth it with one weight scale per tensor; scales per channel take most of the gain already.
 * `activations` chooses factors by what one scale per value costs its channels of small reach, on calibration data (see equalize-activations; the aim is that of
 * Meller et al. 2019): rounding of activations is most of the noise where weights have scales per channel.
 * Through Relu6 only channels that calibration data shows to stay below its upper end are scaled, and only so far that they still do.
 */
export const equalize = definePass({
  name: "equalize",
  summary: "Cross-layer equalization of the ranges of weights or activations",
  description:
    'Nagel et al. 2019, "Data-Free Quantization through Weight Equalization and Bias Correction", section 4.1. Stands before `quantize`; `of: weights` is for `weights: per_tensor` and needs calibration data only where a clip (Relu6) stands between products. `of: activations` needs it always; `recipe: accurate` does it by itself.',
  from: "float",
  to: "same",
  keeps: "values",
  options: z
    .object({
      of: z
        .enum(["weights", "activations"])
        .default("weights")
        .describe("which ranges become alike: those of weights, or of activations by what calibration shows"),
      rounds: z.number().int().min(1).max(1000).default(20).describe("rounds over all channels, ended early once nothing moves (weights)"),
    })
    .strict(),
  statistics: { channels: "channels scaled", products: "products whose weights changed" },
  positional: ["of"],
  async run({ graph, options, rewrite, count, executor, calibration }) {
    const classes = channelClasses(graph);
    const limits = await clipLimits(graph, classes, executor, calibration);
    const apply = (scale: Float64Array, reason: string): void => {
      const of = (v: Value, c: number): number => (classes.of(v, c) < 0 ? 1 : (scale[classes.of(v, c)] as number));
      count("channels", scale.filter((s) => s !== 1).length);
      count("products", scaleProducts(graph, rewrite, of, reason));
    };
    if (options.of === "activations") {
      // Room under a clip that calibration shows is no promise for other data, and small channels would use all of it.
      for (let c = 0; c < limits.length; c++) if (limits[c] !== Number.POSITIVE_INFINITY) limits[c] = 1;
      if (executor === null || calibration === null)
        return fail("CEC4006", { message: "`equalize activations` needs calibration data", help: "add `calibrate DATA` to the plan" });
      const names = channelValues(graph, classes).map((v) => v.name);
      const limit = Math.min(REACH_SAMPLES, calibration.size);
      const seen = await executor.observe(graph, names, calibration.batches({ batch: batchFor(graph), limit }), { bins: 0, channels: true });
      const channels = new Map([...seen].flatMap(([name, s]) => (s.channels === undefined ? [] : [[name, s.channels] as const])));
      return apply(activationFactors(graph, classes, limits, channels), "ranges of activations equalized");
    }
    const links = linksOf(graph, classes);
    const scale = new Float64Array(classes.size).fill(1);
    for (let round = 0; round < options.rounds; round++) {
      const [out, into] = [new Float64Array(classes.size), new Float64Array(classes.size)];
      for (const { x, y, top } of links) {
        const now = (top * (y < 0 ? 1 : (scale[y] as number))) / (x < 0 ? 1 : (scale[x] as number));
        if (y >= 0) out[y] = Math.max(out[y] as number, now);
        if (x >= 0) into[x] = Math.max(into[x] as number, now);
      }
      let moved = 0;
      for (let c = 0; c < classes.size; c++) {
        if (classes.pinned(c) || !((out[c] as number) > 0) || !((into[c] as number) > 0)) continue;
        const wanted = (scale[c] as number) * Math.sqrt((into[c] as number) / (out[c] as number));
        const next = Math.min(MOST, limits[c] as number, Math.max(limits[c] === 1 ? 1 : 1 / MOST, wanted));
        moved = Math.max(moved, Math.abs(Math.log(next / (scale[c] as number))));
        scale[c] = next;
      }
      if (moved < 1e-3) break;
    }
    apply(scale, "weight ranges equalized");
  },
});

/** Greatest magnitude of the weights between an input and an output channel, by their classes; -1 for values without classes. */
interface Link {
  readonly x: number;
  readonly y: number;
  readonly top: number;
}

function linksOf(graph: Graph, classes: ChannelClasses): Link[] {
  return graph.ops.flatMap((op) => {
    const p = productOf(op);
    return p === null ? [] : linksOfProduct(p, classes);
  });
}

function linksOfProduct(p: Product, classes: ChannelClasses): Link[] {
  const w = toNumbers(constantTensor(p.op.inputs[1]) as never);
  const links: Link[] = [];
  for (let o = 0; o < p.outs; o++)
    for (let i = 0; i < p.ins; i++) {
      let top = 0;
      for (let k = 0; k < p.taps; k++) top = Math.max(top, Math.abs(w[p.at(o, i, k)] as number));
      if (top > 0) links.push({ x: classes.of(p.x, Math.floor(o / p.perGroup) * p.ins + i), y: classes.of(p.y, o), top });
    }
  return links;
}

/** Largest factor of each class that keeps clips without effect; 1 holds a class where it is. */
async function clipLimits(
  graph: Graph,
  classes: ChannelClasses,
  executor: Executor | null,
  calibration: CalibrationSource | null,
): Promise<Float64Array> {
  const limits = new Float64Array(classes.size).fill(Number.POSITIVE_INFINITY);
  const clipped = graph.ops.filter((op) => productOf(op) !== null && op.attrs["activation"] === "clip");
  if (clipped.length === 0) return limits;
  const names = clipped.map((op) => (op.outputs[0] as Value).name);
  const seen =
    executor === null || calibration === null
      ? new Map()
      : await executor.observe(graph, names, calibration.batches({ batch: 4, limit: SAMPLES }), { bins: 0, channels: true });
  for (const op of clipped) {
    const y = op.outputs[0] as Value;
    const top = seen.get(y.name)?.channels?.max;
    for (let c = 0; c < classes.channels(y); c++) {
      const room = top === undefined ? 1 : num(op, "clip_max", Number.POSITIVE_INFINITY) / (CLIP_ROOM * (top[c] as number));
      const cls = classes.of(y, c);
      limits[cls] = Math.min(limits[cls] as number, room > 1 ? room : 1);
    }
  }
  return limits;
}
